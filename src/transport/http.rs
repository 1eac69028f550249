//! Streamable HTTP on `/mcp`, for the stateless revision and the older ones at once; HTTP+SSE beside it; `/healthz` and
//! `/readyz`.
//!
//! Invariant: on `/mcp` there are no sessions. Each request carries its key, so no caller can take over another's
//! conversation.

pub(super) mod auth;
pub(super) mod auth_cache;
mod auth_throttle;
pub(super) mod error_response;
mod forwarded;
mod health;
mod host_validation;
pub(super) mod jsonrpc_validation;
pub(super) mod limits;
mod listener;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::middleware;
use axum::{Extension, Router};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::forwarded::Network;
use super::sse::{self, Sessions, SseOptions};
use crate::server::{CallService, CredentialSource, McpHandler};

/// How long calls in flight may take to end after the signal to stop.
const DRAIN: Duration = Duration::from_secs(35);
/// How long the last answers may take to reach their event streams.
const FLUSH: Duration = Duration::from_millis(200);

/// What the server listens to and answers for.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Host names that clients may use; others get 403, which keeps a web page from reaching a local server by a
    /// name of its own (DNS rebinding).
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call; requests without an `Origin` always may.
    pub allowed_origins: Vec<String>,
    /// Calls that one tenant may have running at once, over whatever path; more get 429.
    pub calls_per_tenant: usize,
    /// Connections of all callers together; more wait until one ends.
    pub connections: usize,
    /// How long a client may take to send the head of a request, and again its body.
    pub patience: Duration,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// How long an address waits that brought too many keys that do not hold.
    pub bad_keys_window: Duration,
    /// HTTP+SSE, or `None` to leave it out.
    pub sse: Option<SseOptions>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            allowed_hosts: names(&["localhost", "127.0.0.1", "::1"]),
            allowed_origins: names(&["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]),
            calls_per_tenant: 64,
            connections: 10_000,
            patience: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            bad_keys_window: Duration::from_secs(60),
            sse: Some(SseOptions::default()),
        }
    }
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
    service: Arc<CallService>,
    options: &HttpOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), HttpError> {
    let behind = Arc::clone(&service);
    serve_handlers(listener, service, options, stop, move |key| {
        McpHandler::new(Arc::clone(&behind), key)
    })
    .await
}

/// As [`serve`], with handlers of the caller's own: how the conformance fixtures stand on this stack.
///
/// # Errors
/// When the listener breaks.
pub async fn serve_handlers<H: ServerHandler>(
    listener: TcpListener,
    service: Arc<CallService>,
    options: &HttpOptions,
    stop: impl Future<Output = ()> + Send + 'static,
    handlers: impl Fn(CredentialSource) -> H + Send + Sync + 'static,
) -> Result<(), HttpError> {
    listener::raise_descriptor_limit();
    let abort = CancellationToken::new();
    let stopping = Arc::new(AtomicBool::new(false));
    let keys = auth_cache::CachingAuthenticator::new(Arc::clone(&service), options.bad_keys_window);
    let calls = limits::CallsAtOnce::new(options.calls_per_tenant, keys.clone());
    let sessions = options
        .sse
        .clone()
        .map(|sse| Arc::new(Sessions::new(sse, keys.clone(), calls.clone())));
    let health = health::Health::new(Arc::clone(&service), Arc::clone(&stopping));
    let app = router(
        options,
        &abort,
        (keys, calls),
        sessions.as_ref(),
        Arc::new(handlers),
    )
    .merge(health::routes(health));
    let stopped = CancellationToken::new();
    let stopped_too = stopped.clone();
    let draining_service = Arc::clone(&service);
    tokio::spawn(async move {
        stop.await;
        // Readiness first: a load balancer sends nothing more while the calls in flight end.
        stopping.store(true, Ordering::Relaxed);
        stopped_too.cancel();
        // What lasts for ever is ended; of event streams once what was asked over them is answered.
        draining_service.end_subscriptions();
        if let Some(sessions) = sessions {
            let _late = tokio::time::timeout(DRAIN, draining_service.drain()).await;
            tokio::time::sleep(FLUSH).await;
            sessions.end();
        }
    });
    let give_up = async {
        stopped.cancelled().await;
        tokio::time::sleep(DRAIN + FLUSH).await;
    };
    tokio::select! {
        () = listener::serve(listener, app, options, stopped.clone()) => {}
        () = give_up => tracing::warn!("connections were still open when the time to stop was over"),
    }
    // Not before: it answers calls in flight with an error at once.
    abort.cancel();
    if tokio::time::timeout(DRAIN, service.drain()).await.is_err() {
        tracing::warn!("calls were still running when the time to stop was over");
    }
    Ok(())
}

fn router<H: ServerHandler>(
    options: &HttpOptions,
    abort: &CancellationToken,
    (keys, calls): (auth_cache::CachingAuthenticator, limits::CallsAtOnce),
    sessions: Option<&Arc<Sessions>>,
    handlers: Arc<dyn Fn(CredentialSource) -> H + Send + Sync>,
) -> Router {
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(options.allowed_hosts.clone())
        .enforce_origin_validation()
        .with_allowed_origins(options.allowed_origins.clone())
        .with_cancellation_token(abort.child_token())
        .with_max_request_body_bytes(jsonrpc_validation::MAX_BODY_BYTES)
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let for_requests = Arc::clone(&handlers);
    let mcp = StreamableHttpService::new(
        move || Ok(for_requests(CredentialSource::Request)),
        Arc::new(LocalSessionManager::default()),
        config,
    );
    let gate = host_validation::HostValidation {
        hosts: options.allowed_hosts.clone().into(),
        origins: options.allowed_origins.clone().into(),
    };
    let routes = Router::new()
        .route_service("/mcp", mcp)
        .route_layer(middleware::from_fn(jsonrpc_validation::validate_jsonrpc))
        .route_layer(middleware::from_fn_with_state(
            calls,
            limits::enforce_concurrency_limit,
        ));
    let routes = match sessions {
        Some(sessions) => routes.merge(sse::routes(sessions, handlers)),
        None => routes,
    };
    // On these routes alone: a 401 for other paths would send clients looking for an OAuth server.
    routes
        .layer(Extension(jsonrpc_validation::BodyTimeout(options.patience)))
        .route_layer(middleware::from_fn_with_state(
            keys.clone(),
            limits::enforce_rate_limit,
        ))
        .route_layer(middleware::from_fn_with_state(keys, auth::require_key))
        .route_layer(middleware::from_fn_with_state(gate, host_validation::check))
}
