//! The one service: opens the caller's transaction, does his work in it, records how it ended, commits both or neither.
//!
//! Invariant: whoever gets an answer to a tool call or to a read of a skill, good or bad, has one row in `usage_events`.
//! The only errors without one are those in which there is no caller (his key does not hold) or no database to write to;
//! then nothing was done.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rmcp::ErrorData;
use rmcp::model::ErrorCode;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::audit_denials::{Denial, DenialRecorder, Reason};
use super::client_connection::ClientConnection;
use super::completion::{Completion, Interrupted, TxDisposition};
use super::event_metadata::{RequestMetadata, TransportKind, keep_search_text};
use super::request::{OVER_LIMIT, RecordedRequest, RequestSummary, explain};
use super::subscriptions::Subscriptions;
use crate::db::{DbError, ServerDb, TenantTx};
use crate::ids::EventId;
use crate::mcp_methods::Method;
use crate::registry::usage::{self, CallOutcome, UsageEvent};
use crate::search::SearchCache;
use crate::tenancy::{ApiKey, AuthError, CallLimiter, Principal, authenticate};
use crate::tools::{CallContext, SideEffect};

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

/// Runs inside a request, before its tool or method, whose name it is given. Only tests set one: to stumble where those could.
pub type TestHook = Arc<dyn for<'a> Fn(&str, &'a TenantTx) -> BoxFuture<'a, ()> + Send + Sync>;

/// The service. Cheap to share.
pub struct CallService {
    pub(super) db: ServerDb,
    search: SearchCache,
    limits: Limits,
    pub(super) meter: CallLimiter,
    denials: DenialRecorder,
    in_flight: TaskTracker,
    test_hook: Option<TestHook>,
    pub(super) subscriptions: Subscriptions,
}

/// What a request is run with.
pub struct ExecutionContext<'a> {
    /// The caller's transaction, and who he is.
    pub cx: CallContext<'a>,
    limits: Limits,
    test_hook: Option<&'a TestHook>,
    caller: &'a ClientConnection,
}

impl ExecutionContext<'_> {
    /// Awaits `run` with everything that may cut it short: its caller's leaving, a panic, the time limit.
    ///
    /// # Errors
    /// What it was that did.
    pub async fn run_with_deadline<T>(
        &self,
        what: &str,
        effect: SideEffect,
        run: impl Future<Output = T> + Send,
    ) -> Result<T, Interrupted> {
        let run = async {
            self.caller.report_started(what).await;
            if let Some(test_hook) = self.test_hook {
                test_hook(what, self.cx.tx).await;
            }
            run.await
        };
        let run = AssertUnwindSafe(run).catch_unwind();
        let left = async {
            match effect {
                SideEffect::Reads => self.caller.disconnected().await,
                // What changes something is brought to its end, so that its record tells what is true.
                SideEffect::Adds | SideEffect::AddsOnce => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            finished = run => finished.map_err(|_panic| Interrupted::Panicked),
            outcome = left => Err(Interrupted::ClientGone(outcome)),
            () = tokio::time::sleep(self.limits.call) => Err(Interrupted::TimedOut(self.limits.call)),
            never = self.caller.report_progress(what) => match never {},
        }
    }
}

impl CallService {
    /// A service to this database.
    #[must_use]
    pub fn new(db: ServerDb, limits: Limits) -> Self {
        Self {
            denials: DenialRecorder::new(db.clone()),
            db,
            search: SearchCache::default(),
            limits,
            meter: CallLimiter::default(),
            in_flight: TaskTracker::new(),
            test_hook: None,
            subscriptions: Subscriptions::default(),
        }
    }

    /// The same service, with a stumbling block before each tool.
    #[must_use]
    pub fn with_test_hook(mut self, test_hook: TestHook) -> Self {
        self.test_hook = Some(test_hook);
        self
    }

    /// The database behind it.
    #[must_use]
    pub const fn db(&self) -> &ServerDb {
        &self.db
    }

