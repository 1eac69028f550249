//! `/healthz` and `/readyz`. They need no key, so the database is asked at most once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;

use crate::access::AccessControl;

/// How long a readiness result is cached.
const CACHE_TTL: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Health {
    access: Arc<AccessControl>,
    stopping: Arc<AtomicBool>,
    /// Time and result of the last ping. Locked during a ping: concurrent requests wait for the same result.
    last_ping: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Health {
    pub(super) fn new(access: Arc<AccessControl>, stopping: Arc<AtomicBool>) -> Self {
        Self {
            access,
            stopping,
            last_ping: Arc::default(),
        }
    }

    async fn database_answers(&self) -> bool {
        let mut last_ping = Arc::clone(&self.last_ping).lock_owned().await;
        if let Some((when, answered)) = *last_ping
            && when.elapsed() < CACHE_TTL
            && !self.access.is_closed()
        {
            return answered;
        }
        let access = Arc::clone(&self.access);
        // In a task of its own: a client that disconnects leaves no query open on a connection.
        let ping = tokio::spawn(async move {
            let outcome = access.ping().await;
            if let Err(error) = &outcome {
                tracing::warn!(%error, "not ready");
            }
            *last_ping = Some((Instant::now(), outcome.is_ok()));
            outcome.is_ok()
        });
        ping.await.unwrap_or(false)
    }
}

pub(super) fn routes(health: Health) -> Router {
    let alive = get(|| async { "ok\n" });
    let ready = get(ready).with_state(health);
    Router::new()
        .route("/healthz", alive.clone())
        .route("/healthz/", alive)
        .route("/readyz", ready.clone())
        .route("/readyz/", ready)
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
