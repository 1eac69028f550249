//! What goes through the service: tool calls, and the methods that read skills around the tools.

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ErrorCode, JsonObject};
use serde_json::{Value, json};

use super::completion::{Completion, Interrupted};
use super::event_metadata::{recordable, redact, tool_name};
use super::service::ExecutionContext;
use crate::mcp_methods::{Method, MethodError};
use crate::registry::usage::CallOutcome;
use crate::tenancy::Principal;
use crate::tools::{Call, Rejection, SideEffect, ToolError, ToolName};

/// The JSON-RPC error of a key that may not do this; outside the range that the protocol reserves.
const FORBIDDEN: ErrorCode = ErrorCode(-31_003);

/// The JSON-RPC error of a caller who has made as many calls as he may; outside the range that the protocol reserves.
pub(super) const OVER_LIMIT: ErrorCode = ErrorCode(-31_029);

/// What is recorded of a request before anything is done about it.
pub struct RequestSummary {
    /// The tool, or the protocol's method.
    pub name: String,
    /// Names and sizes of the arguments.
    pub arguments: Value,
    /// The name that the caller chose for finding his call again.
    pub idempotency_key: Option<String>,
}

/// A request that is recorded, however it ends.
pub trait RecordedRequest: Send + 'static {
    /// What it answers with.
    type Reply: Send + 'static;

    /// What is recorded of it.
    fn summary(&self) -> RequestSummary;

    /// How it is refused to a caller who has made as many calls as he may.
    fn over_limit(&self, words: String) -> Completion<Self::Reply> {
        Completion::failure(
            CallOutcome::OverLimit,
            "over_limit",
            Err(ErrorData::new(OVER_LIMIT, words, None)),
        )
    }

    /// Does it in the caller's transaction, and tells what shall become of that.
    fn run(self, execution: &ExecutionContext<'_>) -> impl Future<Output = Completion<Self::Reply>> + Send;
}

/// A `tools/call`.
pub(super) struct ToolCall {
    pub(super) name: String,
    pub(super) arguments: Option<JsonObject>,
}

impl RecordedRequest for ToolCall {
    type Reply = CallToolResult;

    fn summary(&self) -> RequestSummary {
        let idempotency_key = self
            .arguments
            .as_ref()
            .and_then(|arguments| arguments.get("idempotency_key"))
            .and_then(Value::as_str)
            .map(|key| recordable(key, 128));
        RequestSummary {
            name: tool_name(&self.name),
            arguments: redact(&self.name, self.arguments.as_ref()),
            idempotency_key,
        }
    }

    fn over_limit(&self, words: String) -> Completion<CallToolResult> {
        Completion::tool_error(CallOutcome::OverLimit, "over_limit", words)
    }

    async fn run(self, execution: &ExecutionContext<'_>) -> Completion<CallToolResult> {
        let Some(tool) = ToolName::from_name(&self.name) else {
            let words = format!(
                "Unknown tool: {}. tools/list shows the tools.",
                recordable(&self.name, 128)
            );
            return Completion::protocol_error(CallOutcome::UnknownTool, words);
        };
        let principal = execution.cx.principal;
        if !tool.allowed_for(principal) {
            let words = missing_scope(tool, tool.as_str(), principal);
            return Completion::tool_error(CallOutcome::MissingScope, "missing_scope", words);
        }
        let call = match Call::parse(tool, self.arguments.unwrap_or_default()) {
            Ok(call) => call,
            Err(Rejection::InvalidArguments(words)) => {
                return Completion::tool_error(CallOutcome::InvalidArguments, "invalid_arguments", words);
            }
            Err(Rejection::UnknownTool) => {
                return Completion::protocol_error(CallOutcome::UnknownTool, "Unknown tool.");
            }
        };
        let name = tool.as_str();
        match execution
            .run_with_deadline(name, tool.effect(), call.run(&execution.cx))
            .await
        {
            Ok(Ok(answer)) => {
                let reply = CallToolResult::structured(answer.output);
                let bytes = text_bytes(&reply);
                Completion::success(reply, bytes)
                    .with_subject(answer.subject)
                    .with_count(answer.result_count)
            }
            Ok(Err(ToolError::Refused { code, message })) => {
                Completion::tool_error(CallOutcome::ToolError, code, message)
            }
            Ok(Err(ToolError::InvalidArguments(words))) => {
                Completion::tool_error(CallOutcome::InvalidArguments, "invalid_arguments", words)
            }
            Ok(Err(ToolError::Db(error))) => {
                Completion::stopped(name, &Interrupted::Failed(error), |words| {
                    Ok(CallToolResult::error(vec![rmcp::model::ContentBlock::text(
                        words,
                    )]))
                })
            }
            Err(stopped) => Completion::stopped(name, &stopped, |words| {
                Ok(CallToolResult::error(vec![rmcp::model::ContentBlock::text(
                    words,
                )]))
            }),
        }
    }
}

