//! The usage events of calls that a limit refused before the protocol layer.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call_event::{Started, usage_event};
use super::completion::Completion;
use super::event_metadata::{RequestMetadata, TransportKind, redact, tool_name};
use super::request::RequestSummary;
use super::service::CallService;
use crate::access::AccessError;
use crate::registry::usage::{self, CallOutcome};
use crate::tenancy::{ApiKey, Principal};
use crate::tools::ToolName;

/// A call that was refused before the protocol layer.
pub struct RefusedCall {
    summary: RequestSummary,
    metadata: RequestMetadata,
}

impl RefusedCall {
    /// A message of a recorded method.
    #[must_use]
    pub fn message(
        transport: TransportKind,
        headers: &http::HeaderMap,
        method: &str,
        message: &[u8],
    ) -> Self {
        #[derive(Default, Deserialize)]
        struct Request {
            #[serde(default)]
            params: JsonObject,
            #[serde(default)]
            id: Value,
        }
        let Request { mut params, id } = serde_json::from_slice(message).unwrap_or_default();
        let (name, arguments) = if method == "tools/call" {
            let name = params.get("name").and_then(Value::as_str);
            let arguments = params.get("arguments").and_then(Value::as_object);
            let name = name.unwrap_or_default();
            (tool_name(name), redact(name, arguments))
        } else {
            params.remove("_meta");
            (method.to_owned(), redact(method, Some(&params)))
        };
        let version = headers.get("mcp-protocol-version");
        let metadata = RequestMetadata {
            transport,
            protocol_version: version.and_then(|value| value.to_str().ok()).map(str::to_owned),
            request_id: match id {
                Value::String(id) => Some(id),
                Value::Number(id) => Some(id.to_string()),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            },
            ..RequestMetadata::of_http(headers)
        };
        Self {
            summary: RequestSummary {
                name,
                arguments,
                idempotency_key: None,
            },
            metadata,
        }
    }

    /// A fetch with this name.
    #[must_use]
    pub fn fetch(name: &str, headers: &http::HeaderMap) -> Self {
        Self::without_arguments(name, headers)
    }

    /// An upload, whose body was not read.
    #[must_use]
    pub fn upload(headers: &http::HeaderMap) -> Self {
        Self::without_arguments(ToolName::PublishSkill.as_str(), headers)
    }

    fn without_arguments(name: &str, headers: &http::HeaderMap) -> Self {
        Self {
            summary: RequestSummary {
                name: name.to_owned(),
                arguments: json!({}),
                idempotency_key: None,
            },
            metadata: RequestMetadata::of_http(headers),
        }
    }
}

impl CallService {
    /// Records a call that a limit refused before the protocol layer, in the background: the caller does not wait for it. Does
    /// nothing for other errors.
    pub fn record_refused(
        self: &Arc<Self>,
        error: &AccessError,
        key: &ApiKey,
        principal: &Principal,
        call: impl FnOnce() -> RefusedCall,
    ) {
        match error {
            AccessError::RateLimit(_) | AccessError::ConcurrencyLimit(_) => {}
            AccessError::Throttled(_) | AccessError::Overloaded | AccessError::Key { .. } => return,
        }
        let waiting = Arc::clone(&self.refusals.waiting).try_acquire_owned();
        let (true, Ok(place)) = (self.refusals.takes(principal.api_key), waiting) else {
            return;
        };
        let (service, key, call) = (Arc::clone(self), key.clone(), call());
        self.in_flight.spawn(async move {
            let started = Started::now(service.db()).await;
            let writer = service.refusals.writers.acquire().await;
            service.write_refused(&key, call, &started).await;
            drop((writer, place));
        });
    }

    async fn write_refused(&self, key: &ApiKey, call: RefusedCall, started: &Started) {
        let source = call.metadata.transport.as_str();
        let Ok((tx, principal)) = self.access().begin(key, source).await else {
            // An invalid key was recorded; without a database there is no record of anything.
            return;
        };
        let reply: Result<(), ErrorData> = Ok(());
        let completion = Completion::failure(CallOutcome::OverLimit, "over_limit", reply);
        let event = usage_event(call.summary, call.metadata, &completion, &principal, started);
        if let Err(error) = usage::commit_with_event(tx, &event).await {
            tracing::error!(%error, "a refused call could not be recorded");
        }
    }
}
