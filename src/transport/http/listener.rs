//! Connections: how many there may be, and how long one may keep the server waiting for a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::HttpOptions;
use super::auth::ClientAddress;
use super::forwarded::{Network, client_address};

/// Headers of a request.
const MAX_HEADERS: usize = 100;
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Time until the next try when no connection can be taken, for want of file descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until `stop`, then waits until those that there are have answered what they were asked.
pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    options: &HttpOptions,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(options.connections));
    let trusted: Arc<[Network]> = options.trusted_proxies.clone().into();
    let graceful = GracefulShutdown::new();
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            taken = take(&listener, &places) => taken,
        };
        let Some((stream, address, place)) = taken else {
            continue;
        };
        // Answers are small and written whole; waiting for more would only delay them.
        let _unset = stream.set_nodelay(true);
        let trusted = Arc::clone(&trusted);
        let with_address = app.clone().map_request(move |mut request: Request<Incoming>| {
            let client = client_address(address.ip(), request.headers(), &trusted);
            request.extensions_mut().insert(ClientAddress(client));
            request
        });
        let service = TowerToHyperService::new(with_address);
        let connection = graceful.watch(
            http1::Builder::new()
                .timer(TokioTimer::new())
                // Also the time that a connection may be idle between two requests.
                .header_read_timeout(options.patience)
                .max_headers(MAX_HEADERS)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service),
        );
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn take(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    // Without a free place the next connection waits in the listener's queue.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, address, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

/// Takes all the file descriptors that the system lets this process have: each connection needs one, and the usual
/// soft limit of 1,024 is less than what one office may open.
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
