//! `skillkeep serve`: serves many assistants over Streamable HTTP and HTTP+SSE.

mod rights;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Uid, User};
use tokio::signal::unix::{SignalKind, signal};

use super::database::{Database, db_failure};
use super::embedding_args::EmbeddingArgs;
use super::output;
use crate::access::AccessLimits;
use crate::config::Config;
use crate::db::ServerDb;
use crate::error::{CliError, CliErrorKind};
use crate::search::Meaning;
use crate::server::{CallService, ServiceLimits};
use crate::tenancy::ShareLimits;
use crate::transport::http::{self, HttpError, HttpOptions, Network, PathPrefix};
use crate::transport::sse::SseOptions;

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Listen on this address and port
    #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Limit the number of database connections
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// Limit the memory for search indexes, in MiB
    ///
    /// The index of 5,000 skills takes about 4 MiB, and its postings 16. Above the limit, the index of the tenant that searched
    /// longest ago is dropped, and read again when it searches.
    #[arg(long, default_value_t = 512, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    search_memory: u32,
    /// Accept this host name in addition to localhost
    ///
    /// May be repeated. Protects against DNS rebinding. Example: --allow-host skills.example.com
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// Accept web pages of this origin in addition to localhost
    ///
    /// May be repeated. Browsers let such a page call the registry and read its answers (CORS); the page sends an API key. Example:
    /// --allow-origin https://tools.example.com
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Trust X-Forwarded-For and -Prefix from this proxy
    ///
    /// May be repeated. The client's address is used to throttle failed authentication and in the audit log; the prefix as with
    /// --path-prefix. Example: --trusted-proxy 10.0.0.0/8
    #[arg(long, value_name = "ADDRESS_OR_NETWORK")]
    trusted_proxy: Vec<Network>,
    /// Name the path below which a proxy serves the registry
    ///
    /// Clients of HTTP+SSE are told this path. The proxy may remove it from requests or not. Example: --path-prefix
    /// /skills-registry
    #[arg(long, value_name = "PATH", default_value = "/", hide_default_value = true)]
    path_prefix: PathPrefix,
    /// Say that a proxy encrypts the connections
    ///
    /// Without it or --trusted-proxy, an address that other machines can reach is warned of: API keys travel unencrypted.
    #[arg(long)]
    behind_proxy: bool,
    /// Give up root's rights for those of this account
    ///
    /// After the start, and only with DATABASE_URL. Root becomes the account `skillkeep` by default, if there is one. Example:
    /// --run-as skillkeep
    #[arg(long, value_name = "ACCOUNT")]
    run_as: Option<String>,
    /// Disable HTTP+SSE, which only old clients need
    ///
    /// Removes the paths /sse and /messages.
    #[arg(long)]
    no_sse: bool,
    /// Limit the open HTTP+SSE streams of one tenant
    ///
    /// One API key gets at most half of them.
    #[arg(long, default_value_t = SseOptions::default().sessions_per_tenant, value_name = "NUMBER")]
    sse_per_tenant: usize,
    /// Close an HTTP+SSE stream after minutes without a message
    #[arg(long, default_value_t = 60, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sse_idle: u32,
    /// Limit the concurrent HTTP calls of one tenant
    ///
    /// One API key gets at most half of them.
    #[arg(long, default_value_t = AccessLimits::default().calls.per_tenant, value_name = "NUMBER")]
    calls_per_tenant: usize,
    #[command(flatten)]
    embeddings: EmbeddingArgs,
}

/// How often partitions for the coming months are created: often enough even if the machine sleeps for a while.
const PARTITION_INTERVAL: Duration = Duration::from_secs(6 * 60 * 60);

