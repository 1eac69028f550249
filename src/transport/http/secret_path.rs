//! The check of a secret path, `/d/<secret>/…`, for clients that send no header. What a secret opens is what its API key may read
//! and install.
//!
//! The secret is never logged. Invalid ones are throttled and recorded like invalid API keys.

use std::sync::Arc;

use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error_response::{access_denied, json_error};
use super::head_validation::{insert_caller, origin};
use crate::access::{AccessControl, AccessError};
use crate::tenancy::{ApiKey, AuthError};

/// The path of all routes below a secret.
pub(super) const PATH: &str = "/d/{secret}";
const PARAMETER: &str = "secret";

/// Answers 404 to an invalid secret, 429 to an address that sent too many of them. Other requests get an [`ApiKey`] and an
/// `Arc<Principal>` in their extensions.
pub(super) async fn validate_secret(
    State(access): State<Arc<AccessControl>>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let secret = params.iter().find(|(name, _)| *name == PARAMETER);
    let key = secret.and_then(|(_, text)| ApiKey::parse_secret_path(text).ok());
    let mut response = match key {
        Some(key) => run(&access, key, request, next).await,
        None => unknown(),
    };
    // A page that the answer leads to must not learn the secret.
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn run(access: &Arc<AccessControl>, key: ApiKey, mut request: Request, next: Next) -> Response {
    match access.check_key(&key, origin(request.extensions())).await {
        Ok(principal) => {
            insert_caller(&mut request, key, principal);
            next.run(request).await
        }
        Err(AccessError::Key { error, .. }) if matches!(*error, AuthError::Invalid(_)) => unknown(),
        Err(error) => access_denied(&error),
    }
}

/// The same for every reason.
fn unknown() -> Response {
    let message = "There is nothing at this path. If it is a secret path, it is wrong, expired or revoked: ask your administrator for a \
                   new one.";
    json_error(StatusCode::NOT_FOUND, "not_found", message)
}
