//! Accepts connections and bounds their number, idle time and request heads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::HttpOptions;
use super::connections::{ConnectionLimits, Connections};
use super::forwarded::{Network, client_address, keep_trusted_prefix};
use super::head_validation::ClientAddress;
use super::held_body;
use super::paced_stream::PacedStream;

/// Header fields of a request.
const MAX_HEADERS: usize = 100;
/// Size of a request's head, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Time until the next attempt when a connection cannot be accepted, for example for lack of file descriptors.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop`, then waits until the open ones have answered their requests.
pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    options: &HttpOptions,
    stop: CancellationToken,
) {
    let connections = Connections::new(ConnectionLimits {
        total: options.connections,
        per_address: options.connections_per_address,
        per_key: options.connections_per_key,
    });
    let trusted: Arc<[Network]> = options.trusted_proxies.clone().into();
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        let Some((stream, address)) = accepted else {
            continue;
        };
        let is_trusted = trusted.iter().any(|network| network.contains(address.ip()));
        let Some(open) = connections.register(address.ip().to_canonical(), is_trusted) else {
            tracing::debug!(%address, "a connection was refused: the limit of connections is reached");
            continue;
        };
        // Responses are written whole; Nagle's algorithm would only delay them.
        let _unset = stream.set_nodelay(true);
        let trusted = Arc::clone(&trusted);
        let requests = open.clone();
        let app = app.clone();
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            let client = client_address(address.ip(), request.headers(), &trusted);
            request.extensions_mut().insert(ClientAddress(client));
            request.extensions_mut().insert(requests.clone());
            keep_trusted_prefix(address.ip(), request.headers_mut(), &trusted);
            let (app, running) = (app.clone(), requests.begin_request());
            async move {
                let response = app.oneshot(request.map(Body::new)).await;
                response.map(|response| held_body::keep(response, running))
            }
        });
        let service = TowerToHyperService::new(service);
        let connection = graceful.watch(
            http1::Builder::new()
                .timer(TokioTimer::new())
                // Also the idle time between two requests.
                .header_read_timeout(options.request_timeout)
                .max_headers(MAX_HEADERS)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(TokioIo::new(PacedStream::new(stream)), service),
        );
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended");
                    }
                }
                () = open.closed() => tracing::debug!("an idle connection was closed for a new one"),
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(RETRY_PAUSE).await;
            None
        }
    }
}

/// Raises the soft limit of file descriptors to the hard one: each connection needs one, and the usual soft limit is 1,024.
pub(super) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        } else {
            Ok(())
        }
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
