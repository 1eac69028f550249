//! The ways in which a request ends: its outcome, its reply, and what becomes of its transaction.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock};

use crate::db::DbError;
use crate::registry::usage::{CallOutcome, Subject};

/// How a request ended, before it is recorded.
pub struct Completion<R> {
    pub(super) outcome: CallOutcome,
    pub(super) error_code: Option<&'static str>,
    pub(super) subject: Subject,
    pub(super) result_count: Option<i32>,
    pub(super) result_bytes: usize,
    pub(super) reply: Result<R, ErrorData>,
    pub(super) transaction: TxDisposition,
}

/// What must become of the request's transaction before the record is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TxDisposition {
    /// Its effects stand.
    Commit,
    /// Its effects are taken back.
    Rollback,
    /// As `Undo`, but a statement may still be running.
    CancelAndRollback,
}

/// What cut a request short, or made it fail by our own fault.
#[derive(Debug)]
pub enum Interrupted {
    /// The database refused a statement.
    Failed(DbError),
    /// It panicked.
    Panicked,
    /// Nobody waits for it any more.
    ClientGone(CallOutcome),
    /// It took longer than this.
    TimedOut(Duration),
}

impl<R> Completion<R> {
    /// It did what it was asked to, in a reply of this many bytes.
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

    /// The same, about this skill.
    #[must_use]
    pub fn with_subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// The same, with what a search found.
    #[must_use]
    pub(super) fn with_count(mut self, count: Option<i32>) -> Self {
        self.result_count = count;
        self
    }

    /// It did not; its effects are taken back.
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

    /// Something that the caller's program did wrong.
    pub fn protocol_error(outcome: CallOutcome, words: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::failure(
            outcome,
            outcome.as_str(),
            Err(ErrorData::invalid_params(words, None)),
        )
    }

    /// It was stopped. Where the caller can act on it, `say` puts the words into the reply that fits the request.
    pub fn stopped(what: &str, stopped: &Interrupted, say: impl Fn(String) -> Result<R, ErrorData>) -> Self {
        match stopped {
            Interrupted::Failed(error) => {
                tracing::error!(tool = what, %error, "a call failed");
                let words = "The registry failed to answer this call, and nothing of it was done. Try again; if it happens again, \
                             tell your administrator.";
                Self::failure(
                    CallOutcome::InternalError,
                    "internal_error",
                    say(words.to_owned()),
                )
            }
            Interrupted::Panicked => {
                tracing::error!(tool = what, "a call panicked");
                let reply = ErrorData::internal_error(
                    "The registry failed to answer this call, and nothing of it was done.",
                    None,
                );
                Self::interrupted(CallOutcome::Panicked, "panicked", Err(reply))
            }
            Interrupted::ClientGone(outcome) => {
                let reply = ErrorData::internal_error("The call was cancelled.", None);
                Self::interrupted(*outcome, outcome.as_str(), Err(reply))
            }
            Interrupted::TimedOut(limit) => {
                let words = format!(
                    "{what} took longer than {} seconds and was stopped; nothing of it was done. Ask for less, or try again later.",
                    limit.as_secs()
                );
                Self::interrupted(CallOutcome::TimedOut, "timed_out", say(words))
            }
        }
    }

    fn interrupted(outcome: CallOutcome, error_code: &'static str, reply: Result<R, ErrorData>) -> Self {
        Self {
            transaction: TxDisposition::CancelAndRollback,
            ..Self::failure(outcome, error_code, reply)
        }
    }
}

impl Completion<CallToolResult> {
    /// Something that a model can act on.
    pub(super) fn tool_error(outcome: CallOutcome, code: &'static str, words: String) -> Self {
        let reply = CallToolResult::error(vec![ContentBlock::text(words)]);
        let bytes = reply
            .content
            .iter()
            .filter_map(|block| block.as_text())
            .map(|text| text.text.len())
            .sum();
        Self {
            result_bytes: bytes,
            ..Self::failure(outcome, code, Ok(reply))
        }
    }
}
