//! The requests that are recorded: tool calls, and the methods that read skills around the tools.

use std::ops::ControlFlow;

use rmcp::model::{CallToolResult, JsonObject};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use super::completion::{Completion, error_result, text_bytes};
use super::errors::{FORBIDDEN, OVER_LIMIT};
use super::event_metadata::{recordable, redact, tool_name};
use crate::db::DbError;
use crate::mcp_methods::{Method, MethodError};
use crate::registry::usage::CallOutcome;
use crate::tenancy::Principal;
use crate::tools::{Call, CallContext, Rejection, SideEffect, ToolError, ToolName};

/// What is recorded of a request before it runs.
pub struct RequestSummary {
    /// The tool or MCP method.
    pub name: String,
    /// Names and sizes of the arguments.
    pub arguments: Value,
    /// The caller's key for retries of the same call.
    pub idempotency_key: Option<String>,
}

/// A request that is recorded, however it ends.
pub trait RecordedRequest: Send + 'static {
    /// The success reply.
    type Reply: Send + 'static;
    /// The request after its name, permission and arguments were checked.
    type Checked: Send;

    /// What is recorded of it.
    fn summary(&self) -> RequestSummary;

    /// Checks name, permission and arguments. Breaks with the completion that refuses the request.
    fn check(self, principal: &Principal) -> ControlFlow<Completion<Self::Reply>, Self::Checked>;

    /// Whether it may hold all files of a skill in memory: only a few of these run at once.
    fn loads_skill(&self) -> bool {
        false
    }

    /// Whether it may be stopped when the client is gone.
    fn side_effect(checked: &Self::Checked) -> SideEffect;

    /// Runs it in the caller's transaction.
    ///
    /// # Errors
    /// When the database refused a statement.
    fn run(
        checked: Self::Checked,
        cx: &CallContext<'_>,
    ) -> impl Future<Output = Result<Completion<Self::Reply>, DbError>> + Send;

    /// The reply that carries an error message on which the caller can act.
    ///
    /// # Errors
    /// The message, where this kind of request reports it as a protocol error.
    fn error_reply(_outcome: CallOutcome, message: String) -> Result<Self::Reply, ErrorData> {
        Err(ErrorData::internal_error(message, None))
    }

    /// Refuses the request because of its parameters.
    fn invalid_arguments(message: String) -> Completion<Self::Reply> {
        Completion::protocol_error(CallOutcome::InvalidArguments, message)
    }

    /// Refuses the request because a limit of calls is reached.
    fn over_limit(message: String) -> Completion<Self::Reply> {
        let reply = Err(ErrorData::new(OVER_LIMIT, message, None));
        Completion::failure(CallOutcome::OverLimit, "over_limit", reply)
    }
}

/// Why the parameters of a request are refused, found before the protocol layer. In the extensions of the request.
#[derive(Debug, Clone)]
pub struct InvalidParams(pub(super) String);

impl InvalidParams {
    /// A field that occurs twice in one object.
    #[must_use]
    pub fn duplicate(name: &str) -> Self {
        let name = recordable(name, 64);
        Self(format!(
            "The field \"{name}\" occurs twice in one object. Send it once."
        ))
    }

    pub(super) fn of(context: &RequestContext<RoleServer>) -> Option<Self> {
        let of_http = || context.extensions.get::<http::request::Parts>()?.extensions.get();
        context.extensions.get().or_else(of_http).cloned()
    }
}

/// A request whose parameters are refused, recorded under its own name.
pub(super) struct InvalidRequest<R> {
    pub(super) request: R,
    pub(super) invalid: InvalidParams,
}

impl<R: RecordedRequest> RecordedRequest for InvalidRequest<R> {
    type Reply = R::Reply;
    type Checked = std::convert::Infallible;

    fn summary(&self) -> RequestSummary {
        self.request.summary()
    }

    fn check(self, _principal: &Principal) -> ControlFlow<Completion<R::Reply>, Self::Checked> {
        ControlFlow::Break(R::invalid_arguments(self.invalid.0))
    }

