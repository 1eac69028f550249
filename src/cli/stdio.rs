//! `skillkeep stdio`: serves one assistant, which starts this process and talks to it over stdin and stdout.

use std::sync::Arc;

use super::api_key::{self, KeyArgs};
use super::database::{Database, db_failure};
use super::embedding_args::EmbeddingArgs;
use super::local_tool_args::LocalToolArgs;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::LocalTools;
use crate::search::Meaning;
use crate::server::{CallService, ServiceLimits};
use crate::tenancy::{ApiKey, AuthError};
use crate::transport::stdio;

#[derive(Debug, clap::Args)]
pub(super) struct StdioArgs {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    local: LocalToolArgs,
    /// Limit the memory for the search index, in MiB
    ///
    /// Small, because assistants start a process each. The index of 5,000 skills takes about 4 MiB, and its postings 16.
    #[arg(long, default_value_t = 16, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    search_memory: u32,
    #[command(flatten)]
    embeddings: EmbeddingArgs,
}

/// Few, because one assistant makes few concurrent calls, and several assistants share one database.
const CONNECTIONS: usize = 4;

pub(super) async fn run(config: &Config, args: StdioArgs) -> Result<(), CliError> {
    let key = args.key.required()?;
    let meaning = args.embeddings.meaning().await?;
    let database = Database::open(config).await?;
    let search = (u64::from(args.search_memory) << 20, meaning);
    let outcome = serve(&database, key, args.local.tools()?, search).await;
    database.close().await;
    outcome
}

async fn serve(
    database: &Database,
    key: ApiKey,
    tools: LocalTools,
    (search_memory, meaning): (u64, Option<Arc<Meaning>>),
) -> Result<(), CliError> {
    let db = database.server(CONNECTIONS).await?;
    let service = CallService::new(db.clone(), ServiceLimits::default());
    let service = service.with_search_memory(search_memory).with_meaning(meaning);
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
