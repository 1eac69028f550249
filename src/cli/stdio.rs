//! `skillkeep stdio`: serves one assistant, which starts this process and talks to it over stdin and stdout.

use std::sync::Arc;

use super::api_key::{self, KeyArgs};
use super::database::{Database, db_failure};
use super::local_tool_args::LocalToolArgs;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::LocalTools;
use crate::server::{CallService, ServiceLimits};
use crate::tenancy::{ApiKey, AuthError};
use crate::transport::stdio;

/// Memory for the search index. Assistants start a process each, so it is small: the index of 5,000 skills without postings
/// takes about 4 MB.
const SEARCH_MEMORY_BYTES: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct StdioArgs {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    local: LocalToolArgs,
}

/// Few, because one assistant makes few concurrent calls, and several assistants share one database.
const CONNECTIONS: usize = 4;

pub(super) async fn run(config: &Config, args: StdioArgs) -> Result<(), CliError> {
    let key = args.key.required()?;
    let database = Database::open(config).await?;
    let outcome = serve(&database, key, args.local.tools()?).await;
    database.close().await;
    outcome
}

async fn serve(database: &Database, key: ApiKey, tools: LocalTools) -> Result<(), CliError> {
    let db = database.server(CONNECTIONS).await?;
    let service =
        CallService::new(db.clone(), ServiceLimits::default()).with_search_memory(SEARCH_MEMORY_BYTES);
    let service = Arc::new(service.with_signing_keys(database.signing_keys()));
    // Authenticate before the first call, so that a rejected key is reported on stderr at once.
    match service.access().begin(&key, "stdio").await {
        Ok((tx, _principal)) => tx.rollback().await.map_err(db_failure)?,
        Err(AuthError::Invalid(rejected)) => {
            service.drain().await;
            return Err(CliError::new(
                CliErrorKind::Refused,
                format!(
                    "{} was rejected: {}",
                    api_key::VARIABLE,
                    AuthError::Invalid(rejected)
                ),
            ));
        }
        Err(AuthError::Db(error)) => return Err(db_failure(error)),
    }
    let denials = service.access().denials().clone();
    let denials = tokio::spawn(async move { denials.run().await });
    let outcome = stdio::serve(service, key, tools)
        .await
        .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()));
    denials.abort();
    db.close();
    outcome
}
