//! Streamable HTTP on `/mcp` for all protocol versions, HTTP+SSE, the upload of archives and the download of versions beside it,
//! and `/healthz` and `/readyz`. Each path may end with a slash.
//!
//! Invariant: `/mcp` has no sessions. Each request carries its key, so no caller can take over another's session.

mod batch;
mod call_status;
mod claude_code;
mod clawhub;
mod clawhub_publish;
mod connections;
mod cors;
mod download;
pub(super) mod error_response;
mod fetch;
pub(super) mod forwarded;
pub(super) mod head_validation;
mod health;
mod held_body;
pub(super) mod jsonrpc_validation;
mod listener;
mod mcp_route;
mod paced_stream;
mod public_base;
mod secret_path;
mod upload;
mod well_known;

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

use self::fetch::Fetches;
pub use self::forwarded::{Network, PathPrefix};
use self::head_validation::{AllowedNames, validate_key, validate_names};
use self::jsonrpc_validation::BodyTimeout;
use self::mcp_route::validate_jsonrpc;
use self::secret_path::validate_secret;
pub use self::upload::PATH as UPLOAD_PATH;
use self::upload::Uploads;
use super::sse::{self, Sessions, SseOptions};
use crate::server::{CallService, CredentialSource, McpHandler};

/// How long running calls may take to end after the signal to stop.
const DRAIN: Duration = Duration::from_secs(35);
/// How long the last responses may take to reach their event streams.
const FLUSH: Duration = Duration::from_millis(200);

