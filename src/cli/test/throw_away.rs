//! Runs test files on a database of their own, which exists for the run only.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::database::{self, Database, db_failure};
use crate::cli::local_registry::{self, LocalServer, this_program};
use crate::cli::quickstart;
use crate::cli::registry_args::{RegistryArgs, TransportName};
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::scripted::{Fixture, FixtureError, RunReport, Runner, TestFile};
use crate::tenancy::ApiKey;
use crate::tool_client::Endpoint;

/// Connections of the server over HTTP and HTTP+SSE. The users of a file call one after another.
const CONNECTIONS: usize = 4;

/// Starts an embedded PostgreSQL in a temporary folder, runs the files and removes the folder.
pub(super) async fn run(
    config: &Config,
    files: &[TestFile],
    transports: &[TransportName],
) -> Result<Vec<RunReport>, CliError> {
    let interrupted = interrupted()?;
    let folder = temporary_folder()?;
    let config = Config {
        // Never the configured database: its data is not for tests.
        database_url: None,
        data_dir: Some(folder.path().join("data")),
        ..config.clone()
    };
    let database = Database::open(&config).await?;
    let outcome = tokio::select! {
        outcome = run_in(&config, &database, files, transports) => outcome,
        () = interrupted => Err(stopped()),
    };
    database.close().await;
    if let Err(error) = folder.close() {
        tracing::warn!(%error, "cannot remove the folder of the throw-away database");
    }
    outcome
}

fn temporary_folder() -> Result<TempDir, CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(
            CliErrorKind::Internal,
            format!("cannot create a temporary folder: {error}"),
        )
    };
    let folder = tempfile::Builder::new()
        .prefix("skillkeep-test-")
        .tempdir()
        .map_err(failed)?;
    // If root runs the tests, PostgreSQL runs as another account, which must be able to pass through this folder.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).map_err(failed)?;
    Ok(folder)
}

/// Resolves at SIGINT or SIGTERM, so that the database is removed before the program ends.
fn interrupted() -> Result<impl Future<Output = ()>, CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(CliErrorKind::Internal, format!("cannot handle signals: {error}"))
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn stopped() -> CliError {
    CliError::new(
        CliErrorKind::Internal,
        "interrupted; the throw-away database was removed",
    )
}

async fn run_in(
    config: &Config,
    database: &Database,
    files: &[TestFile],
    transports: &[TransportName],
) -> Result<Vec<RunReport>, CliError> {
    let admin = database.admin().await?;
    let needs_server = transports
        .iter()
        .any(|transport| *transport != TransportName::Stdio);
    let server = if needs_server {
        Some(LocalServer::start(database, CONNECTIONS).await?)
    } else {
        None
    };
    let outcome = run_files(config, &admin, server.as_ref(), files, transports).await;
    if let Some(server) = server {
        server.stop().await;
    }
    outcome
}

async fn run_files(
    config: &Config,
    admin: &AdminDb,
    server: Option<&LocalServer>,
    files: &[TestFile],
    transports: &[TransportName],
) -> Result<Vec<RunReport>, CliError> {
    let mut runs = Vec::new();
    for file in files {
        for transport in transports {
            runs.push(run_file(config, admin, server, file, *transport).await?);
        }
    }
    Ok(runs)
}

async fn run_file(
    config: &Config,
    admin: &AdminDb,
    server: Option<&LocalServer>,
    file: &TestFile,
    transport: TransportName,
) -> Result<RunReport, CliError> {
    let actor = database::operator();
    let mut fixture = Fixture::create(admin, &actor, file)
        .await
        .map_err(|error| fixture_failure(file, error))?;
    for tenant in fixture.tenants_with_samples(file) {
        quickstart::store_samples(config, admin, tenant).await?;
    }
    let users = fixture
        .create_users(&actor, file)
        .await
        .map_err(|error| fixture_failure(file, error))?;
    let program = this_program()?;
    let endpoint = |key: &ApiKey| match (transport, server) {
        (TransportName::Http | TransportName::Sse, Some(server)) => RegistryArgs::local()
            .endpoint(&server.url(), transport, key)
            .map_err(|error| error.to_string()),
        (TransportName::Stdio | TransportName::Http | TransportName::Sse, _) => Ok(Endpoint::Process(
            local_registry::stdio_command(config, &program, key),
        )),
    };
    let runner = Runner::new(file, &users, endpoint, Some(&mut fixture));
    Ok(runner.run(transport.as_str()).await)
}

fn fixture_failure(file: &TestFile, error: FixtureError) -> CliError {
    match error {
        FixtureError::Db(error) => db_failure(error),
        FixtureError::Tenant { .. } | FixtureError::Setting(_) | FixtureError::SlugTaken(_) => {
            CliError::new(CliErrorKind::Usage, format!("{}: {error}", file.path))
        }
    }
}
