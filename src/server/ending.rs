//! The ways in which a call ends: its outcome, its reply, and what becomes of its transaction.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock};

use crate::db::DbError;
use crate::registry::usage::{Outcome, Subject};
use crate::tools::{Answer, ToolName};

/// How a call ended, before it is recorded.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) error_code: Option<&'static str>,
    pub(super) subject: Subject,
    pub(super) result_count: Option<i32>,
    pub(super) reply: Result<CallToolResult, ErrorData>,
    pub(super) transaction: Transaction,
}

/// What must become of the call's transaction before the record is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// Its effects stand.
    Keep,
    /// Its effects are taken back.
    Undo,
    /// As `Undo`, but a statement may still be running.
    Interrupt,
}

impl Ending {
    pub(super) fn ok(answer: Answer) -> Self {
        Self {
            outcome: Outcome::Ok,
            error_code: None,
            subject: answer.subject,
            result_count: answer.result_count,
            reply: Ok(CallToolResult::structured(answer.output)),
            transaction: Transaction::Keep,
        }
    }

    fn bad(outcome: Outcome, error_code: &'static str, reply: Result<CallToolResult, ErrorData>) -> Self {
        Self {
            outcome,
            error_code: Some(error_code),
            subject: Subject::default(),
            result_count: None,
            reply,
            transaction: Transaction::Undo,
        }
    }

    /// Something that a model can act on.
    pub(super) fn tool_error(outcome: Outcome, code: &'static str, words: String) -> Self {
        Self::bad(
            outcome,
            code,
            Ok(CallToolResult::error(vec![ContentBlock::text(words)])),
        )
    }

    /// Something that the caller's program did wrong.
    pub(super) fn protocol_error(outcome: Outcome, words: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::bad(
            outcome,
            outcome.as_str(),
            Err(ErrorData::invalid_params(words, None)),
        )
    }

    pub(super) fn failed(tool: ToolName, error: &DbError) -> Self {
        tracing::error!(tool = tool.as_str(), %error, "a tool failed");
        let words = "The registry failed to answer this call, and nothing of it was done. Try again; if it happens again, \
                     tell your administrator.";
        Self::tool_error(Outcome::InternalError, "internal_error", words.to_owned())
    }

    pub(super) fn panicked(tool: ToolName) -> Self {
        tracing::error!(tool = tool.as_str(), "a tool panicked");
        let reply = Err(ErrorData::internal_error(
            "The registry failed to answer this call, and nothing of it was done.",
            None,
        ));
        Self {
            transaction: Transaction::Interrupt,
            ..Self::bad(Outcome::Panicked, "panicked", reply)
        }
    }

    pub(super) fn cut_short(outcome: Outcome) -> Self {
        let reply = Err(ErrorData::internal_error("The call was cancelled.", None));
        Self {
            transaction: Transaction::Interrupt,
            ..Self::bad(outcome, outcome.as_str(), reply)
        }
    }

    pub(super) fn timed_out(tool: ToolName, limit: Duration) -> Self {
        let words = format!(
            "{} took longer than {} seconds and was stopped; nothing of it was done. Ask for less, or try again later.",
            tool.as_str(),
            limit.as_secs()
        );
        Self {
            transaction: Transaction::Interrupt,
            ..Self::tool_error(Outcome::TimedOut, "timed_out", words)
        }
    }
}