/// Options of the HTTP server.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Host names that clients may use; others get 403 (protection against DNS rebinding).
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call. Requests without an `Origin` always may.
    pub allowed_origins: Vec<String>,
    /// Connections of all clients together. A further one takes the place of the one that is idle for the longest time.
    pub connections: usize,
    /// Connections of one address, unless it is a trusted proxy.
    pub connections_per_address: usize,
    /// Connections whose last request had the same API key.
    pub connections_per_key: usize,
    /// How long a client may take to send the head of a request, and again its body.
    pub request_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Prefix` are trusted.
    pub trusted_proxies: Vec<Network>,
    /// Where a reverse proxy serves the registry. Requests may come with or without it.
    pub path_prefix: PathPrefix,
    /// HTTP+SSE; `None` disables it.
    pub sse: Option<SseOptions>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            allowed_hosts: names(&["localhost", "127.0.0.1", "::1"]),
            allowed_origins: names(&["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]),
            connections: 10_000,
            connections_per_address: 2_500,
            connections_per_key: 1_000,
            request_timeout: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            path_prefix: PathPrefix::default(),
            sse: Some(SseOptions::default()),
        }
    }
}

/// Why the HTTP server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Another program uses the address.
    #[error("the address {0} is in use; stop the other program or choose another with --listen")]
    InUse(SocketAddr),
    /// Any other reason.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, String),
}

/// Binds the address.
///
/// # Errors
/// When it is in use, or this process may not bind it.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            HttpError::InUse(address)
        } else {
            HttpError::Bind(address, error.to_string())
        }
    })
}

/// Serves until `stop` resolves, then finishes the running calls, which may take up to 35 seconds.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    service: Arc<CallService>,
    options: &HttpOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), HttpError> {
    let call_service = Arc::clone(&service);
    serve_handlers(listener, service, options, stop, move |credentials| {
        McpHandler::new(Arc::clone(&call_service), credentials)
    })
    .await
}

/// As [`serve`], with another handler, such as the fixtures of the conformance suite.
///
/// # Errors
/// When the listener fails.
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
    let access = service.access();
    let sessions = options.sse.clone().map(|sse| {
        Arc::new(Sessions::new(
            sse,
            options.path_prefix.clone(),
            Arc::clone(&service),
        ))
    });
    let health = health::Health::new(Arc::clone(access), Arc::clone(&stopping));
    let app = router(options, &abort, &service, sessions.as_ref(), Arc::new(handlers))
        .merge(health::routes(health));
    let app = below_prefix(app, &options.path_prefix);
    let stopped = CancellationToken::new();
    let shutdown = shut_down(stop, stopping, stopped.clone(), Arc::clone(&service), sessions);
    tokio::spawn(shutdown);
    let give_up = async {
        stopped.cancelled().await;
        tokio::time::sleep(DRAIN + FLUSH).await;
    };
    tokio::select! {
        () = listener::serve(listener, app, options, stopped.clone()) => {}
        () = give_up => tracing::warn!("connections were still open when the time to stop was over"),
    }
    // Only now: cancelling answers running calls with an error at once.
    abort.cancel();
    if tokio::time::timeout(DRAIN, service.drain()).await.is_err() {
        tracing::warn!("calls were still running when the time to stop was over");
    }
    Ok(())
}

/// Waits for `stop`, then stops in this order: readiness, accepting, subscriptions, calls, event streams.
async fn shut_down(
    stop: impl Future<Output = ()>,
    stopping: Arc<AtomicBool>,
    stopped: CancellationToken,
    service: Arc<CallService>,
    sessions: Option<Arc<Sessions>>,
) {
    stop.await;
    // A load balancer sends nothing more while the running calls finish.
    stopping.store(true, Ordering::Relaxed);
    stopped.cancel();
    service.end_subscriptions();
    if let Some(sessions) = sessions {
        let _timed_out = tokio::time::timeout(DRAIN, service.drain()).await;
        tokio::time::sleep(FLUSH).await;
        sessions.end();
    }
}

/// The same routes also below the prefix: some proxies remove it, others do not.
fn below_prefix(app: Router, prefix: &PathPrefix) -> Router {
    match prefix.as_str() {
        "" => app,
        prefix => Router::new().nest(prefix, app.clone()).merge(app),
    }
}

fn router<H: ServerHandler>(
    options: &HttpOptions,
    abort: &CancellationToken,
    service: &Arc<CallService>,
    sessions: Option<&Arc<Sessions>>,
    handlers: Arc<dyn Fn(CredentialSource) -> H + Send + Sync>,
) -> Router {
    let access = service.access();
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
    let allowed = AllowedNames {
        hosts: options.allowed_hosts.clone().into(),
        origins: options.allowed_origins.clone().into(),
        access: Arc::clone(service.access()),
    };
    let cors = cors::layer(Arc::clone(&allowed.origins));
    let validate_jsonrpc = middleware::from_fn_with_state(Arc::clone(service), validate_jsonrpc);
    let routes = Router::new()
        .route_service("/mcp", mcp.clone())
        .route_service("/mcp/", mcp)
        .route_layer(validate_jsonrpc);
    let routes = match sessions {
        Some(sessions) => routes.merge(sse::routes(sessions, handlers)),
        None => routes,
    };
    let shared = Fetches::new(service);
    let uploads = Uploads::new(service);
    let fetches = download::routes(&shared)
        .merge(well_known::routes(&shared))
        .merge(claude_code::routes(&shared, options.path_prefix.clone()));
    let routes = routes
        .merge(upload::routes(&uploads))
        .merge(clawhub_publish::routes(
            &uploads,
            &shared,
            options.path_prefix.clone(),
        ))
        .merge(fetches.clone())
        .merge(clawhub::routes(&shared));
    let below_secrets =
        Router::new()
            .nest(secret_path::PATH, fetches)
            .route_layer(middleware::from_fn_with_state(
                Arc::clone(access),
                validate_secret,
            ));
    // On these routes alone: a 401 for other paths makes clients look for an OAuth server.
    routes
        .layer(Extension(BodyTimeout(options.request_timeout)))
        .route_layer(middleware::from_fn_with_state(Arc::clone(access), validate_key))
        .merge(below_secrets)
        .merge(clawhub::discovery(options.path_prefix.clone()))
        .route_layer(middleware::from_fn(clawhub::plain_errors))
        .route_layer(cors)
        .route_layer(middleware::from_fn_with_state(allowed, validate_names))
}
