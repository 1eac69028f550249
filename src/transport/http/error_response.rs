//! Error responses over HTTP: always a JSON-RPC error in the body, so that every client can show the message.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::access::AccessError;
use crate::db::DbError;
use crate::tenancy::{AuthError, ShareExceeded};

/// A JSON-RPC error without a request id.
pub(in crate::transport) fn json_rpc_error(status: StatusCode, code: i32, message: &str) -> Response {
    let body = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}});
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

/// An error outside of the protocol.
pub(super) fn json_error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"error": {"code": code, "message": message}});
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

/// A JSON-RPC error with `Retry-After` in seconds.
pub(in crate::transport) fn try_later(status: StatusCode, seconds: u32, message: &str) -> Response {
    let mut response = json_rpc_error(status, -32_603, message);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 401 with a challenge that starts no OAuth flow (RFC 6750, section 3).
pub(super) fn unauthorized(error: Option<&str>, message: &str) -> Response {
    let mut response = json_rpc_error(StatusCode::UNAUTHORIZED, -31_001, message);
    let challenge = match error {
        None => "Bearer realm=\"skillkeep\"".to_owned(),
        Some(error) => format!("Bearer realm=\"skillkeep\", error=\"{error}\""),
    };
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The response to a request that access control refused.
pub(in crate::transport) fn access_denied(error: &AccessError) -> Response {
    match error {
        AccessError::Throttled(seconds) => {
            let message =
                format!("Too many invalid API keys came from your address. Try again in {seconds} seconds.");
            try_later(StatusCode::TOO_MANY_REQUESTS, *seconds, &message)
        }
        AccessError::Overloaded => unavailable(&DbError::Busy, false),
        AccessError::Key { error, is_known } => match &**error {
            AuthError::Invalid(_) => unauthorized(Some("invalid_token"), &format!("{error}.")),
            AuthError::Db(error) => unavailable(error, *is_known),
        },
        AccessError::RateLimit(over) => {
            try_later(StatusCode::TOO_MANY_REQUESTS, over.retry_after, &over.to_string())
        }
        AccessError::ConcurrencyLimit(exceeded) => share_exceeded(*exceeded, "calls running", 1),
    }
}

/// 429, or 503 if it is not the caller's own use that reached a limit. `what` is counted, such as `calls running`.
pub(in crate::transport) fn share_exceeded(
    exceeded: ShareExceeded,
    what: &str,
    retry_seconds: u32,
) -> Response {
    let (status, message) = match exceeded {
        ShareExceeded::Key(limit) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "This API key has {limit} {what} on this server, which is its limit. Try again in a moment."
            ),
        ),
        ShareExceeded::Tenant(limit) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "Your organisation has {limit} {what} on this server, which is its limit. Try again in a moment."
            ),
        ),
        ShareExceeded::Total => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("The server has its maximum of {what}. Try again in a moment."),
        ),
    };
    try_later(status, retry_seconds, &message)
}

/// Only a key that was valid within the hour learns that its tenant is busy: any other may claim a tenant that is not its
/// own.
fn unavailable(error: &DbError, is_known: bool) -> Response {
    tracing::error!(%error, "a key could not be checked");
    let message = match (matches!(error, DbError::Busy), is_known) {
        (true, true) => {
            "The registry is busy with other calls, most of them your organisation's. Try again in a moment."
        }
        (true, false) => "The registry is busy. Try again in a moment.",
        (false, _) => "The registry's database is not available. Try again in a moment.",
    };
    try_later(StatusCode::SERVICE_UNAVAILABLE, 1, message)
}
