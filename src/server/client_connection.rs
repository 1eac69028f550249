//! The client of a running request: detects that it is gone, and sends it progress notifications.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext, RoleServer};
use tokio_util::sync::CancellationToken;

use crate::access::CallGuard;
use crate::db::DbError;
use crate::registry::usage::CallOutcome;
use crate::tools::SideEffect;

/// Seconds between two progress notifications. Below the time after which proxies close a silent response.
const PROGRESS_SECONDS: u32 = 5;

/// When a connection ends, rmcp cancels the running requests shortly before it marks the transport as closed.
const CLOSING_CHECKS: u32 = 10;
const CLOSING_PAUSE: Duration = Duration::from_millis(10);

/// What interrupted a request, or made it fail by a fault of the server.
#[derive(Debug)]
pub(super) enum Interrupted {
    /// The database refused a statement.
    Failed(DbError),
    /// It panicked.
    Panicked,
    /// The client cancelled it or disconnected.
    ClientGone(CallOutcome),
    /// It ran longer than this.
    TimedOut(Duration),
}

/// Detects that the client cancelled a request or disconnected, and sends it progress notifications.
pub(super) struct ClientConnection {
    cancelled: CancellationToken,
    /// `None` outside of the protocol, where the client can neither cancel nor be notified.
    peer: Option<Peer<RoleServer>>,
    progress: Option<ProgressToken>,
    /// The call's share of the limits over HTTP, released when the call has ended.
    _guard: Option<Arc<CallGuard>>,
}

impl ClientConnection {
    pub(super) fn new(context: &RequestContext<RoleServer>) -> Self {
        let guard = context
            .extensions
            .get::<http::request::Parts>()
            .and_then(|parts| parts.extensions.get::<Arc<CallGuard>>());
        Self {
            cancelled: context.ct.clone(),
            peer: Some(context.peer.clone()),
            progress: context.meta.get_progress_token(),
            _guard: guard.map(Arc::clone),
        }
    }

    /// The client of an upload or a fetch.
    pub(super) fn without_peer(guard: Option<Arc<CallGuard>>) -> Self {
        Self {
            cancelled: CancellationToken::new(),
            peer: None,
            progress: None,
            _guard: guard,
        }
    }

    /// Runs `run` until it finishes, panics, exceeds the time limit, or (if it only reads) the client is gone.
    ///
    /// # Errors
    /// [`Interrupted`]: what ended it early.
    pub(super) async fn run<T>(
        &self,
        name: &str,
        effect: SideEffect,
        time_limit: Duration,
        run: impl Future<Output = T> + Send,
    ) -> Result<T, Interrupted> {
        let run = AssertUnwindSafe(run).catch_unwind();
        let gone = async {
            match effect {
                SideEffect::Reads => self.gone().await,
                // What changes something runs to its end, so that its record is true.
                SideEffect::Adds | SideEffect::AddsOnce | SideEffect::Changes => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Beside the call, not in it: a client that does not read its notifications must not keep a transaction open.
            never = self.keep_reporting(name) => match never {},
            finished = run => finished.map_err(|_panic| Interrupted::Panicked),
            outcome = gone => Err(Interrupted::ClientGone(outcome)),
            () = tokio::time::sleep(time_limit) => Err(Interrupted::TimedOut(time_limit)),
        }
    }

    /// Resolves when the request was cancelled or the connection is closed.
    async fn gone(&self) -> CallOutcome {
        self.cancelled.cancelled().await;
        for _ in 0..CLOSING_CHECKS {
            if self.peer.as_ref().is_none_or(Peer::is_transport_closed) {
                return CallOutcome::ClientGone;
            }
            tokio::time::sleep(CLOSING_PAUSE).await;
        }
        CallOutcome::Cancelled
    }

    async fn keep_reporting(&self, name: &str) -> Infallible {
        let mut seconds = 0_u32;
        self.report_progress(0, format!("{name} has started")).await;
        while self.progress.is_some() {
            tokio::time::sleep(Duration::from_secs(PROGRESS_SECONDS.into())).await;
            seconds = seconds.saturating_add(PROGRESS_SECONDS);
            let message = format!("{name} has been running for {seconds} s");
            self.report_progress(seconds, message).await;
        }
        std::future::pending().await
    }

    async fn report_progress(&self, seconds: u32, message: String) {
        let (Some(token), Some(peer)) = (&self.progress, &self.peer) else {
            return;
        };
        let progress =
            ProgressNotificationParam::new(token.clone(), f64::from(seconds)).with_message(message);
        // A closed connection is detected by `gone`.
        let _sent = peer.notify_progress(progress).await;
    }
}
