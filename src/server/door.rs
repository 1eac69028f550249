//! The one door: opens the caller's transaction, runs his call in it, records how it ended, commits both or neither.
//!
//! Invariant: whoever gets an answer to a tool call, good or bad, has one row in `usage_events`. The only errors without
//! one are those in which there is no caller (his key does not hold) or no database to write to; then nothing was done.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ErrorCode, JsonObject};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ending::{Ending, Transaction};
use super::record::{Envelope, recordable, redact};
use crate::db::{DbError, ServerDb, TenantTx};
use crate::ids::EventId;
use crate::registry::usage::{self, Outcome, UsageEvent};
use crate::search::SearchCache;
use crate::tenancy::{ApiKey, AuthError, Principal, authenticate};
use crate::tools::{Call, CallContext, Effect, Rejection, ToolError, ToolName};

/// The JSON-RPC error of a key that does not hold; outside the range that the protocol reserves.
const INVALID_KEY: ErrorCode = ErrorCode(-31_001);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A call, from its start to its end.
    pub call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
        }
    }
}

/// Runs inside a call, before its tool. Only tests set one: to stumble where a tool could.
pub type BeforeRun = Arc<dyn for<'a> Fn(ToolName, &'a TenantTx) -> BoxFuture<'a, ()> + Send + Sync>;

/// The door. Cheap to share.
pub struct Door {
    db: ServerDb,
    search: SearchCache,
    limits: Limits,
    in_flight: TaskTracker,
    before_run: Option<BeforeRun>,
}

/// What a caller asks for.
pub(super) enum Request {
    Tool {
        name: String,
        arguments: Option<JsonObject>,
    },
    /// A `tools/call` that is none: without a name, or with arguments that are no object.
    Malformed,
}

impl Door {
    /// A door to this database.
    #[must_use]
    pub fn new(db: ServerDb, limits: Limits) -> Self {
        Self {
            db,
            search: SearchCache::default(),
            limits,
            in_flight: TaskTracker::new(),
            before_run: None,
        }
    }

    /// The same door, with a stumbling block before each tool.
    #[must_use]
    pub fn with_before_run(mut self, before_run: BeforeRun) -> Self {
        self.before_run = Some(before_run);
        self
    }

    /// The database behind it.
    #[must_use]
    pub const fn db(&self) -> &ServerDb {
        &self.db
    }

    /// Waits until every call in flight has been recorded.
    pub async fn drain(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
    }

    /// Who the key belongs to, for answers that are not tool calls.
    pub(super) async fn principal(&self, key: &ApiKey) -> Result<Principal, ErrorData> {
        let (tx, principal) = authenticate(&self.db, key)
            .await
            .map_err(|error| refuse(&error))?;
        tx.roll_back().await.map_err(|error| unavailable(&error))?;
        Ok(principal)
    }

