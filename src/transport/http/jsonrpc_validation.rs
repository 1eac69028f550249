//! Checks the body of each message before the protocol layer: its size, the time it takes to arrive, and whether it is a
//! JSON-RPC message. Then counts a call against the limits of its key and tenant.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::error_response::{access_denied, json_rpc_error};
use super::head_validation::origin;
use super::held_body;
use crate::access::CallGuard;
use crate::json_rpc::{self, INVALID_REQUEST, Malformed, PARSE_ERROR};
use crate::server::{CallService, InvalidParams, RefusedCall, TransportKind, is_recorded, reads_registry};
use crate::tenancy::{ApiKey, Principal};

/// The largest message, in bytes.
pub(in crate::transport) const MAX_BODY_BYTES: usize = 4 << 20;

/// How long a body may take to arrive. In the extensions of every request.
#[derive(Clone, Copy)]
pub(in crate::transport) struct BodyTimeout(pub(super) Duration);

pub(super) const VERSION_HEADER: &str = "mcp-protocol-version";
const NO_BATCHES: &str = "Batches are not supported: the protocol has them in version 2025-03-26 over Streamable HTTP and stdio only. Send each message in its own request.";

/// A message that was checked.
pub(in crate::transport) struct Message {
    pub(in crate::transport) bytes: Bytes,
    pub(super) id: Option<Value>,
    /// `None` for a response of the client.
    pub(super) method: Option<String>,
    /// What is wrong with the parameters, for the record of the call.
    pub(in crate::transport) invalid_params: Option<InvalidParams>,
}

impl Message {
    /// # Errors
    /// [`Malformed`]: what the message lacks.
    pub(super) fn check(bytes: Bytes) -> Result<Self, Malformed> {
        let form = json_rpc::check(&bytes)?;
        Ok(Self {
            bytes,
            id: form.id,
            method: form.method,
            invalid_params: form.duplicate.map(|name| InvalidParams::duplicate(&name)),
        })
    }
}

/// Counts a message against the limits and passes it on.
pub(super) async fn run(
    service: &Arc<CallService>,
    mut parts: Parts,
    message: Message,
    next: Next,
) -> Response {
    let guard = match admit(service, TransportKind::Http, &parts, &message).await {
        Ok(guard) => guard.map(Arc::new),
        Err(refusal) => return refusal,
    };
    if let Some(guard) = &guard {
        parts.extensions.insert(Arc::clone(guard));
    }
    if message.method.as_deref() == Some("initialize") {
        prefer_version_of_body(&mut parts.headers, &message.bytes);
    }
    if let Some(invalid) = message.invalid_params {
        parts.extensions.insert(invalid);
    }
    let bytes = message.bytes;
    normalize_accept(&mut parts.headers);
    // The body may have come in chunks; now its size is known.
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let response = as_json_rpc(next.run(Request::from_parts(parts, Body::from(bytes))).await).await;
    held_body::hold(response, guard)
}

/// `initialize` negotiates the version. Some clients send the header of an earlier negotiation with it.
fn prefer_version_of_body(headers: &mut HeaderMap, bytes: &[u8]) {
    #[derive(Deserialize)]
    struct Initialize {
        params: Params,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        protocol_version: String,
    }
    // Without a version in its parameters it is no handshake: the version of the header says whether the method exists.
    if headers.contains_key(VERSION_HEADER)
        && let Ok(Initialize { params }) = serde_json::from_slice(bytes)
        && let Ok(version) = HeaderValue::from_str(&params.protocol_version)
    {
        headers.insert(VERSION_HEADER, version);
    }
}

/// Counts a call against its limits, and gives every request that reads the registry a share of the calls at once. Other
/// messages need neither: pings, notifications, and subscriptions, which have a limit of their own.
pub(in crate::transport) async fn admit(
    service: &Arc<CallService>,
    transport: TransportKind,
    parts: &Parts,
    message: &Message,
) -> Result<Option<CallGuard>, Response> {
    let (Some(method), Some(key), Some(principal)) = (
        message.method.as_deref(),
        parts.extensions.get::<ApiKey>(),
        parts.extensions.get::<Arc<Principal>>(),
    ) else {
        return Ok(None);
    };
    let (access, source) = (service.access(), origin(&parts.extensions).source);
    let admitted = if is_recorded(method) {
        access.admit(key, principal, &source).await
    } else if reads_registry(method) {
        access.admit_uncounted(key, principal, &source)
    } else {
        return Ok(None);
    };
    admitted.map(Some).map_err(|error| {
        if is_recorded(method) {
            let call = || RefusedCall::message(transport, &parts.headers, method, &message.bytes);
            service.record_refused(&error, key, principal, call);
        }
        access_denied(&error)
    })
}

