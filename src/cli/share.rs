//! `skillkeep share`: create, list and revoke secret paths. A new secret is the only text on stdout.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::duration::parse_duration;
use super::key_name;
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::ids::SecretPathId;
use crate::registry::administration;
use crate::shown_text::is_unsafe;
use crate::tenancy::secret_paths::{self, MAX_LIFETIME, NewSecretPath, StoredSecretPath};

/// Characters of a shortened id.
const MIN_PART: usize = 6;

#[derive(Debug, Subcommand)]
pub(super) enum ShareCommand {
    /// Create a secret path and print it; it cannot be shown again
    ///
    /// For clients that can send no header. Who has the path can read and install the skills of its API key, and nothing else.
    Create(CreateArgs),
    /// List the secret paths of a tenant
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Revoke a secret path: it is rejected from now on
    Revoke {
        /// The path's name or id, or a part of its id
        ///
        /// A part is the beginning or the end of the id, at least 6 characters.
        share: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// The API key whose rights it has, by name or id
    ///
    /// The path ends with the key.
    #[arg(long)]
    key: String,
    /// A label, 1 to 100 characters
    #[arg(long, default_value = "share")]
    name: String,
    /// Expire after this time, at most 90d
    #[arg(long, default_value = "30d", value_name = "TIME", value_parser = parse_duration)]
    expires: Duration,
    /// The only skills that it opens, comma-separated slugs
    ///
    /// Default: all that the key may see.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    only_skills: Option<Vec<String>>,
    #[command(flatten)]
    tenant: TenantArg,
}

pub(super) async fn run(config: &Config, command: ShareCommand) -> Result<(), CliError> {
    if let ShareCommand::Create(args) = &command {
        validate(args)?;
    }
    Database::with_admin(config, async |db| run_with(config, db, command).await).await
}

fn validate(args: &CreateArgs) -> Result<(), CliError> {
    let usage = |message: &str| Err(CliError::new(CliErrorKind::Usage, message.to_owned()));
    if args.name.is_empty() || args.name.chars().count() > 100 || args.name.contains(is_unsafe) {
        return usage("the name of a secret path must have 1 to 100 visible characters");
    }
    if args.expires.is_zero() || args.expires > MAX_LIFETIME {
        return usage("a secret path is valid for at most 90 days; give --expires 90d or less");
    }
    Ok(())
}

async fn run_with(config: &Config, db: &AdminDb, command: ShareCommand) -> Result<(), CliError> {
    match command {
        ShareCommand::Create(args) => create(config, db, args).await,
        ShareCommand::List { tenant } => {
            let tx = database::tenant_tx(db, &tenant.slug).await?;
            list(config, &tx).await
        }
        ShareCommand::Revoke { share, tenant } => {
            let tx = database::tenant_tx(db, &tenant.slug).await?;
            let id = find(&tx, &share).await?;
            if !revoke(tx, id).await? {
                return Err(CliError::new(
                    CliErrorKind::NotFound,
                    format!("the secret path {id} was revoked before"),
                ));
            }
            if config.json {
                return output::json(&json!({"id": id, "state": "revoked"}));
            }
            output::line(&format!("Revoked the secret path {id}."))
        }
    }
}

async fn create(config: &Config, db: &AdminDb, args: CreateArgs) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, &args.tenant.slug).await?;
    let actor = database::operator();
    let new = NewSecretPath {
        api_key: key_name::find(&tx, &args.key).await?,
        name: args.name,
        only_skills: args.only_skills,
        lifetime: args.expires,
        created_by: actor.name().to_owned(),
    };
    let (id, secret, expires_at) = administration::secret_paths::create(&tx, &actor, &new)
        .await
        .map_err(db_failure)?;
    tx.commit().await.map_err(db_failure)?;
    let path = format!("/d/{}", secret.reveal());
    let text = if config.json {
        json!({"id": id, "path": path, "key": new.api_key, "expires_at": expires_at}).to_string()
    } else {
        path
    };
    let Err(unwritten) = output::required_line(&text) else {
        output::note(&format!(
            "Put it behind the registry's address. Who has it can read these skills until {expires_at}."
        ));
        return Ok(());
    };
    // Nobody has it.
    let tx = database::tenant_tx(db, &args.tenant.slug).await?;
    let state = match revoke(tx, id).await {
        Ok(_) => "so it was revoked; create another".to_owned(),
        Err(error) => format!(
            "and is still active, because revoking it failed ({error}); run `skillkeep share revoke {id}`"
        ),
    };
    Err(CliError::new(
        CliErrorKind::Internal,
        format!("the new secret path {id} could not be printed ({unwritten}), {state}"),
    ))
}

async fn revoke(tx: TenantTx, id: SecretPathId) -> Result<bool, CliError> {
    let revoked = administration::secret_paths::revoke(&tx, &database::operator(), id)
        .await
        .map_err(db_failure)?;
    tx.commit().await.map_err(db_failure)?;
    Ok(revoked)
}

async fn list(config: &Config, tx: &TenantTx) -> Result<(), CliError> {
    let paths = secret_paths::list(tx).await.map_err(db_failure)?;
    if config.json {
        return output::json(&paths);
    }
    let row = |path: StoredSecretPath| {
        vec![
            path.id.to_string(),
            path.name,
            path.api_key_name,
            path.state,
            path.only_skills
                .map_or_else(|| "all".to_owned(), |only| only.join(",")),
            output::timestamp_or_dash(Some(path.expires_at)),
        ]
    };
    output::table(
        &["id", "name", "key", "state", "skills", "ends"],
        paths.into_iter().map(row).collect(),
        "The tenant has no secret path.",
    )
}

/// The path that the text names: by id, else by name, else by a part of the id.
async fn find(tx: &TenantTx, text: &str) -> Result<SecretPathId, CliError> {
    let paths = secret_paths::list(tx).await.map_err(db_failure)?;
    let part = text.to_ascii_lowercase();
    let is_part = |id: &str| part.len() >= MIN_PART && (id.starts_with(&part) || id.ends_with(&part));
    let with = |matches: &dyn Fn(&StoredSecretPath) -> bool| -> Vec<SecretPathId> {
        let found = paths.iter().filter(|path| matches(path));
        found.map(|path| path.id).collect()
    };
    let by_id = with(&|path| path.id.to_string() == part);
    let by_name = with(&|path| path.name == text && path.state == "active");
    let by_part = with(&|path| is_part(&path.id.to_string()));
    let found = [by_id, by_name, by_part]
        .into_iter()
        .find(|found| !found.is_empty());
    match found.unwrap_or_default().as_slice() {
        [id] => Ok(*id),
        [] => Err(CliError::new(
            CliErrorKind::NotFound,
            format!(
                "the tenant has no secret path \"{}\"; `skillkeep share list` shows its paths",
                text.escape_debug()
            ),
        )),
        several => {
            let ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            let ids = ids.join(", ");
            let text = text.escape_debug();
            let message = format!("several secret paths match \"{text}\"; give the id of one: {ids}");
            Err(CliError::new(CliErrorKind::Usage, message))
        }
    }
}
