//! `skillkeep key inspect`: shows whose API key a text is that was found in a log, a chat or a repository.

use std::io::Read as _;

use serde_json::json;

use crate::cli::database::{Database, db_failure};
use crate::cli::limit_args::describe_limits;
use crate::cli::output;
use crate::config::{Config, Secret};
use crate::db::TenantTx;
use crate::error::{CliError, CliErrorKind};
use crate::tenancy::api_keys::{self, StoredApiKey};
use crate::tenancy::tenants;
use crate::tenancy::{ApiKey, ApiKeyError};

/// Limit of stdin: longer than a key, so that a longer text is rejected instead of cut to a valid key.
const MAX_BYTES: u64 = 4096;

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The text; read from stdin by default
    ///
    /// stdin keeps it out of the shell's history.
    key: Option<Secret>,
}

pub(super) async fn run(config: &Config, args: InspectArgs) -> Result<(), CliError> {
    let text = match args.key {
        Some(key) => key.reveal().to_owned(),
        None => read_stdin()?,
    };
    let key: ApiKey = text
        .trim()
        .parse()
        .map_err(|error: ApiKeyError| CliError::new(CliErrorKind::Findings, error.to_string()))?;
    let database = Database::open(config).await?;
    let outcome = look_up(&database, &key).await;
    database.close().await;
    show(config, outcome?)
}

fn read_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| CliError::new(CliErrorKind::Usage, format!("cannot read stdin: {error}")))?;
    Ok(text)
}

/// The slug of the key's tenant and the stored key.
async fn look_up(database: &Database, key: &ApiKey) -> Result<(String, StoredApiKey), CliError> {
    let unknown = || {
        CliError::new(
            CliErrorKind::NotFound,
            "the key is well-formed but is not stored in this registry",
        )
    };
    let db = database.admin().await?;
    let all = tenants::list(&db).await.map_err(db_failure)?;
    let tenant = all
        .into_iter()
        .find(|tenant| tenant.id == key.claimed_tenant())
        .ok_or_else(unknown)?;
    let tx = TenantTx::begin_as_admin(&db, tenant.id)
        .await
        .map_err(db_failure)?;
    let record = api_keys::inspect(&tx, key).await.map_err(db_failure)?;
    tx.rollback().await.map_err(db_failure)?;
    Ok((tenant.slug, record.ok_or_else(unknown)?))
}

fn show(config: &Config, (tenant, record): (String, StoredApiKey)) -> Result<(), CliError> {
    if config.json {
        return output::json(&json!({"tenant": tenant, "key": record}));
    }
    let list = |names: &Option<Vec<String>>| {
        names
            .as_ref()
            .map_or_else(|| "all".to_owned(), |names| names.join(", "))
    };
    for (label, value) in [
        ("tenant", tenant.clone()),
        ("user", record.email.clone()),
        ("name", record.name.clone()),
        ("id", record.id.to_string()),
        ("state", record.state.clone()),
        ("scopes", record.scopes.join(", ")),
        ("skills", list(&record.only_skills)),
        ("tools", list(&record.only_tools)),
        ("may make", describe_limits(record.call_limits)),
        ("created", output::timestamp(record.created_at)),
        ("ends", output::timestamp_or_dash(record.ends_at())),
        ("last used", output::timestamp_or_dash(record.last_used_at)),
    ] {
        output::line(&format!("{label:<10} {value}"))?;
    }
    if record.state == "active" {
        output::line(&format!(
            "\nIf the key was leaked: skillkeep key revoke {} --tenant {tenant}",
            record.id
        ))?;
    }
    Ok(())
}
