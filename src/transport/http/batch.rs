//! Batches of messages on `/mcp`, for clients of protocol version 2025-03-26.
//!
//! The messages run one after the other, so a batch needs no more of any limit than its messages sent singly, and each call of it
//! counts.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::error_response::{access_denied, json_rpc_error};
use super::head_validation::origin;
use super::held_body;
use super::jsonrpc_validation::{self, Message};
use crate::json_rpc::{self, INVALID_REQUEST, must_be_sent_alone};
use crate::server::CallService;
use crate::tenancy::{ApiKey, Principal};

/// The answers to one batch, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// JSON-RPC 2.0, section 5.1.
const INTERNAL_ERROR: i32 = -32_603;

/// Runs the messages of a batch and answers its requests with an array, in their order.
pub(super) async fn run(service: &Arc<CallService>, parts: &Parts, text: &Bytes, next: &Next) -> Response {
    let messages = match json_rpc::split_batch(text) {
        Ok(messages) => messages,
        Err(malformed) => {
            return json_rpc_error(StatusCode::BAD_REQUEST, malformed.code, malformed.message);
        }
    };
    let (mut answers, mut bytes_left) = (Vec::new(), MAX_ANSWER_BYTES);
    for message in messages {
        let answer = match Message::check(text.slice_ref(message)) {
            Ok(message) => answer(service, parts, message, next, &mut bytes_left).await,
            Err(malformed) => Some(malformed.response()),
        };
        answers.extend(answer);
    }
    if answers.is_empty() {
        return StatusCode::ACCEPTED.into_response();
    }
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    let response = (content_type, Value::from(answers).to_string()).into_response();
    hold(service, parts, response)
}

/// Counts the answers as one unread answer until the client has read them.
fn hold(service: &Arc<CallService>, parts: &Parts, response: Response) -> Response {
    let (Some(key), Some(principal)) = (
        parts.extensions.get::<ApiKey>(),
        parts.extensions.get::<Arc<Principal>>(),
    ) else {
        return response;
    };
    let source = origin(&parts.extensions).source;
    match service.access().admit_uncounted(key, principal, &source) {
        Ok(guard) => held_body::hold(response, Some(Arc::new(guard))),
        Err(error) => access_denied(&error),
    }
}

/// Runs one message. `None` for one that is no request.
async fn answer(
    service: &Arc<CallService>,
    parts: &Parts,
    message: Message,
    next: &Next,
    bytes_left: &mut usize,
) -> Option<Value> {
    let id = message.method.as_ref().and(message.id.clone());
    let error = |code, text: &str| {
        id.as_ref()
            .map(|id| json_rpc::error_response(Some(id), code, text))
    };
    if let Some(method) = message
        .method
        .as_deref()
        .filter(|method| must_be_sent_alone(method))
    {
        let text = format!("{method} cannot be a part of a batch. Send it in its own request.");
        return error(INVALID_REQUEST, &text);
    }
    let too_large = "The answers to this batch are larger than 16 MiB. Send the request on its own.";
    if *bytes_left == 0 {
        return error(INTERNAL_ERROR, too_large);
    }
    let response = jsonrpc_validation::run(service, parts.clone(), message, next.clone()).await;
    id.as_ref()?;
    let Ok(body) = axum::body::to_bytes(response.into_body(), *bytes_left).await else {
        *bytes_left = 0;
        return error(INTERNAL_ERROR, too_large);
    };
    *bytes_left = bytes_left.saturating_sub(body.len());
    let answer = last_message(&body).map(|mut answer| {
        // A request that is refused before the protocol layer gets an error without an id.
        if let (Some(fields), Some(id)) = (answer.as_object_mut(), &id)
            && fields.get("id").is_none_or(Value::is_null)
        {
            fields.insert("id".to_owned(), id.clone());
        }
        answer
    });
    answer.or_else(|| error(INTERNAL_ERROR, "The registry failed to answer this request."))
}

/// The message of a response; of an event stream the last one, which answers the request. Notifications before it have no place
/// in a batch.
fn last_message(body: &[u8]) -> Option<Value> {
    if let Ok(message) = serde_json::from_slice(body) {
        return Some(message);
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.rfind(|data| !data.trim().is_empty())
        .and_then(|data| serde_json::from_str(data).ok())
}