/// Reads a message and checks its form.
pub(in crate::transport) async fn read(parts: &Parts, body: Body) -> Result<Message, Response> {
    checked(read_body(parts, body).await?).map_err(|refusal| *refusal)
}

/// Checks the form of a message that is no batch.
pub(super) fn checked(bytes: Bytes) -> Result<Message, Box<Response>> {
    if json_rpc::is_batch(&bytes) {
        let refusal = json_rpc_error(StatusCode::BAD_REQUEST, INVALID_REQUEST, NO_BATCHES);
        return Err(Box::new(refusal));
    }
    Message::check(bytes).map_err(|malformed| {
        Box::new(
            if malformed.id.is_some() && malformed.code == json_rpc::INVALID_PARAMS {
                error_of_message(&malformed)
            } else {
                json_rpc_error(StatusCode::BAD_REQUEST, malformed.code, malformed.message)
            },
        )
    })
}

/// The error of a message whose id is known.
fn error_of_message(malformed: &Malformed) -> Response {
    let mut response = json_rpc_error(StatusCode::BAD_REQUEST, malformed.code, malformed.message);
    *response.body_mut() = Body::from(malformed.response().to_string());
    response
}

/// Whether the body has a `Content-Encoding`. Compressed bodies are refused: a small one could be large when it is read.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Reads the body, and repairs its escapes.
pub(super) async fn read_body(parts: &Parts, body: Body) -> Result<Bytes, Response> {
    let is_json = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(json_rpc_error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            INVALID_REQUEST,
            "Send the message with Content-Type: application/json.",
        ));
    }
    if is_encoded(&parts.headers) {
        let message = "Send the message without Content-Encoding: compressed bodies are not supported.";
        let mut response = json_rpc_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, message);
        // RFC 9110, section 12.5.3.
        response
            .headers_mut()
            .insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        return Err(response);
    }
    let body_timeout = parts
        .extensions
        .get()
        .map_or(Duration::ZERO, |BodyTimeout(time)| *time);
    match tokio::time::timeout(body_timeout, axum::body::to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => {
            // Nothing else has these bytes, so they are rarely copied.
            let mut bytes = Vec::from(bytes);
            json_rpc::repair_surrogates(&mut bytes);
            Ok(bytes.into())
        }
        Ok(Err(error)) => Err(unread(&error)),
        Err(_) => Err(json_rpc_error(
            StatusCode::REQUEST_TIMEOUT,
            INVALID_REQUEST,
            &format!(
                "The request body did not arrive within {} seconds.",
                body_timeout.as_secs()
            ),
        )),
    }
}

fn unread(error: &axum::Error) -> Response {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            let message = format!("The request body is larger than {} MiB.", MAX_BODY_BYTES >> 20);
            return json_rpc_error(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, &message);
        }
        cause = error.source();
    }
    json_rpc_error(
        StatusCode::BAD_REQUEST,
        PARSE_ERROR,
        "The request body ended unexpectedly.",
    )
}

/// A client that sends no `Accept`, or `*/*`, accepts both content types of the protocol.
fn normalize_accept(headers: &mut HeaderMap) {
    let accepts_all = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("*/*")));
    if accepts_all || !headers.contains_key(header::ACCEPT) {
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
    }
}

/// rmcp refuses some requests in plain text.
async fn as_json_rpc(response: Response) -> Response {
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    if is_json || !response.status().is_client_error() {
        return response;
    }
    let status = response.status();
    let message = axum::body::to_bytes(response.into_body(), 4096)
        .await
        .unwrap_or_default();
    json_rpc_error(status, INVALID_REQUEST, &String::from_utf8_lossy(&message))
}
