//! `POST /mcp`: one message or a batch.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::batch;
use super::error_response::json_rpc_error;
use super::jsonrpc_validation::{VERSION_HEADER, checked, read_body, run};
use crate::json_rpc::{self, BATCH_VERSION, INVALID_REQUEST};
use crate::server::CallService;

/// For `/mcp`: passes well-formed messages on, and turns every error of the protocol layer into a JSON-RPC error.
pub(super) async fn validate_jsonrpc(
    State(service): State<Arc<CallService>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        let mut response = json_rpc_error(
            StatusCode::METHOD_NOT_ALLOWED,
            INVALID_REQUEST,
            "Send messages to this path with POST. It has no sessions, and no stream but that of subscriptions/listen.",
        );
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let (parts, body) = request.into_parts();
    let bytes = match read_body(&parts, body).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal,
    };
    if json_rpc::is_batch(&bytes) && allows_batches(&parts.headers) {
        return batch::run(&service, &parts, &bytes, &next).await;
    }
    match checked(bytes) {
        Ok(message) => run(&service, parts, message, next).await,
        Err(refusal) => *refusal,
    }
}

/// Whether the client speaks the protocol version that has batches. It has no header for the version.
fn allows_batches(headers: &HeaderMap) -> bool {
    headers
        .get_all(VERSION_HEADER)
        .iter()
        .all(|version| version == BATCH_VERSION)
}