    fn side_effect(checked: &Self::Checked) -> SideEffect {
        match *checked {}
    }

    async fn run(checked: Self::Checked, _cx: &CallContext<'_>) -> Result<Completion<R::Reply>, DbError> {
        match checked {}
    }

    fn over_limit(message: String) -> Completion<R::Reply> {
        R::over_limit(message)
    }
}

/// A `tools/call`.
pub(super) struct ToolCall {
    pub(super) name: String,
    pub(super) arguments: Option<JsonObject>,
}

impl RecordedRequest for ToolCall {
    type Reply = CallToolResult;
    type Checked = (ToolName, Call);

    fn loads_skill(&self) -> bool {
        ToolName::from_name(&self.name).is_some_and(ToolName::loads_skill)
    }

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

    fn check(self, principal: &Principal) -> ControlFlow<Completion<CallToolResult>, Self::Checked> {
        let Some(tool) = ToolName::from_name(&self.name) else {
            let message = format!(
                "Unknown tool: {}. tools/list shows the tools.",
                recordable(&self.name, 128)
            );
            return ControlFlow::Break(Completion::protocol_error(CallOutcome::UnknownTool, message));
        };
        if !tool.allowed_for(principal) {
            let message = missing_permission(tool, tool.as_str(), principal);
            return ControlFlow::Break(Completion::tool_error(
                CallOutcome::MissingScope,
                "missing_scope",
                message,
            ));
        }
        match Call::parse(tool, self.arguments.unwrap_or_default()) {
            Ok(call) => ControlFlow::Continue((tool, call)),
            Err(Rejection::InvalidArguments(message)) => ControlFlow::Break(invalid_arguments(message)),
            Err(Rejection::UnknownTool) => ControlFlow::Break(Completion::protocol_error(
                CallOutcome::UnknownTool,
                "Unknown tool.",
            )),
        }
    }

    fn side_effect((tool, _): &Self::Checked) -> SideEffect {
        tool.effect()
    }

    async fn run(
        (_, call): Self::Checked,
        cx: &CallContext<'_>,
    ) -> Result<Completion<CallToolResult>, DbError> {
        Ok(match call.run(cx).await {
            Ok(answer) => {
                let reply = CallToolResult::structured(answer.output);
                let bytes = text_bytes(&reply);
                Completion::success(reply, bytes)
                    .with_subject(answer.subject)
                    .with_count(answer.result_count)
                    .with_weak_hits(answer.is_weak)
            }
            Err(ToolError::Refused { code, message }) => {
                Completion::tool_error(CallOutcome::ToolError, code, message)
            }
            Err(ToolError::InvalidArguments(message)) => invalid_arguments(message),
            Err(ToolError::Db(error)) => return Err(error),
        })
    }

    fn error_reply(outcome: CallOutcome, message: String) -> Result<CallToolResult, ErrorData> {
        Ok(error_result(outcome, outcome.as_str(), message))
    }

    fn invalid_arguments(message: String) -> Completion<CallToolResult> {
        invalid_arguments(message)
    }

    fn over_limit(message: String) -> Completion<CallToolResult> {
        Completion::tool_error(CallOutcome::OverLimit, "over_limit", message)
    }
}

fn invalid_arguments(message: String) -> Completion<CallToolResult> {
    Completion::tool_error(CallOutcome::InvalidArguments, "invalid_arguments", message)
}

/// A request of a recorded method whose parameters do not have the protocol's form: a `tools/call` without a name.
pub(super) struct MalformedRequest {
    pub(super) method: &'static str,
}

impl RecordedRequest for MalformedRequest {
    type Reply = std::convert::Infallible;
    type Checked = std::convert::Infallible;

