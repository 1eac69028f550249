//! Reaches the registry of this machine: over stdio in a child process, over HTTP through a server in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::api_key;
use super::database::Database;
use crate::config::Config;
use crate::db::ServerDb;
use crate::error::{CliError, CliErrorKind};
use crate::server::{CallService, ServiceLimits};
use crate::tenancy::ApiKey;
use crate::transport::http::{self, HttpError, HttpOptions};

/// `skillkeep stdio` on the same database as this process.
pub(super) fn stdio_command(config: &Config, program: &Path, key: &ApiKey) -> Command {
    let mut command = Command::new(program);
    command.arg("stdio").env(api_key::VARIABLE, key.reveal());
    match &config.database_url {
        Some(url) => command.env("DATABASE_URL", url.reveal()),
        None => command.env_remove("DATABASE_URL"),
    };
    command.envs(path_settings(config));
    command
}

/// The path of this program, to start it again.
pub(super) fn this_program() -> Result<PathBuf, CliError> {
    std::env::current_exe().map_err(|error| {
        let message = format!("cannot find the path of the skillkeep program: {error}");
        CliError::new(CliErrorKind::Internal, message)
    })
}

/// The environment variables with the paths that a child process needs, as far as they are set.
pub(super) fn path_settings(config: &Config) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    [
        ("SKILLKEEP_DATA_DIR", &config.data_dir),
        ("SKILLKEEP_PG_BIN", &config.pg_bin),
        ("SKILLKEEP_SIGNING_KEYS", &config.signing_keys),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.as_ref()?)))
}

/// A server over Streamable HTTP and HTTP+SSE on a free port of this machine.
pub(super) struct LocalServer {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), HttpError>>,
    denials: JoinHandle<std::convert::Infallible>,
    db: ServerDb,
}

impl LocalServer {
    /// Starts to serve the database with this number of connections.
    pub(super) async fn start(database: &Database, connections: usize) -> Result<Self, CliError> {
        let failed = |error: HttpError| CliError::new(CliErrorKind::Internal, error.to_string());
        let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(|error| {
            CliError::new(
                CliErrorKind::Internal,
                format!("cannot determine the server's port: {error}"),
            )
        })?;
        let db = database.server(connections).await?;
        let service = CallService::new(db.clone(), ServiceLimits::default());
        let service = Arc::new(service.with_signing_keys(database.signing_keys()));
        let denials = service.access().denials().clone();
        let denials = tokio::spawn(async move { denials.run().await });
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task =
            tokio::spawn(
                async move { http::serve(listener, service, &HttpOptions::default(), stopped).await },
            );
        Ok(Self {
            address,
            stop,
            task,
            denials,
            db,
        })
    }

    /// The address of the registry, without a path.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Finishes the running calls and stops.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the local server failed"),
            Err(error) => tracing::warn!(%error, "the local server failed"),
        }
        self.denials.abort();
        self.db.close();
    }
}
