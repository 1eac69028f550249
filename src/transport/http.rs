//! Streamable HTTP on `/mcp`, for the stateless revision and the older ones at once, beside `/healthz` and `/readyz`.
//!
//! Invariant: there are no sessions. Each request carries its key, so no caller can take over another's conversation.

mod auth;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{Door, KeySource, Registry};

/// How long calls in flight may take to end after the signal to stop.
const DRAIN: Duration = Duration::from_secs(35);

/// What the server listens to and answers for.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Host names that clients may use; others get 403, which keeps a web page from reaching a local server by a
    /// name of its own (DNS rebinding).
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call; requests without an `Origin` always may.
    pub allowed_origins: Vec<String>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            allowed_hosts: names(&["localhost", "127.0.0.1", "::1"]),
            allowed_origins: names(&["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]),
        }
    }
}

#[derive(Clone)]
struct Health {
    door: Arc<Door>,
    stopping: Arc<AtomicBool>,
}

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken.
    #[error("the address {0} is in use; stop the other program or choose another with --listen")]
    InUse(SocketAddr),
    /// The address cannot be had for another reason.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, String),
    /// The listener broke.
    #[error("the listener broke: {0}")]
    Broken(String),
}

/// Takes the address.
///
/// # Errors
/// When it is in use or not ours to take.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            HttpError::InUse(address)
        } else {
            HttpError::Bind(address, error.to_string())
        }
    })
}

/// Serves until `stop` resolves, then finishes the calls in flight.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(
    listener: TcpListener,
    door: Arc<Door>,
    options: &HttpOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), HttpError> {
    let behind = Arc::clone(&door);
    serve_handlers(listener, door, options, stop, move |key| {
        Registry::new(Arc::clone(&behind), key)
    })
    .await
}

/// As [`serve`], with handlers of the caller's own: how the conformance fixtures stand on this stack.
///
/// # Errors
/// When the listener breaks.
pub async fn serve_handlers<H: ServerHandler>(
    listener: TcpListener,
    door: Arc<Door>,
    options: &HttpOptions,
    stop: impl Future<Output = ()> + Send + 'static,
    handlers: impl Fn(KeySource) -> H + Send + Sync + 'static,
) -> Result<(), HttpError> {
    let abort = CancellationToken::new();
    let stopping = Arc::new(AtomicBool::new(false));
    let health = Health {
        door: Arc::clone(&door),
        stopping: Arc::clone(&stopping),
    };
    let app = router(&door, options, &abort, health, handlers);
    let stopped = CancellationToken::new();
    let stopped_too = stopped.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        // Readiness first: a load balancer sends nothing more while the calls in flight end.
        stopping.store(true, Ordering::Relaxed);
        stopped_too.cancel();
    });
    let give_up = async {
        stopped.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = server.into_future() => ended.map_err(|error| HttpError::Broken(error.to_string()))?,
        () = give_up => tracing::warn!("connections were still open when the time to stop was over"),
    }
    // Not before: it answers calls in flight with an error at once.
    abort.cancel();
    if tokio::time::timeout(DRAIN, door.drain()).await.is_err() {
        tracing::warn!("calls were still running when the time to stop was over");
    }
    Ok(())
}

fn router<H: ServerHandler>(
    door: &Arc<Door>,
    options: &HttpOptions,
    abort: &CancellationToken,
    health: Health,
    handlers: impl Fn(KeySource) -> H + Send + Sync + 'static,
) -> Router {
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(options.allowed_hosts.clone())
        .enforce_origin_validation()
        .with_allowed_origins(options.allowed_origins.clone())
        .with_cancellation_token(abort.child_token())
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let mcp = StreamableHttpService::new(
        move || Ok(handlers(KeySource::Request)),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let keys = auth::KeyCheck::new(door.db().clone());
    Router::new()
        .route_service("/mcp", mcp)
        .route_layer(middleware::from_fn(explain_unreadable))
        // On this route alone: a 401 for other paths would send clients looking for an OAuth server.
        .route_layer(middleware::from_fn_with_state(keys, auth::require_key))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(health))
}

async fn ready(State(health): State<Health>) -> Response {
    if health.stopping.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match health.door.db().ping().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database is not available\n").into_response()
        }
    }
}

/// A body that is not JSON gets the JSON-RPC parse error (JSON-RPC 2.0, section 5.1), not a plain 415.
async fn explain_unreadable(request: Request, next: Next) -> Response {
    let claims_json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    let response = next.run(request).await;
    if claims_json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return auth::json_rpc_error(
            StatusCode::BAD_REQUEST,
            -32700,
            "The request's body is not a JSON-RPC message in UTF-8.",
        );
    }
    response
}