    /// Runs a call to its record. In a task of its own: a transport that drops its future must not drop the record.
    pub(super) async fn call(
        self: &Arc<Self>,
        key: ApiKey,
        request: Request,
        envelope: Envelope,
        gone: Gone,
    ) -> Result<CallToolResult, ErrorData> {
        let door = Arc::clone(self);
        let task = self
            .in_flight
            .spawn(async move { door.call_in_task(&key, request, envelope, gone).await });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call ended without an answer");
            Err(ErrorData::internal_error(
                "The registry could not finish the call. Nothing of it was done.",
                None,
            ))
        })
    }

    async fn call_in_task(
        &self,
        key: &ApiKey,
        request: Request,
        envelope: Envelope,
        gone: Gone,
    ) -> Result<CallToolResult, ErrorData> {
        let started = Instant::now();
        let id = EventId::new();
        let (tx, principal) = authenticate(&self.db, key)
            .await
            .map_err(|error| refuse(&error))?;
        let (tool, arguments, idempotency_key) = match &request {
            Request::Tool { name, arguments } => (
                recordable(name, 128),
                redact(name, arguments.as_ref()),
                idempotency_key(arguments.as_ref()),
            ),
            Request::Malformed => (String::new(), Value::Object(JsonObject::new()), None),
        };
        let ending = self.run(&tx, &principal, request, &gone).await;
        let prepared = match ending.transaction {
            Transaction::Keep => Ok(()),
            Transaction::Undo => tx.undo().await,
            Transaction::Interrupt => tx.interrupt().await,
        };
        let envelope = envelope.recordable();
        let event = UsageEvent {
            id,
            api_key: principal.api_key,
            user: principal.user,
            tool,
            subject: ending.subject,
            outcome: ending.outcome,
            error_code: ending.error_code,
            duration_us: i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
            transport: envelope.transport.as_str(),
            protocol_version: envelope.protocol_version,
            client_name: envelope.client_name,
            client_version: envelope.client_version,
            request_id: envelope.request_id,
            trace_id: envelope.trace_id,
            idempotency_key,
            arguments,
            result_count: ending.result_count,
            result_bytes: ending.reply.as_ref().map_or(0, text_bytes),
        };
        let recorded = match prepared {
            Ok(()) => usage::commit_with_event(tx, &event).await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            tracing::error!(event = %id, tool = event.tool, %error, "a call could not be recorded");
            return Err(unrecorded(&error));
        }
        tracing::info!(
            event = %id,
            tenant = %principal.tenant,
            tool = event.tool,
            outcome = event.outcome.as_str(),
            duration_us = event.duration_us,
            transport = event.transport,
            "call"
        );
        ending.reply
    }

    async fn run(&self, tx: &TenantTx, principal: &Principal, request: Request, gone: &Gone) -> Ending {
        let Request::Tool { name, arguments } = request else {
            let words =
                "This tools/call is malformed: params need \"name\", a text, and \"arguments\", an object.";
            return Ending::protocol_error(Outcome::Malformed, words);
        };
        let Some(tool) = ToolName::from_name(&name) else {
            let words = format!(
                "Unknown tool: {}. tools/list shows the tools.",
                recordable(&name, 128)
            );
            return Ending::protocol_error(Outcome::UnknownTool, words);
        };
        if !tool.allowed_for(principal) {
            return Ending::tool_error(
                Outcome::MissingScope,
                "missing_scope",
                missing_scope(tool, principal),
            );
        }
        let call = match Call::parse(tool, arguments.unwrap_or_default()) {
            Ok(call) => call,
            Err(Rejection::InvalidArguments(words)) => {
                return Ending::tool_error(Outcome::InvalidArguments, "invalid_arguments", words);
            }
            Err(Rejection::UnknownTool) => {
                return Ending::protocol_error(Outcome::UnknownTool, "Unknown tool.");
            }
        };
        self.run_guarded(tx, principal, call, gone).await
    }

    /// The tool itself, with everything that may cut it short.
    async fn run_guarded(&self, tx: &TenantTx, principal: &Principal, call: Call, gone: &Gone) -> Ending {
        let tool = call.name();
        let cx = CallContext {
            tx,
            principal,
            search: &self.search,
        };
        let run = async {
            if let Some(before_run) = &self.before_run {
                before_run(tool, tx).await;
            }
            call.run(&cx).await
        };
        let run = AssertUnwindSafe(run).catch_unwind();
        let left = async {
            match tool.effect() {
                Effect::Reads => gone.wait().await,
                // What changes something is brought to its end, so that its record tells what is true.
                Effect::Adds | Effect::AddsOnce => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            finished = run => match finished {
                Ok(Ok(answer)) => Ending::ok(answer),
                Ok(Err(ToolError::Refused { code, message })) => Ending::tool_error(Outcome::ToolError, code, message),
                Ok(Err(ToolError::Db(error))) => Ending::failed(tool, &error),
                Err(_panic) => Ending::panicked(tool),
            },
            outcome = left => Ending::cut_short(outcome),
            () = tokio::time::sleep(self.limits.call) => Ending::timed_out(tool, self.limits.call),
        }
    }
}

/// Notices that nobody waits for the answer any more.
pub(super) struct Gone {
    pub(super) cancelled: CancellationToken,
    /// Whether the whole connection is gone, not just the call taken back.
    pub(super) connection_closed: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Gone {
    async fn wait(&self) -> Outcome {
        self.cancelled.cancelled().await;
        if (self.connection_closed)() {
            Outcome::ClientGone
        } else {
            Outcome::Cancelled
        }
    }
}

fn missing_scope(tool: ToolName, principal: &Principal) -> String {
    match tool.scope() {
        Some(scope) if !principal.scopes.allow(scope) => format!(
            "This API key lacks the scope {scope}, which {} needs. Ask your administrator for a key that has it.",
            tool.as_str()
        ),
        Some(_) | None => format!(
            "This API key is limited to certain tools, and {} is not one of them. whoami lists them.",
            tool.as_str()
        ),
    }
}

/// Recorded beside the arguments' sizes: it is a name that the caller chose for finding his call again.
fn idempotency_key(arguments: Option<&JsonObject>) -> Option<String> {
    match arguments?.get("idempotency_key")? {
        Value::String(key) => Some(recordable(key, 128)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text_bytes(result: &CallToolResult) -> i64 {
    let bytes: usize = result
        .content
        .iter()
        .filter_map(|block| block.as_text())
        .map(|text| text.text.len())
        .sum();
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn refuse(error: &AuthError) -> ErrorData {
    match error {
        AuthError::Invalid => {
            tracing::warn!("a call came with an API key that does not hold");
            ErrorData::new(INVALID_KEY, error.to_string(), None)
        }
        AuthError::Db(error) => unavailable(error),
    }
}

fn unavailable(error: &DbError) -> ErrorData {
    tracing::error!(%error, "the database did not answer");
    ErrorData::internal_error(
        "The registry's database is not available. Nothing was done. Try again in a moment.",
        None,
    )
}

/// After a lost connection nobody knows whether the commit happened; whatever did happen, its record did with it.
fn unrecorded(error: &DbError) -> ErrorData {
    let words = if error.is_unavailable() {
        "The registry lost its database during the call and cannot tell whether it was done. Look before you try again."
    } else {
        "The registry could not record the call, so nothing of it was done. Try again; if it happens again, tell your administrator."
    };
    ErrorData::internal_error(words, None)
}
