//! Whether anybody still waits for an answer, and what he is told while he does.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext, RoleServer};
use tokio_util::sync::CancellationToken;

use crate::registry::usage::CallOutcome;

/// Seconds between two signs of life. Well below the time after which proxies give up on a silent answer.
const PROGRESS_SECONDS: u32 = 5;

/// When a connection ends, the framework cancels what is in flight a moment before the transport is seen to be closed.
const CLOSING_CHECKS: u32 = 10;
const CLOSING_PAUSE: Duration = Duration::from_millis(10);

/// What a transport wants to live for as long as the call does, whoever still waits for its answer: in the extensions of the HTTP
/// request.
#[derive(Clone)]
pub struct CallGuard {
    _what: Arc<dyn Any + Send + Sync>,
}

impl CallGuard {
    /// Holds this until the call has ended.
    #[must_use]
    pub fn new(what: impl Any + Send + Sync) -> Self {
        Self {
            _what: Arc::new(what),
        }
    }
}

/// Notices that nobody waits for the answer any more, and tells who does that the call goes on.
pub(super) struct ClientConnection {
    cancelled: CancellationToken,
    peer: Peer<RoleServer>,
    progress: Option<ProgressToken>,
    /// Dropped with the caller, whom the call's own task owns.
    _held: Option<CallGuard>,
}

impl ClientConnection {
    pub(super) fn new(context: &RequestContext<RoleServer>) -> Self {
        Self {
            cancelled: context.ct.clone(),
            peer: context.peer.clone(),
            progress: context.meta.get_progress_token(),
            _held: context
                .extensions
                .get::<http::request::Parts>()
                .and_then(|parts| parts.extensions.get::<CallGuard>())
                .cloned(),
        }
    }

    /// Resolves when the call was taken back or the whole connection is gone.
    pub(super) async fn disconnected(&self) -> CallOutcome {
        self.cancelled.cancelled().await;
        for _ in 0..CLOSING_CHECKS {
            if self.peer.is_transport_closed() {
                return CallOutcome::ClientGone;
            }
            tokio::time::sleep(CLOSING_PAUSE).await;
        }
        CallOutcome::Cancelled
    }

    /// Tells a caller who gave a progress token that the call has begun.
    pub(super) async fn report_started(&self, what: &str) {
        self.tell(0, format!("{what} has begun")).await;
    }

    /// Tells him now and then that it goes on. Never resolves.
    pub(super) async fn report_progress(&self, what: &str) -> std::convert::Infallible {
        let mut seconds = 0_u32;
        while self.progress.is_some() {
            tokio::time::sleep(Duration::from_secs(PROGRESS_SECONDS.into())).await;
            seconds = seconds.saturating_add(PROGRESS_SECONDS);
            self.tell(seconds, format!("{what} has been running for {seconds} s"))
                .await;
        }
        std::future::pending().await
    }

    async fn tell(&self, seconds: u32, message: String) {
        let Some(token) = &self.progress else {
            return;
        };
        let sign = ProgressNotificationParam::new(token.clone(), f64::from(seconds)).with_message(message);
        // A caller who is gone is noticed by `left`.
        let _told = self.peer.notify_progress(sign).await;
    }
}
