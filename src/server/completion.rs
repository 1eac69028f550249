//! How a request completed: its outcome, its reply, and what happens to its transaction.

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock, MetaObject};

use super::client_connection::Interrupted;
use crate::registry::usage::{CallOutcome, Subject};

/// Key in the `_meta` of a failed tool result: the outcome of the call, as in its usage event. For programs that call tools;
/// a model reads the text.
pub const OUTCOME_META: &str = "skillkeep/outcome";
/// Key in the `_meta` of a failed tool result: the stable identifier of the error.
pub const ERROR_CODE_META: &str = "skillkeep/error_code";

/// A completed request, before it is recorded.
pub struct Completion<R> {
    pub(super) outcome: CallOutcome,
    pub(super) error_code: Option<&'static str>,
    pub(super) subject: Subject,
    pub(super) result_count: Option<i32>,
    pub(super) result_bytes: usize,
    pub(super) reply: Result<R, ErrorData>,
    pub(super) transaction: TxDisposition,
}

/// What happens to the request's effects when its usage event is committed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TxDisposition {
    /// The effects are committed.
    Commit,
    /// The effects are rolled back.
    Rollback,
    /// As [`Self::Rollback`], after cancelling a statement that may still run.
    CancelAndRollback,
}

impl<R> Completion<R> {
    /// The request succeeded. `bytes` is the size of the reply's contents.
    pub fn success(reply: R, bytes: usize) -> Self {
        Self {
            outcome: CallOutcome::Ok,
            error_code: None,
            subject: Subject::default(),
            result_count: None,
            result_bytes: bytes,
            reply: Ok(reply),
            transaction: TxDisposition::Commit,
        }
    }

    /// Sets the skill that the request was about.
    #[must_use]
    pub const fn with_subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Sets the number of search hits.
    #[must_use]
    pub(super) const fn with_count(mut self, count: Option<i32>) -> Self {
        self.result_count = count;
        self
    }

    /// The request failed; its effects are rolled back.
    pub fn failure(outcome: CallOutcome, error_code: &'static str, reply: Result<R, ErrorData>) -> Self {
        Self {
            outcome,
            error_code: Some(error_code),
            subject: Subject::default(),
            result_count: None,
            result_bytes: 0,
            reply,
            transaction: TxDisposition::Rollback,
        }
    }

    /// The request violates the protocol.
    pub(super) fn protocol_error(
        outcome: CallOutcome,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Self {
        Self::failure(
            outcome,
            outcome.as_str(),
            Err(ErrorData::invalid_params(message, None)),
        )
    }

    /// The request was interrupted or failed by a fault of the server. `reply` makes the reply where the caller can act on
    /// the message.
    pub(super) fn interrupted(
        name: &str,
        interrupted: &Interrupted,
        reply: impl Fn(CallOutcome, String) -> Result<R, ErrorData>,
    ) -> Self {
        match interrupted {
            Interrupted::Failed(error) => {
                tracing::error!(tool = name, %error, "a call failed");
                let message = "The registry failed to answer this call, and nothing was done. Try again; if it happens \
                               again, tell your administrator.";
                Self::failure(
                    CallOutcome::InternalError,
                    "internal_error",
                    reply(CallOutcome::InternalError, message.to_owned()),
                )
            }
            Interrupted::Panicked => {
                tracing::error!(tool = name, "a call panicked");
                let reply = ErrorData::internal_error(
                    "The registry failed to answer this call, and nothing was done.",
                    None,
                );
                Self::cancelled(CallOutcome::Panicked, "panicked", Err(reply))
            }
            Interrupted::ClientGone(outcome) => {
                let reply = ErrorData::internal_error("The call was cancelled.", None);
                Self::cancelled(*outcome, outcome.as_str(), Err(reply))
            }
            Interrupted::TimedOut(limit) => {
                let message = format!(
                    "{name} took longer than {} seconds and was stopped; nothing was done. Ask for less, or try again later.",
                    limit.as_secs()
                );
                let reply = reply(CallOutcome::TimedOut, message);
                Self::cancelled(CallOutcome::TimedOut, "timed_out", reply)
            }
        }
    }

    fn cancelled(outcome: CallOutcome, error_code: &'static str, reply: Result<R, ErrorData>) -> Self {
        Self {
            transaction: TxDisposition::CancelAndRollback,
            ..Self::failure(outcome, error_code, reply)
        }
    }
}

impl Completion<CallToolResult> {
    /// The tool failed with a message that a model can act on.
    pub(super) fn tool_error(outcome: CallOutcome, code: &'static str, message: String) -> Self {
        let reply = error_result(outcome, code, message);
        Self {
            result_bytes: text_bytes(&reply),
            ..Self::failure(outcome, code, Ok(reply))
        }
    }
}

/// A tool result that says what failed, in text for a model and in `_meta` for a program.
pub(super) fn error_result(outcome: CallOutcome, code: &str, message: String) -> CallToolResult {
    let mut meta = MetaObject::new();
    meta.insert(OUTCOME_META.to_owned(), outcome.as_str().into());
    meta.insert(ERROR_CODE_META.to_owned(), code.into());
    CallToolResult::error(vec![ContentBlock::text(message)]).with_meta(Some(meta))
}

/// The size of a result's text blocks, in bytes.
pub(super) fn text_bytes(result: &CallToolResult) -> usize {
    let texts = result.content.iter().filter_map(|block| block.as_text());
    texts.map(|text| text.text.len()).sum()
}
