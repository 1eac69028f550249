//! The call service: begins the caller's transaction, runs the request in it, records how it ended, and commits the
//! effects and the record together.
//!
//! Invariant: every answer to a tool call or to a read of a skill, success or error, has one row in `usage_events`. The
//! only errors without one are those without a caller (the key is invalid) or without a database, and refusals by a limit after
//! the first 60 of a key in a minute; then nothing was done.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ErrorData;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::call_event::{Started, usage_event};
use super::client_connection::{ClientConnection, Interrupted};
use super::completion::{Completion, TxDisposition};
use super::errors;
use super::event_metadata::{RequestMetadata, TransportKind};
use super::large_calls::LargeCalls;
use super::recording::{self, CALL_TIMEOUT};
use super::refusals::RefusalRecorder;
use super::request::{RecordedRequest, RequestSummary, method_error};
use super::subscriptions::Subscriptions;
use crate::access::{AccessControl, AccessLimits};
use crate::db::{ServerDb, TenantTx};
use crate::mcp_methods::Method;
use crate::registry::private_keys::SigningKeys;
use crate::registry::usage::CallOutcome;
use crate::search::{self, Meaning, SearchCache};
use crate::tenancy::{ApiKey, AuthError, CallPermit, OverLimit, Principal};
use crate::tools::{CallContext, SideEffect};

/// Limits of a server process.
#[derive(Debug, Clone, Copy)]
pub struct ServiceLimits {
    /// The longest that a tool or method may run: 25 s by default.
    pub call_timeout: Duration,
    /// Limits of access over HTTP.
    pub access: AccessLimits,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            call_timeout: CALL_TIMEOUT,
            access: AccessLimits::default(),
        }
    }
}

/// Runs in each request's transaction, before the tool or method. The first argument is the name of the tool or method.
#[cfg(feature = "test-util")]
pub type TestHook =
    Arc<dyn for<'a> Fn(&str, &'a TenantTx) -> futures::future::BoxFuture<'a, ()> + Send + Sync>;

/// Runs and records the requests of all callers of a process.
pub struct CallService {
    db: ServerDb,
    access: Arc<AccessControl>,
    search: SearchCache,
    signing_keys: SigningKeys,
    call_timeout: Duration,
    pub(super) in_flight: TaskTracker,
    pub(super) refusals: RefusalRecorder,
    subscriptions: Subscriptions,
    days: super::day_summaries::DaySummaries,
    large_calls: LargeCalls,
    #[cfg(feature = "test-util")]
    test_hook: Option<TestHook>,
}

impl CallService {
    /// A service on this database.
    #[must_use]
    pub fn new(db: ServerDb, limits: ServiceLimits) -> Self {
        let access = Arc::new(AccessControl::new(db.clone(), limits.access));
        Self {
            db,
            subscriptions: Subscriptions::new(Arc::clone(&access)),
            access,
            search: SearchCache::default(),
            signing_keys: SigningKeys::none(),
            call_timeout: limits.call_timeout,
            in_flight: TaskTracker::new(),
            large_calls: LargeCalls::default(),
            days: super::day_summaries::DaySummaries::default(),
            refusals: RefusalRecorder::default(),
            #[cfg(feature = "test-util")]
            test_hook: None,
        }
    }

    /// The same service, which signs published versions with these keys.
    #[must_use]
    pub fn with_signing_keys(mut self, signing_keys: SigningKeys) -> Self {
        self.signing_keys = signing_keys;
        self
    }

    /// The same service, which keeps at most this many bytes of search indexes in memory.
    #[must_use]
    pub fn with_search_memory(mut self, max_bytes: u64) -> Self {
        let meaning = self.search.meaning().cloned();
        self.search = SearchCache::new(max_bytes).with_meaning(meaning);
        self
    }

    /// The same service, whose searches also use meaning.
    #[must_use]
    pub fn with_meaning(mut self, meaning: Option<Arc<Meaning>>) -> Self {
        self.search = self.search.with_meaning(meaning);
        self
    }

