//! Refusals over HTTP: always a JSON-RPC error, so that every client can read the words.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A JSON-RPC error that answers no request in particular.
pub(in crate::transport) fn json_rpc_error(status: StatusCode, code: i32, words: &str) -> Response {
    let body = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": words}});
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

/// The same, with the time in seconds after which trying again may help.
pub(in crate::transport) fn try_later(status: StatusCode, seconds: u32, words: &str) -> Response {
    let mut response = json_rpc_error(status, -32_603, words);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
