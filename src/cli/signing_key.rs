//! `skillkeep signing-key`: the keys that sign the versions of a tenant.

mod create;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use skill_signature::KeyId;

use super::database::{self, Database, db_failure};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::registry::administration::signing_keys::{self as keys, ListedKey, SigningKeyError};
use crate::registry::signing::SigningError;
use crate::search;

#[derive(Debug, Subcommand)]
pub(super) enum SigningKeyCommand {
    /// Create a key that signs every version from now on
    ///
    /// Writes the private key to TENANT.key in the folder of --signing-keys, and only the public key to the database. The
    /// key before stays active until it is retired. Example: skillkeep signing-key create --signing-keys /etc/skillkeep/keys
    Create {
        /// Write the private key to this new file instead
        #[arg(long, value_name = "FILE", conflicts_with = "existing")]
        out: Option<PathBuf>,
        /// Use the last private key in this file; create none
        ///
        /// For a rotation with several servers: give the file to all of them first.
        #[arg(long, value_name = "FILE")]
        existing: Option<PathBuf>,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// List the public keys of a tenant
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Retire a key, which then signs nothing more
    ///
    /// What it signed before stays valid.
    Retire {
        /// The key, by its id
        #[arg(value_name = "KEY_ID", value_parser = parse_key_id)]
        key: KeyId,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Print the public keys that clients should trust, one a line
    Export {
        /// Print retired keys too
        #[arg(long)]
        retired: bool,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Sign the published versions that have no signature
    ///
    /// Reads the files of each version, and signs it only if they match its digest.
    SignMissing {
        /// Also sign the versions that only retired keys signed
        #[arg(long)]
        retired: bool,
        #[command(flatten)]
        tenant: TenantArg,
    },
}

impl SigningKeyCommand {
    fn tenant(&self) -> &str {
        match self {
            Self::Create { tenant, .. }
            | Self::List { tenant }
            | Self::Retire { tenant, .. }
            | Self::Export { tenant, .. }
            | Self::SignMissing { tenant, .. } => &tenant.slug,
        }
    }
}

fn parse_key_id(text: &str) -> Result<KeyId, String> {
    text.parse()
        .map_err(|error: skill_signature::SignatureError| error.to_string())
}

pub(super) async fn run(config: &Config, command: SigningKeyCommand) -> Result<(), CliError> {
    Database::with_admin(config, async |db| {
        let tenant = command.tenant().to_owned();
        match command {
            SigningKeyCommand::Create { out, existing, .. } => {
                create::run(config, db, &tenant, out.as_deref(), existing.as_deref()).await
            }
            SigningKeyCommand::List { .. } => list(config, db, &tenant).await,
            SigningKeyCommand::Retire { key, .. } => retire(config, db, &tenant, key).await,
            SigningKeyCommand::Export { retired, .. } => export(config, db, &tenant, retired).await,
            SigningKeyCommand::SignMissing { retired, .. } => {
                sign_missing(config, db, &tenant, retired).await
            }
        }
    })
    .await
}

async fn listed(db: &AdminDb, tenant: &str) -> Result<Vec<ListedKey>, CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    keys::list(&tx).await.map_err(db_failure)
}

async fn list(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let keys = listed(db, tenant).await?;
    if config.json {
        return output::json(&keys);
    }
    let rows = keys
        .into_iter()
        .map(|key| {
            vec![
                key.key_id,
                key.public_key,
                key.versions.to_string(),
                key.created_by,
                output::timestamp(key.created_at),
                output::timestamp_or_dash(key.retired_at),
            ]
        })
        .collect();
    output::table(
        &[
            "key",
            "public key",
            "versions",
            "created by",
            "created",
            "retired",
        ],
        rows,
        "The tenant has no signing key, and signs no versions.",
    )
}

async fn retire(config: &Config, db: &AdminDb, tenant: &str, key: KeyId) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    keys::retire(&tx, &database::operator(), key)
        .await
        .map_err(key_failure)?;
    let active = keys::list(&tx).await.map_err(db_failure)?;
    let active = active.iter().filter(|key| key.retired_at.is_none()).count();
    search::commit(tx).await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"key_id": key.to_string(), "retired": true, "active_keys": active}));
    }
    let rest = if active == 0 {
        " The tenant has no active key: new versions are not signed."
    } else {
        ""
    };
    output::line(&format!("The key {key} is retired.{rest}"))
}

async fn export(config: &Config, db: &AdminDb, tenant: &str, retired: bool) -> Result<(), CliError> {
    let mut keys = listed(db, tenant).await?;
    keys.retain(|key| retired || key.retired_at.is_none());
    if config.json {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| json!({"key_id": key.key_id, "public_key": key.public_key, "retired": key.retired_at.is_some()}))
            .collect();
        return output::json(&keys);
    }
    if keys.is_empty() {
        return Err(key_failure(SigningKeyError::NoKey));
    }
    keys.iter().try_for_each(|key| output::line(&key.public_key))
}

async fn sign_missing(config: &Config, db: &AdminDb, tenant: &str, retired: bool) -> Result<(), CliError> {
    let caller = database::administrator(config)?;
    let (mut signed, mut damaged, mut after) = (0, Vec::new(), None);
    loop {
        let tx = database::tenant_tx(db, tenant).await?;
        let batch = keys::sign_missing(&tx, &caller, retired, after)
            .await
            .map_err(key_failure)?;
        search::commit(tx).await.map_err(db_failure)?;
        signed += batch.signed;
        damaged.extend(batch.damaged);
        match batch.last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    if config.json {
        output::json(&json!({"signed": signed, "damaged": damaged}))?;
    } else {
        output::line(&format!("Signed {signed} versions."))?;
    }
    if damaged.is_empty() {
        return Ok(());
    }
    let message = format!(
        "not signed, because their files do not match their digest: {}",
        damaged.join(", ")
    );
    Err(CliError::new(CliErrorKind::Findings, message))
}

fn key_failure(error: SigningKeyError) -> CliError {
    match error {
        SigningKeyError::NotActive(_) | SigningKeyError::NoKey => {
            CliError::new(CliErrorKind::NotFound, error.to_string())
        }
        SigningKeyError::Exists(_) | SigningKeyError::Signing(SigningError::NoPrivateKey { .. }) => {
            CliError::new(CliErrorKind::Refused, error.to_string())
        }
        SigningKeyError::Signing(SigningError::Db(error)) | SigningKeyError::Db(error) => db_failure(error),
    }
}