    /// The same service, with a hook that can fail, block or panic inside each request.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn with_test_hook(mut self, test_hook: TestHook) -> Self {
        self.test_hook = Some(test_hook);
        self
    }

    /// The database.
    #[must_use]
    pub const fn db(&self) -> &ServerDb {
        &self.db
    }

    /// Keys, limits and denials.
    #[must_use]
    pub const fn access(&self) -> &Arc<AccessControl> {
        &self.access
    }

    pub(super) const fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// Ends every subscription: the server is about to stop, and the clients reconnect elsewhere.
    pub fn end_subscriptions(&self) {
        self.subscriptions.end();
    }

    /// Waits until every running call is recorded and every denial is written.
    pub async fn drain(&self) {
        self.in_flight.close();
        if let Some(meaning) = self.search.meaning() {
            meaning.stop();
        }
        self.in_flight.wait().await;
        self.access.denials().finish().await;
    }

    /// Runs a request and records it, in a task of its own: a transport that drops its future must not drop the record.
    pub(super) async fn execute<R: RecordedRequest>(
        self: &Arc<Self>,
        api_key: ApiKey,
        request: R,
        metadata: RequestMetadata,
        client: ClientConnection,
    ) -> Result<R::Reply, ErrorData> {
        let service = Arc::clone(self);
        let summary = request.summary();
        let span = tracing::info_span!("call", tool = summary.name, trace_id = metadata.trace_id);
        let call = async move {
            service
                .execute_recorded(&api_key, request, summary, metadata, &client)
                .await
        };
        let task = self.in_flight.spawn(call.instrument(span));
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call ended without a reply");
            Err(errors::not_finished())
        })
    }

    async fn execute_recorded<R: RecordedRequest>(
        &self,
        api_key: &ApiKey,
        request: R,
        summary: RequestSummary,
        metadata: RequestMetadata,
        client: &ClientConnection,
    ) -> Result<R::Reply, ErrorData> {
        let started = Started::now(&self.db).await;
        let source = metadata.transport.as_str();
        // Waited for before a connection is taken.
        let memory = if request.loads_skill() {
            self.large_calls.take(&self.access, api_key).await.map(Some)
        } else {
            Ok(None)
        };
        let (tx, principal) = self.begin(api_key, source).await?;
        // Held until the call is recorded: until then it counts as running.
        let admitted = self.admit(&tx, &principal, metadata.transport).await?;
        let completion = match (&admitted, &memory) {
            (Ok(_permit), Ok(_share)) => {
                self.run(request, &summary.name, &tx, &principal, source, client)
                    .await
            }
            (Err(over), _) => R::over_limit(over.to_string()),
            (_, Err(busy)) => R::over_limit((*busy).to_owned()),
        };
        self.record_denial(&principal, completion.outcome, &summary.name, source);
        if admitted.is_err() && !self.refusals.takes(principal.api_key) {
            rollback(tx).await?;
            return completion.reply;
        }
        let mut event = usage_event(summary, metadata, &completion, &principal, &started);
        let is_compaction_due = tx.is_compaction_due();
        let is_embedding_due = tx.is_embedding_due();
        let reply = recording::record(&self.db, tx, &mut event, completion).await?;
        if is_compaction_due {
            let compact = search::compact_after_call(self.db.clone(), principal.tenant);
            self.in_flight.spawn(compact.in_current_span());
        }
        self.days.prepare(&self.db, principal.tenant, &event.tool);
        if let Some(meaning) = self.search.meaning().filter(|_| is_embedding_due) {
            let embed = search::embed_after_call(self.db.clone(), Arc::clone(meaning), principal.tenant);
            self.in_flight.spawn(embed.in_current_span());
        }
        tracing::info!(
            event = %event.id,
            tenant = %principal.tenant,
            outcome = event.outcome.as_str(),
            duration_us = event.duration_us,
            transport = event.transport,
            "call"
        );
        reply
    }

    /// Runs a request that leaves no usage event (lists, completions). Its transaction is always rolled back.
    pub(super) async fn execute_unrecorded<M: Method>(
        &self,
        api_key: &ApiKey,
        method: M,
        transport: TransportKind,
        client: &ClientConnection,
    ) -> Result<M::Reply, ErrorData> {
        let source = transport.as_str();
        let (tx, principal) = self.begin(api_key, source).await?;
        let cx = self.context(&tx, &principal, source);
        let run = self.with_hook(M::NAME, &tx, method.run(&cx));
        match client
            .run(M::NAME, SideEffect::Reads, self.call_timeout, run)
            .await
        {
            Ok(answer) => {
                let answer = answer.map_err(|error| method_error::<M>(&error));
                rollback(tx).await?;
                answer.map(|answer| answer.reply)
            }
            // Dropping the transaction cancels its statement and closes its connection.
            Err(interrupted) => {
                let reply = |_outcome, message| Err(ErrorData::internal_error(message, None));
                Completion::interrupted(M::NAME, &interrupted, reply).reply
            }
        }
    }

    /// Refuses a list or completion whose parameters are malformed, which runs nothing but the check of the key.
    pub(super) async fn reject_malformed(
        &self,
        api_key: &ApiKey,
        transport: TransportKind,
        message: String,
    ) -> ErrorData {
        let checked = async {
            let (tx, _principal) = self.begin(api_key, transport.as_str()).await?;
            rollback(tx).await
        };
        match checked.await {
            Ok(()) => ErrorData::invalid_params(message, None),
            Err(error) => error,
        }
    }

    async fn begin(&self, api_key: &ApiKey, source: &str) -> Result<(TenantTx, Principal), ErrorData> {
        let begun = self.access.begin(api_key, source).await;
        begun.map_err(|error| {
            if let AuthError::Invalid(rejected) = &error {
                self.access.denials().log_refusal(None, rejected.why.as_str());
            }
            errors::not_authenticated(&error)
        })
    }

    /// Counts a call against its limits. Over HTTP that was done before the protocol layer.
    async fn admit(
        &self,
        tx: &TenantTx,
        principal: &Principal,
        transport: TransportKind,
    ) -> Result<Result<Option<CallPermit>, OverLimit>, ErrorData> {
        match transport {
            TransportKind::Stdio => {
                let admitted = self.access.admit_in(tx, principal).await;
                admitted
                    .map(|admitted| admitted.map(Some))
                    .map_err(|error| errors::unavailable(&error))
            }
            TransportKind::Http | TransportKind::Sse => Ok(Ok(None)),
        }
    }

    async fn run<R: RecordedRequest>(
        &self,
        request: R,
        name: &str,
        tx: &TenantTx,
        principal: &Principal,
        source: &'static str,
        client: &ClientConnection,
    ) -> Completion<R::Reply> {
        let checked = match request.check(principal) {
            ControlFlow::Continue(checked) => checked,
            ControlFlow::Break(refused) => return refused,
        };
        let cx = self.context(tx, principal, source);
        let effect = R::side_effect(&checked);
        let indexed = async {
            let completion = R::run(checked, &cx).await?;
            if tx.is_index_pending() && completion.transaction == TxDisposition::Commit {
                search::index_changes(tx).await?;
            }
            Ok(completion)
        };
        let run = self.with_hook(name, tx, indexed);
        match client.run(name, effect, self.call_timeout, run).await {
            Ok(Ok(completion)) => completion,
            Ok(Err(error)) => {
                let interrupted = match tx.exceeded_limit() {
                    Some(limit) => Interrupted::TimedOut(limit),
                    None => Interrupted::Failed(error),
                };
                Completion::interrupted(name, &interrupted, R::error_reply)
            }
            Err(interrupted) => Completion::interrupted(name, &interrupted, R::error_reply),
        }
    }

    const fn context<'a>(
        &'a self,
        tx: &'a TenantTx,
        principal: &'a Principal,
        source: &'static str,
    ) -> CallContext<'a> {
        CallContext {
            tx,
            principal,
            source,
            search: &self.search,
            signing_keys: &self.signing_keys,
        }
    }

    #[cfg(feature = "test-util")]
    async fn with_hook<T>(&self, name: &str, tx: &TenantTx, run: impl Future<Output = T> + Send) -> T {
        if let Some(hook) = &self.test_hook {
            hook(name, tx).await;
        }
        run.await
    }

    #[cfg(not(feature = "test-util"))]
    fn with_hook<T, F: Future<Output = T> + Send>(&self, _name: &str, _tx: &TenantTx, run: F) -> F {
        run
    }

    /// Records in the audit log that a valid key was refused.
    fn record_denial(&self, principal: &Principal, outcome: CallOutcome, what: &str, source: &str) {
        let denials = self.access.denials();
        match outcome {
            CallOutcome::MissingScope => denials.record_scope(principal, what, source),
            CallOutcome::OverLimit => denials.record_limit(principal, what, source),
            CallOutcome::Ok
            | CallOutcome::ToolError
            | CallOutcome::InvalidArguments
            | CallOutcome::UnknownTool
            | CallOutcome::Malformed
            | CallOutcome::Panicked
            | CallOutcome::TimedOut
            | CallOutcome::Cancelled
            | CallOutcome::ClientGone
            | CallOutcome::InternalError => {}
        }
    }
}

async fn rollback(tx: TenantTx) -> Result<(), ErrorData> {
    tx.rollback().await.map_err(|error| errors::unavailable(&error))
}