pub(super) async fn run(config: &Config, args: ServeArgs) -> Result<(), CliError> {
    // Bind first, so that a second server on the same address fails before it waits for a database.
    let listener = http::bind(args.listen).await.map_err(http_failure)?;
    let account = rights::choose_account(args.run_as.as_deref(), config.database_url.is_none())?;
    let meaning = args.embeddings.meaning().await?;
    let database = Database::open(config).await?;
    let outcome = serve(&database, listener, account, args, meaning).await;
    database.close().await;
    outcome
}

async fn serve(
    database: &Database,
    listener: tokio::net::TcpListener,
    account: Option<User>,
    args: ServeArgs,
    meaning: Option<Arc<Meaning>>,
) -> Result<(), CliError> {
    let db = database.server(usize::from(args.connections)).await?;
    if let Some(account) = account {
        rights::become_account(&account)?;
    }
    let mut limits = ServiceLimits::default();
    limits.access.calls = ShareLimits::of_tenant(args.calls_per_tenant);
    let service = Arc::new(
        CallService::new(db.clone(), limits)
            .with_search_memory(u64::from(args.search_memory) << 20)
            .with_meaning(meaning)
            .with_signing_keys(database.signing_keys()),
    );
    let mut options = HttpOptions::default();
    options.allowed_hosts.extend(args.allow_host);
    options.allowed_origins.extend(args.allow_origin);
    options.trusted_proxies = args.trusted_proxy;
    options.path_prefix = args.path_prefix;
    options.sse = (!args.no_sse).then(|| SseOptions {
        sessions_per_tenant: args.sse_per_tenant,
        idle: Duration::from_secs(u64::from(args.sse_idle) * 60),
        ..SseOptions::default()
    });
    let address = listener.local_addr().unwrap_or(args.listen);
    // Before the line below: a script that waits for it may send the signal at once.
    let stop = stop_signal()?;
    output::note(&format!("skillkeep serves http://{address}/mcp"));
    let is_behind_proxy = args.behind_proxy || !options.trusted_proxies.is_empty();
    for warning in warnings(address, is_behind_proxy, Uid::effective().is_root()) {
        output::note(&format!("warning: {warning}"));
    }
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

/// What an administrator should know before other machines send keys.
fn warnings(address: SocketAddr, is_behind_proxy: bool, is_root: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if !address.ip().to_canonical().is_loopback() && !is_behind_proxy {
        warnings.push(format!(
            "other machines can reach {address}, and API keys travel unencrypted: let a proxy with TLS forward to a loopback address, or say \
             that there is one with --behind-proxy"
        ));
    }
    if is_root {
        warnings.push(
            "skillkeep runs as root: start it as an account of its own, or name one with --run-as and set DATABASE_URL"
                .to_owned(),
        );
    }
    warnings
}

async fn keep_partitions_ahead(db: ServerDb) {
    loop {
        tokio::time::sleep(PARTITION_INTERVAL).await;
        if let Err(error) = db.ensure_usage_partitions().await.map_err(db_failure) {
            tracing::error!(%error, "cannot create the usage partitions of the coming months");
        }
    }
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(CliErrorKind::Internal, format!("cannot handle signals: {error}"))
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        output::note("skillkeep finishes the running calls and stops");
    })
}

fn http_failure(error: HttpError) -> CliError {
    let kind = match error {
        HttpError::InUse(_) | HttpError::Bind(..) => CliErrorKind::Refused,
    };
    CliError::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_other_machines_reach_is_warned_of_without_a_proxy() {
        for (address, is_behind_proxy, is_root, expected) in [
            ("127.0.0.1:1", false, false, 0),
            ("[::1]:1", false, false, 0),
            ("[::ffff:127.0.0.1]:1", false, false, 0),
            ("0.0.0.0:1", false, false, 1),
            ("[::]:1", false, false, 1),
            ("192.0.2.1:1", true, false, 0),
            ("192.0.2.1:1", false, true, 2),
        ] {
            let warnings = warnings(address.parse().unwrap(), is_behind_proxy, is_root);
            assert_eq!(warnings.len(), expected, "{address}: {warnings:?}");
        }
    }
}
