//! `/healthz` and `/readyz`, which need no key: so whoever asks, however often, costs one look at the database a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;

use crate::server::CallService;

/// How long an answer of the database holds.
const KEPT: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Health {
    service: Arc<CallService>,
    stopping: Arc<AtomicBool>,
    /// When the database was last asked, and whether it answered. Locked while it is asked: those who come meanwhile wait for
    /// the same answer.
    asked: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Health {
    pub(super) fn new(service: Arc<CallService>, stopping: Arc<AtomicBool>) -> Self {
        Self {
            service,
            stopping,
            asked: Arc::default(),
        }
    }

    async fn database_answers(&self) -> bool {
        if self.service.db().is_closed() {
            return false;
        }
        let mut asked = Arc::clone(&self.asked).lock_owned().await;
        if let Some((when, answered)) = *asked
            && when.elapsed() < KEPT
        {
            return answered;
        }
        let service = Arc::clone(&self.service);
        // In a task of its own: who hangs up leaves no question open on a connection.
        let asking = tokio::spawn(async move {
            let outcome = service.db().ping().await;
            if let Err(error) = &outcome {
                tracing::warn!(%error, "not ready");
            }
            *asked = Some((Instant::now(), outcome.is_ok()));
            outcome.is_ok()
        });
        asking.await.unwrap_or(false)
    }
}

pub(super) fn routes(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(health))
}

async fn ready(State(health): State<Health>) -> Response {
    if health.stopping.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if health.database_answers().await {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the database is not available\n").into_response()
    }
}
