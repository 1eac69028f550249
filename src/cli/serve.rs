//! `skillkeep serve`: Streamable HTTP for many callers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::database::{Database, db_failure};
use crate::access::AccessLimits;
use crate::config::Config;
use crate::db::ServerDb;
use crate::error::{CliError, CliErrorKind};
use crate::server::{CallService, ServiceLimits};
use crate::transport::http::{self, HttpError, HttpOptions, Network};
use crate::transport::sse::SseOptions;

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// How many database connections to use at most
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// A host name that clients may use besides localhost; may be repeated
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// An origin of web pages that may call besides localhost, for example https://tools.example.com; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// A proxy in front whose X-Forwarded-For is believed, for the slow-down of tried keys and for the audit log; may be repeated
    #[arg(long, value_name = "ADDRESS_OR_NETWORK")]
    trusted_proxy: Vec<Network>,
    /// Leave HTTP+SSE out: /sse and /messages, which only old clients use
    #[arg(long)]
    no_sse: bool,
    /// How many event streams one tenant may have open at once over HTTP+SSE
    #[arg(long, default_value_t = SseOptions::default().sessions_per_tenant, value_name = "NUMBER")]
    sse_per_tenant: usize,
    /// After how many minutes without a message an event stream is ended
    #[arg(long, default_value_t = 60, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sse_idle: u32,
    /// How many calls one tenant may have running at once over HTTP
    #[arg(long, default_value_t = AccessLimits::default().calls_per_tenant, value_name = "NUMBER")]
    calls_per_tenant: usize,
}

/// Often enough that a month never begins without its partition, also after the machine slept.
const PARTITION_CHECK: Duration = Duration::from_secs(6 * 60 * 60);

pub(super) async fn run(config: &Config, args: ServeArgs) -> Result<(), CliError> {
    // The address first: a second server on it should not wait for a database.
    let listener = http::bind(args.listen).await.map_err(http_failure)?;
    let database = Database::open(config).await?;
    let outcome = serve(&database, listener, args).await;
    database.close().await;
    outcome
}

async fn serve(
    database: &Database,
    listener: tokio::net::TcpListener,
    args: ServeArgs,
) -> Result<(), CliError> {
    let db = database.server(usize::from(args.connections)).await?;
    let mut limits = ServiceLimits::default();
    limits.access.calls_per_tenant = args.calls_per_tenant;
    let service = Arc::new(CallService::new(db.clone(), limits));
    let mut options = HttpOptions::default();
    options.allowed_hosts.extend(args.allow_host);
    options.allowed_origins.extend(args.allow_origin);
    options.trusted_proxies = args.trusted_proxy;
    options.sse = (!args.no_sse).then(|| SseOptions {
        sessions_per_tenant: args.sse_per_tenant,
        idle: Duration::from_secs(u64::from(args.sse_idle) * 60),
        ..SseOptions::default()
    });
    let address = listener.local_addr().unwrap_or(args.listen);
    // Before the line that says so: whoever waits for it may stop us at once.
    let stop = stop_signal()?;
    eprintln!("skillkeep serves http://{address}/mcp");
    let partitions = tokio::spawn(keep_partitions_ahead(db.clone()));
    let denials = service.access().denials().clone();
    let denials = tokio::spawn(async move { denials.run().await });
    let outcome = http::serve(listener, service, &options, stop)
        .await
        .map_err(http_failure);
    partitions.abort();
    denials.abort();
    db.close();
    outcome
}

async fn keep_partitions_ahead(db: ServerDb) {
    loop {
        tokio::time::sleep(PARTITION_CHECK).await;
        if let Err(error) = db.ensure_usage_partitions().await.map_err(db_failure) {
            tracing::error!(%error, "the coming months' partitions could not be made");
        }
    }
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(
            CliErrorKind::Internal,
            format!("cannot listen to signals: {error}"),
        )
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        eprintln!("skillkeep finishes the calls in flight and stops");
    })
}

fn http_failure(error: HttpError) -> CliError {
    let kind = match error {
        HttpError::InUse(_) | HttpError::Bind(..) => CliErrorKind::Refused,
    };
    CliError::new(kind, error.to_string())
}