/// A request of this method whose parameters are not what the protocol says: a `tools/call` without a name, for example.
pub(super) struct MalformedRequest {
    pub(super) method: &'static str,
}

impl RecordedRequest for MalformedRequest {
    type Reply = std::convert::Infallible;

    fn summary(&self) -> RequestSummary {
        // A tool call without a tool is recorded as such.
        let name = if self.method == "tools/call" {
            ""
        } else {
            self.method
        };
        RequestSummary {
            name: name.to_owned(),
            arguments: json!({}),
            idempotency_key: None,
        }
    }

    async fn run(self, _stage: &ExecutionContext<'_>) -> Completion<Self::Reply> {
        Completion::protocol_error(CallOutcome::Malformed, malformed(self.method))
    }
}

/// What the caller of a malformed request is told.
pub(super) fn malformed(method: &str) -> String {
    let wanted = match method {
        "tools/call" => "params need \"name\", a text, and \"arguments\", an object",
        "prompts/get" => "params need \"name\", a text, and \"arguments\", an object of texts",
        "resources/read" | "skills/get" | "resources/directory/read" => "params need \"uri\", a text",
        "completion/complete" => "params need \"ref\" and \"argument\"",
        _ => "its params are not of the form that the protocol gives them",
    };
    format!("This {method} is malformed: {wanted}.")
}

/// A method that is recorded.
pub(super) struct ReadRequest<M>(pub(super) M);

impl<M: Method> RecordedRequest for ReadRequest<M> {
    type Reply = M::Reply;

    fn summary(&self) -> RequestSummary {
        let arguments: JsonObject = self
            .0
            .parameters()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        RequestSummary {
            name: M::NAME.to_owned(),
            arguments: redact(M::NAME, Some(&arguments)),
            idempotency_key: None,
        }
    }

    async fn run(self, execution: &ExecutionContext<'_>) -> Completion<M::Reply> {
        let principal = execution.cx.principal;
        if !M::REQUIRED_PERMISSION.allowed_for(principal) {
            let words = missing_scope(M::REQUIRED_PERMISSION, M::NAME, principal);
            let reply = Err(ErrorData::new(FORBIDDEN, words, None));
            return Completion::failure(CallOutcome::MissingScope, "missing_scope", reply);
        }
        let run = self.0.run(&execution.cx);
        match execution.run_with_deadline(M::NAME, SideEffect::Reads, run).await {
            Ok(Ok(answer)) => Completion::success(answer.reply, answer.bytes).with_subject(answer.subject),
            Ok(Err(MethodError::Db(error))) => {
                Completion::stopped(M::NAME, &Interrupted::Failed(error), |words| Err(internal(words)))
            }
            Ok(Err(error @ MethodError::UnknownUri { .. })) => {
                Completion::failure(CallOutcome::ToolError, "not_found", Err(explain::<M>(&error)))
            }
            Ok(Err(error @ MethodError::InvalidParameters(_))) => Completion::failure(
                CallOutcome::InvalidArguments,
                "invalid_arguments",
                Err(explain::<M>(&error)),
            ),
            Err(stopped) => Completion::stopped(M::NAME, &stopped, |words| Err(internal(words))),
        }
    }
}

/// A method's error as the protocol has it. The framework gives "resource not found" the code of the caller's revision.
pub(super) fn explain<M: Method>(error: &MethodError) -> ErrorData {
    let words = error.to_string();
    match error {
        MethodError::UnknownUri { uri, .. } => {
            let data = Some(json!({"uri": uri}));
            if M::NAME == "resources/read" {
                ErrorData::resource_not_found(words, data)
            } else {
                ErrorData::invalid_params(words, data)
            }
        }
        MethodError::InvalidParameters(_) => ErrorData::invalid_params(words, None),
        MethodError::Db(error) => {
            tracing::error!(method = M::NAME, %error, "a method failed");
            internal(
                "The registry failed to answer. Try again; if it happens again, tell your administrator."
                    .to_owned(),
            )
        }
    }
}

fn internal(words: String) -> ErrorData {
    ErrorData::internal_error(words, None)
}

fn missing_scope(tool: ToolName, what: &str, principal: &Principal) -> String {
    match tool.scope() {
        Some(scope) if !principal.scopes.allow(scope) => format!(
            "This API key lacks the scope {scope}, which {what} needs. Ask your administrator for a key that has it.",
        ),
        Some(_) | None => {
            let name = tool.as_str();
            let not_among = if what == name {
                format!("{name} is not one of them")
            } else {
                format!("{name}, which {what} needs, is not one of them")
            };
            format!("This API key is limited to certain tools, and {not_among}. whoami lists them.")
        }
    }
}

fn text_bytes(result: &CallToolResult) -> usize {
    let texts = result.content.iter().filter_map(|block| block.as_text());
    texts.map(|text| text.text.len()).sum()
}