    /// What was refused, on its way into the audit log.
    #[must_use]
    pub const fn denials(&self) -> &DenialRecorder {
        &self.denials
    }

    /// Ends every subscription, so that the clients go elsewhere: the server is about to stop.
    pub fn end_subscriptions(&self) {
        self.subscriptions.end();
    }

    /// Waits until every call in flight has been recorded, and what was refused has been written down.
    pub async fn drain(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
        self.denials.finish().await;
    }

    /// Does a piece of work and records it. In a task of its own: a transport that drops its future must not drop the record.
    pub(super) async fn execute<W: RecordedRequest>(
        self: &Arc<Self>,
        key: ApiKey,
        work: W,
        envelope: RequestMetadata,
        caller: ClientConnection,
    ) -> Result<W::Reply, ErrorData> {
        let service = Arc::clone(self);
        let summary = work.summary();
        let span = tracing::info_span!("call", tool = summary.name, trace_id = envelope.trace_id);
        let task = self.in_flight.spawn(
            async move {
                service
                    .execute_recorded(&key, work, summary, envelope, &caller)
                    .await
            }
            .instrument(span),
        );
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call ended without an answer");
            Err(ErrorData::internal_error(
                "The registry could not finish the call. Nothing of it was done.",
                None,
            ))
        })
    }

    async fn execute_recorded<W: RecordedRequest>(
        &self,
        key: &ApiKey,
        work: W,
        summary: RequestSummary,
        envelope: RequestMetadata,
        caller: &ClientConnection,
    ) -> Result<W::Reply, ErrorData> {
        let started = Instant::now();
        let id = EventId::new();
        let source = envelope.transport.as_str();
        let (tx, principal) = authenticate(&self.db, key)
            .await
            .map_err(|error| self.refuse(&error, source))?;
        // Over HTTP that was done before the protocol layer.
        let admitted = match envelope.transport {
            TransportKind::Stdio => self
                .admit_in(&tx, &principal)
                .await
                .map_err(|error| unavailable(&error))?
                .map(Some),
            TransportKind::Http | TransportKind::Sse => Ok(None),
        };
        // Until the call is recorded it counts as running.
        let ending = match &admitted {
            Ok(_admission) => work.run(&self.execution(&tx, &principal, caller)).await,
            Err(over) => work.over_limit(over.to_string()),
        };
        self.note_denial(&principal, ending.outcome, &summary.name, source);
        let prepared = match ending.transaction {
            TxDisposition::Commit => Ok(()),
            TxDisposition::Rollback => tx.rollback_to_savepoint().await,
            TxDisposition::CancelAndRollback => tx.cancel_and_rollback().await,
        };
        let envelope = envelope.recordable();
        let event = UsageEvent {
            id,
            api_key: principal.api_key,
            user: principal.user,
            tool: summary.name,
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
            idempotency_key: summary.idempotency_key,
            arguments: keep_search_text(summary.arguments, &principal),
            result_count: ending.result_count,
            result_bytes: i64::try_from(ending.result_bytes).unwrap_or(i64::MAX),
        };
        let recorded = match prepared {
            Ok(()) => usage::commit_with_event(tx, &event).await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            tracing::error!(event = %id, %error, "a call could not be recorded");
            return Err(unrecorded(&error));
        }
        tracing::info!(
            event = %id,
            tenant = %principal.tenant,
            outcome = event.outcome.as_str(),
            duration_us = event.duration_us,
            transport = event.transport,
            "call"
        );
        ending.reply
    }

    /// Answers what is not recorded: lists and completions. Nothing that it wrote would stand.
    pub(super) async fn execute_unrecorded<M: Method>(
        &self,
        key: &ApiKey,
        method: M,
        transport: TransportKind,
        caller: &ClientConnection,
    ) -> Result<M::Reply, ErrorData> {
        let source = transport.as_str();
        let (tx, principal) = authenticate(&self.db, key)
            .await
            .map_err(|error| self.refuse(&error, source))?;
        let admitted = match transport {
            TransportKind::Stdio => self
                .admit_in(&tx, &principal)
                .await
                .map_err(|error| unavailable(&error))?
                .map(Some),
            TransportKind::Http | TransportKind::Sse => Ok(None),
        };
        if let Err(over) = &admitted {
            tx.roll_back().await.map_err(|error| unavailable(&error))?;
            self.note_denial(&principal, CallOutcome::OverLimit, M::NAME, source);
            return Err(ErrorData::new(OVER_LIMIT, over.to_string(), None));
        }
        let execution = self.execution(&tx, &principal, caller);
        let looked = execution
            .run_with_deadline(M::NAME, SideEffect::Reads, method.run(&execution.cx))
            .await;
        match looked {
            Ok(answer) => {
                let answer = answer.map_err(|error| explain::<M>(&error));
                tx.roll_back().await.map_err(|error| unavailable(&error))?;
                answer.map(|answer| answer.reply)
            }
            // Dropped, the transaction stops its statement and closes its connection.
            Err(stopped) => {
                let say = |words| Err(ErrorData::internal_error(words, None));
                Completion::stopped(M::NAME, &stopped, say).reply
            }
        }
    }

    /// What a caller is told whose key could not be checked or does not hold.
    pub(super) fn refuse(&self, error: &AuthError, source: &str) -> ErrorData {
        match error {
            AuthError::Invalid(refused) => {
                tracing::warn!(
                    why = refused.why.as_str(),
                    "a call came with an API key that does not hold"
                );
                if let Some(denial) = Denial::of_key(refused, source) {
                    self.denials.note(denial);
                }
                ErrorData::new(INVALID_KEY, error.to_string(), None)
            }
            AuthError::Db(error) => unavailable(error),
        }
    }

    /// Notes for the audit log what a key that holds may not do.
    fn note_denial(&self, principal: &Principal, outcome: CallOutcome, what: &str, source: &str) {
        let reason = match outcome {
            CallOutcome::MissingScope => Reason::Scope,
            CallOutcome::OverLimit => Reason::Limit,
            CallOutcome::Ok
            | CallOutcome::ToolError
            | CallOutcome::InvalidArguments
            | CallOutcome::UnknownTool
            | CallOutcome::Malformed
            | CallOutcome::Panicked
            | CallOutcome::TimedOut
            | CallOutcome::Cancelled
            | CallOutcome::ClientGone
            | CallOutcome::InternalError => return,
        };
        self.denials.note(Denial {
            tenant: principal.tenant,
            api_key: Some(principal.api_key),
            reason,
            what: what.to_owned(),
            source: source.to_owned(),
        });
    }

    fn execution<'a>(
        &'a self,
        tx: &'a TenantTx,
        principal: &'a Principal,
        caller: &'a ClientConnection,
    ) -> ExecutionContext<'a> {
        ExecutionContext {
            cx: CallContext {
                tx,
                principal,
                search: &self.search,
            },
            limits: self.limits,
            test_hook: self.test_hook.as_ref(),
            caller,
        }
    }
}

pub(super) fn unavailable(error: &DbError) -> ErrorData {
    tracing::error!(%error, "the database did not answer");
    let words = if matches!(error, DbError::Busy) {
        "The registry is busy with other calls, most of them your organisation's. Nothing was done. Try again in a moment."
    } else {
        "The registry's database is not available. Nothing was done. Try again in a moment."
    };
    ErrorData::internal_error(words, None)
}

/// After a lost connection nobody knows whether the commit happened; whatever did happen, its record did with it.
fn unrecorded(error: &DbError) -> ErrorData {
    let words = if error.may_have_committed() {
        "The registry lost its database during the call and cannot tell whether it was done. Look before you try again."
    } else {
        "The registry could not record the call, so nothing of it was done. Try again; if it happens again, tell your administrator."
    };
    ErrorData::internal_error(words, None)
}
