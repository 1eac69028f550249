//! `skillkeep stdio`: one assistant, which starts this process and talks to it over stdin and stdout.

use std::sync::Arc;

use super::database::{Database, db_failure};
use crate::config::{Config, Secret};
use crate::error::{CliError, CliErrorKind};
use crate::server::{CallService, ServiceLimits};
use crate::tenancy::{ApiKey, AuthError};
use crate::transport::stdio;

#[derive(Debug, clap::Args)]
pub(super) struct StdioArgs {
    /// The API key
    #[arg(env = "SKILLKEEP_API_KEY", long, hide_env_values = true, value_name = "KEY")]
    api_key: Option<Secret>,
}

/// One assistant makes few calls at once, and several assistants share one database.
const CONNECTIONS: usize = 4;

pub(super) async fn run(config: &Config, args: StdioArgs) -> Result<(), CliError> {
    let Some(text) = args.api_key.filter(|key| !key.reveal().is_empty()) else {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "SKILLKEEP_API_KEY is not set; put the key into the environment of the assistant's configuration",
        ));
    };
    let key: ApiKey = text.reveal().parse().map_err(|error| {
        CliError::new(
            CliErrorKind::Usage,
            format!("SKILLKEEP_API_KEY is refused: {error}"),
        )
    })?;
    let database = Database::open(config).await?;
    let outcome = serve(&database, key).await;
    database.close().await;
    outcome
}

async fn serve(database: &Database, key: ApiKey) -> Result<(), CliError> {
    let db = database.server(CONNECTIONS).await?;
    let service = Arc::new(CallService::new(db.clone(), ServiceLimits::default()));
    // Told at once, on stderr, rather than with the first call.
    match service.access().begin(&key, "stdio").await {
        Ok((tx, _principal)) => tx.roll_back().await.map_err(db_failure)?,
        Err(AuthError::Invalid(refused)) => {
            service.drain().await;
            return Err(CliError::new(
                CliErrorKind::Refused,
                format!("SKILLKEEP_API_KEY is refused: {}", AuthError::Invalid(refused)),
            ));
        }
        Err(AuthError::Db(error)) => return Err(db_failure(error)),
    }
    let denials = service.access().denials().clone();
    let denials = tokio::spawn(async move { denials.run().await });
    let outcome = stdio::serve(service, key)
        .await
        .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()));
    denials.abort();
    db.close();
    outcome
}
