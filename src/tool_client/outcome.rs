//! How a call ended, in the same words over every transport.

use rmcp::model::{CallToolResult, ErrorCode, ErrorData};
use serde_json::{Value, json};

use crate::bridge::BridgeFailure;
use crate::server::{ERROR_CODE_META, FORBIDDEN, OUTCOME_META, OVER_LIMIT};

/// How a call ended. The names are those of usage events, as far as the call reached the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    ToolError,
    InvalidArguments,
    UnknownTool,
    MissingScope,
    OverLimit,
    TimedOut,
    InternalError,
    /// The registry rejected the API key. No usage event has this outcome.
    InvalidKey,
    /// The registry gave no answer. No usage event has this outcome.
    Unreachable,
}

impl Outcome {
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::ToolError,
        Self::InvalidArguments,
        Self::UnknownTool,
        Self::MissingScope,
        Self::OverLimit,
        Self::TimedOut,
        Self::InternalError,
        Self::InvalidKey,
        Self::Unreachable,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::InvalidArguments => "invalid_arguments",
            Self::UnknownTool => "unknown_tool",
            Self::MissingScope => "missing_scope",
            Self::OverLimit => "over_limit",
            Self::TimedOut => "timed_out",
            Self::InternalError => "internal_error",
            Self::InvalidKey => "invalid_key",
            Self::Unreachable => "unreachable",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// Why a call or a connection failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    pub outcome: Outcome,
    pub message: String,
}

impl CallFailure {
    pub(super) fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            message: message.into(),
        }
    }

    /// The outcome of a JSON-RPC error. A tool call with a known tool and an object of arguments has valid parameters, so
    /// "invalid params" means an unknown tool (MCP 2025-11-25, tools, error handling).
    pub(super) fn from_error(error: &ErrorData) -> Self {
        let outcome = match (error.code, BridgeFailure::from_code(error.code.0)) {
            (_, Some(BridgeFailure::InvalidKey)) => Outcome::InvalidKey,
            (_, Some(BridgeFailure::Unavailable | BridgeFailure::NotARegistry)) => Outcome::Unreachable,
            (FORBIDDEN, None) => Outcome::MissingScope,
            (OVER_LIMIT, None) => Outcome::OverLimit,
            (ErrorCode::INVALID_PARAMS, None) => Outcome::UnknownTool,
            (_, None) => Outcome::InternalError,
        };
        Self::new(outcome, error.message.clone())
    }
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallReply {
    pub outcome: Outcome,
    /// The registry's identifier of the error, such as `not_found`.
    pub error_code: Option<String>,
    /// The structured result; of a failed call, null.
    pub result: Value,
    /// The error's text; of a successful call, empty.
    pub error: String,
}

impl CallReply {
    pub(super) fn from_result(result: CallToolResult) -> Self {
        if result.is_error != Some(true) {
            let content = result.content;
            return Self {
                outcome: Outcome::Ok,
                error_code: None,
                // A tool without an output schema returns content blocks only.
                result: result
                    .structured_content
                    .unwrap_or_else(|| json!({"content": content})),
                error: String::new(),
            };
        }
        let texts: Vec<&str> = result
            .content
            .iter()
            .filter_map(|block| block.as_text())
            .map(|text| text.text.as_str())
            .collect();
        let meta = |name: &str| {
            let meta = result.meta.as_ref()?;
            meta.get(name)?.as_str().map(str::to_owned)
        };
        let outcome = meta(OUTCOME_META).and_then(|name| Outcome::from_name(&name));
        Self {
            outcome: outcome.unwrap_or(Outcome::ToolError),
            error_code: meta(ERROR_CODE_META),
            result: Value::Null,
            error: texts.join("\n"),
        }
    }

    /// The reply of a call that was not sent.
    #[must_use]
    pub fn unreachable(message: String) -> Self {
        Self::from_failure(CallFailure::new(Outcome::Unreachable, message))
    }

    /// The reply of a call that has no result.
    #[must_use]
    pub fn from_failure(failure: CallFailure) -> Self {
        Self {
            outcome: failure.outcome,
            error_code: Some(failure.outcome.as_str().to_owned()),
            result: Value::Null,
            error: failure.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{ContentBlock, MetaObject};

    use super::*;

    #[test]
    fn outcome_names_are_unique_and_found() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_name(outcome.as_str()), Some(outcome));
        }
        assert_eq!(Outcome::from_name("no_such_outcome"), None);
    }

    #[test]
    fn json_rpc_error_gets_the_outcome_of_its_code() {
        for (code, expected) in [
            (-31_001, Outcome::InvalidKey),
            (-31_003, Outcome::MissingScope),
            (-31_010, Outcome::Unreachable),
            (-31_011, Outcome::Unreachable),
            (-31_029, Outcome::OverLimit),
            (-32_602, Outcome::UnknownTool),
            (-32_603, Outcome::InternalError),
            (5, Outcome::InternalError),
        ] {
            let error = ErrorData::new(ErrorCode(code), "no", None);
            assert_eq!(CallFailure::from_error(&error).outcome, expected, "{code}");
        }
    }

    #[test]
    fn tool_error_keeps_its_code_and_text() {
        let mut result = CallToolResult::error(vec![ContentBlock::text("There is no such skill.")]);
        assert_eq!(CallReply::from_result(result.clone()).outcome, Outcome::ToolError);
        let mut meta = MetaObject::new();
        meta.insert(OUTCOME_META.to_owned(), json!("invalid_arguments"));
        meta.insert(ERROR_CODE_META.to_owned(), json!("x"));
        result.meta = Some(meta);
        let reply = CallReply::from_result(result);
        assert_eq!(reply.outcome, Outcome::InvalidArguments);
        assert_eq!(reply.error_code.as_deref(), Some("x"));
        assert_eq!(
            (reply.result, reply.error.as_str()),
            (Value::Null, "There is no such skill.")
        );
    }

    #[test]
    fn result_without_structured_content_shows_its_blocks() {
        let result = CallToolResult::success(vec![ContentBlock::text("hi")]);
        let reply = CallReply::from_result(result);
        assert_eq!(reply.result["content"][0]["text"], "hi");
    }
}
