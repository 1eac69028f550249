//! Fetches: recorded reads outside of the protocol, which take the path of a tool call.

use std::ops::ControlFlow;
use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::JsonObject;
use serde_json::Value;

use super::client_connection::ClientConnection;
use super::completion::Completion;
use super::errors;
use super::event_metadata::{RequestMetadata, redact};
use super::request::{RecordedRequest, RequestSummary, missing_permission};
use super::service::CallService;
use crate::access::CallGuard;
use crate::db::DbError;
use crate::fetches::{Archive, Download, Fetch};
use crate::registry::usage::CallOutcome;
use crate::tenancy::{ApiKey, Principal};
use crate::tools::{CallContext, SideEffect, ToolError};

/// Why a fetch was refused.
#[derive(Debug, Clone)]
pub struct RefusedFetch {
    pub outcome: CallOutcome,
    /// Stable identifier of the reason, as in the usage event.
    pub error_code: &'static str,
    /// What happened, and what to do next.
    pub message: String,
}

impl RefusedFetch {
    /// An error of the protocol layer: the key became invalid, or the database did not answer.
    fn of_error(error: &ErrorData) -> Self {
        let (outcome, error_code) = if error.code == errors::INVALID_KEY {
            (CallOutcome::MissingScope, "invalid_key")
        } else {
            (CallOutcome::InternalError, "internal_error")
        };
        Self {
            outcome,
            error_code,
            message: error.message.to_string(),
        }
    }
}

/// A fetch as a recorded request.
pub(super) struct FetchRequest<F>(pub(super) F);

fn refused<T>(
    outcome: CallOutcome,
    error_code: &'static str,
    message: String,
) -> Completion<Result<T, RefusedFetch>> {
    let refusal = RefusedFetch {
        outcome,
        error_code,
        message,
    };
    Completion::failure(outcome, error_code, Ok(Err(refusal)))
}

impl<F: Fetch> RecordedRequest for FetchRequest<F> {
    type Reply = Result<F::Output, RefusedFetch>;
    type Checked = F;

    fn loads_skill(&self) -> bool {
        F::LOADS_SKILL
    }

    fn summary(&self) -> RequestSummary {
        let parameters = self.0.parameters().into_iter();
        let arguments: JsonObject = parameters
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        RequestSummary {
            name: F::NAME.to_owned(),
            arguments: redact(F::NAME, Some(&arguments)),
            idempotency_key: None,
        }
    }

    fn check(self, principal: &Principal) -> ControlFlow<Completion<Self::Reply>, F> {
        let tool = F::REQUIRED_PERMISSION;
        if tool.allowed_for(principal) {
            return ControlFlow::Continue(self.0);
        }
        let message = missing_permission(tool, F::NAME, principal);
        ControlFlow::Break(refused(CallOutcome::MissingScope, "missing_scope", message))
    }

    fn side_effect(_checked: &F) -> SideEffect {
        SideEffect::Reads
    }

    async fn run(fetch: F, cx: &CallContext<'_>) -> Result<Completion<Self::Reply>, DbError> {
        Ok(match fetch.run(cx).await {
            Ok(fetched) => {
                let count = fetched
                    .count
                    .map(|count| i32::try_from(count).unwrap_or(i32::MAX));
                Completion::success(Ok(fetched.output), fetched.bytes)
                    .with_subject(fetched.subject)
                    .with_count(count)
            }
            Err(ToolError::Refused { code, message }) => refused(CallOutcome::ToolError, code, message),
            Err(ToolError::InvalidArguments(message)) => {
                refused(CallOutcome::InvalidArguments, "invalid_arguments", message)
            }
            Err(ToolError::Db(error)) => return Err(error),
        })
    }

    fn error_reply(outcome: CallOutcome, message: String) -> Result<Self::Reply, ErrorData> {
        Ok(Err(RefusedFetch {
            outcome,
            error_code: outcome.as_str(),
            message,
        }))
    }

    fn over_limit(message: String) -> Completion<Self::Reply> {
        refused(CallOutcome::OverLimit, "over_limit", message)
    }
}

impl CallService {
    /// Downloads a version as a zip archive, and records the download. `guard` is its share of the limits over HTTP; `None`
    /// where there is none, as over stdio.
    ///
    /// # Errors
    /// [`RefusedFetch`]: the message for the caller.
    pub async fn download(
        self: &Arc<Self>,
        api_key: ApiKey,
        download: Download,
        metadata: RequestMetadata,
        guard: Option<Arc<CallGuard>>,
    ) -> Result<Archive, RefusedFetch> {
        self.fetch(api_key, download, metadata, guard).await
    }

    /// Runs a fetch and records it.
    ///
    /// # Errors
    /// [`RefusedFetch`]: the message for the caller.
    pub async fn fetch<F: Fetch>(
        self: &Arc<Self>,
        api_key: ApiKey,
        fetch: F,
        metadata: RequestMetadata,
        guard: Option<Arc<CallGuard>>,
    ) -> Result<F::Output, RefusedFetch> {
        let client = ClientConnection::without_peer(guard);
        self.execute(api_key, FetchRequest(fetch), metadata, client)
            .await
            .unwrap_or_else(|error| Err(RefusedFetch::of_error(&error)))
    }
}