    fn summary(&self) -> RequestSummary {
        // The name column holds the tool of a tool call, which is unknown here.
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

    fn check(self, _principal: &Principal) -> ControlFlow<Completion<Self::Reply>, Self::Checked> {
        ControlFlow::Break(Completion::protocol_error(
            CallOutcome::Malformed,
            malformed(self.method),
        ))
    }

    fn side_effect(checked: &Self::Checked) -> SideEffect {
        match *checked {}
    }

    async fn run(checked: Self::Checked, _cx: &CallContext<'_>) -> Result<Completion<Self::Reply>, DbError> {
        match checked {}
    }
}

/// The error message for a request of this method whose parameters do not have the protocol's form.
pub(super) fn malformed(method: &str) -> String {
    let expected = match method {
        "tools/call" => "params need \"name\", a string, and \"arguments\", an object",
        "prompts/get" => "params need \"name\", a string, and \"arguments\", an object of strings",
        "resources/read" | "skills/get" | "resources/directory/read" => "params need \"uri\", a string",
        "completion/complete" => "params need \"ref\" and \"argument\"",
        _ => "its params do not have the form that the protocol defines",
    };
    format!("This {method} is malformed: {expected}.")
}

/// A recorded MCP method other than `tools/call`.
pub(super) struct ReadRequest<M>(pub(super) M);

impl<M: Method> RecordedRequest for ReadRequest<M> {
    type Reply = M::Reply;
    type Checked = M;

    fn loads_skill(&self) -> bool {
        M::LOADS_FILE
    }

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

    fn check(self, principal: &Principal) -> ControlFlow<Completion<M::Reply>, M> {
        if M::REQUIRED_PERMISSION.allowed_for(principal) {
            return ControlFlow::Continue(self.0);
        }
        let message = missing_permission(M::REQUIRED_PERMISSION, M::NAME, principal);
        ControlFlow::Break(Completion::failure(
            CallOutcome::MissingScope,
            "missing_scope",
            Err(ErrorData::new(FORBIDDEN, message, None)),
        ))
    }

    fn side_effect(_checked: &M) -> SideEffect {
        SideEffect::Reads
    }

    async fn run(method: M, cx: &CallContext<'_>) -> Result<Completion<M::Reply>, DbError> {
        let (outcome, code, error) = match method.run(cx).await {
            Ok(answer) => {
                return Ok(Completion::success(answer.reply, answer.bytes).with_subject(answer.subject));
            }
            Err(MethodError::Db(error)) => return Err(error),
            Err(error @ MethodError::UnknownUri { .. }) => (CallOutcome::ToolError, "not_found", error),
            Err(error @ MethodError::InvalidParameters(_)) => {
                (CallOutcome::InvalidArguments, "invalid_arguments", error)
            }
        };
        Ok(Completion::failure(outcome, code, Err(method_error::<M>(&error))))
    }
}

/// A method's error as JSON-RPC. For `resources/read`, rmcp chooses the code of "resource not found" by the protocol
/// version.
pub(super) fn method_error<M: Method>(error: &MethodError) -> ErrorData {
    let message = error.to_string();
    match error {
        MethodError::UnknownUri { uri, .. } => {
            let data = Some(json!({"uri": uri}));
            if M::NAME == "resources/read" {
                ErrorData::resource_not_found(message, data)
            } else {
                ErrorData::invalid_params(message, data)
            }
        }
        MethodError::InvalidParameters(_) => ErrorData::invalid_params(message, None),
        MethodError::Db(error) => {
            tracing::error!(method = M::NAME, %error, "a method failed");
            let message =
                "The registry failed to answer. Try again; if it happens again, tell your administrator.";
            ErrorData::internal_error(message, None)
        }
    }
}

pub(super) fn missing_permission(tool: ToolName, needed_by: &str, principal: &Principal) -> String {
    match tool.scope() {
        Some(scope) if !principal.scopes.allow(scope) => format!(
            "This API key lacks the scope {scope}, which {needed_by} needs. Ask your administrator for a key that has it.",
        ),
        Some(_) | None => {
            let name = tool.as_str();
            let not_among = if needed_by == name {
                format!("{name} is not one of them")
            } else {
                format!("{name}, which {needed_by} needs, is not one of them")
            };
            format!("This API key is limited to certain tools, and {not_among}. whoami lists them.")
        }
    }
}
