//! `skillkeep audit export`: writes the log to a file and signs a checkpoint of it.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::checkpoint_args::checkpoint_path;
use crate::cli::database::{self, db_failure};
use crate::cli::files::{create_private, file_error};
use crate::cli::output;
use crate::cli::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::{AdminDb, DbError};
use crate::error::{CliError, CliErrorKind};
use crate::ids::Digest;
use crate::registry::administration::audit_log;
use crate::registry::audit::{self, Chain, ChainedEntry, SignedCheckpoint, SigningKey, cef};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// One JSON object per line; `audit check` recomputes the hash chain.
    Jsonl,
    /// Common Event Format, for security event collectors.
    Cef,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// The file to create
    ///
    /// The checkpoint is written to FILE.checkpoint.json.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Format of an entry
    ///
    /// `audit check` recomputes the hash chain of jsonl, and checks only the signature of cef.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// A key from `skillkeep audit keygen`
    ///
    /// Without it no checkpoint is written.
    #[arg(long, env = "SKILLKEEP_AUDIT_KEY", value_name = "FILE")]
    signing_key: Option<PathBuf>,
    #[command(flatten)]
    tenant: TenantArg,
}

pub(super) async fn run(config: &Config, db: &AdminDb, args: &ExportArgs) -> Result<(), CliError> {
    let key = args.signing_key.as_deref().map(read_key).transpose()?;
    let slug = &args.tenant.slug;
    let tenant = database::find_including_erased(db, slug).await?;
    let tx = audit_log::begin_export(db, &database::operator(), &tenant, key.is_some())
        .await
        .map_err(db_failure)?;
    let mut chain = Chain::new(tenant.id);
    let mut file = HashedFile::create(&args.out)?;
    let chain_break =
        audit::for_each_entry(&tx, &mut chain, |entry| file.write_entry(entry, args.format)).await;
    if let Some(chain_break) = chain_break.map_err(|error| export_failure(error, &args.out))? {
        return Err(CliError::new(
            CliErrorKind::Findings,
            format!(
                "the log was tampered with: entry {} does not follow from the previous one",
                chain_break.at
            ),
        ));
    }
    let digest = file
        .finish()
        .map_err(|error| file_error("cannot write", &args.out, &error))?;
    tx.rollback().await.map_err(db_failure)?;
    if let Some(key) = &key {
        let checkpoint = SignedCheckpoint::sign(tenant.id, &chain, digest, key);
        write_checkpoint(&checkpoint, &checkpoint_path(&args.out))?;
    }
    if config.json {
        return output::json(&json!({
            "entries": chain.entries(), "last_hash": chain.last_hash(), "file_digest": digest.to_string(),
            "public_key": key.as_ref().map(SigningKey::public_key),
        }));
    }
    let signed = match &key {
        Some(key) => format!("signed; the public key is {}", key.public_key()),
        None => {
            "without a checkpoint; create a key with `skillkeep audit keygen` and give it with --signing-key"
                .to_owned()
        }
    };
    output::line(&format!(
        "Wrote {} entries of {slug} to {}, {signed}.",
        chain.entries(),
        args.out.display()
    ))
}

fn read_key(path: &Path) -> Result<SigningKey, CliError> {
    let text = fs::read_to_string(path).map_err(|error| file_error("cannot read", path, &error))?;
    SigningKey::from_pem(&text).map_err(|error| CliError::new(CliErrorKind::Usage, error.to_string()))
}

fn write_checkpoint(checkpoint: &SignedCheckpoint, path: &Path) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(checkpoint)
        .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()))?;
    create_private(path)
        .map_err(|error| file_error("cannot create", path, &error))?
        .write_all(format!("{text}\n").as_bytes())
        .map_err(|error| file_error("cannot write", path, &error))
}

/// `write_entry` reports its errors as [`DbError::Corrupt`], the only kind that no statement of the export causes.
fn export_failure(error: DbError, path: &Path) -> CliError {
    match error {
        DbError::Corrupt(message) => CliError::new(
            CliErrorKind::Refused,
            format!("cannot write {}: {message}", path.display()),
        ),
        DbError::Unavailable(_)
        | DbError::Busy
        | DbError::Rejected { .. }
        | DbError::Statement(_)
        | DbError::RowCount { .. } => db_failure(error),
    }
}

/// A file that hashes what is written to it.
struct HashedFile {
    file: BufWriter<File>,
    hasher: Sha256,
}

impl HashedFile {
    fn create(path: &Path) -> Result<Self, CliError> {
        let file = create_private(path).map_err(|error| file_error("cannot create", path, &error))?;
        Ok(Self {
            file: BufWriter::new(file),
            hasher: Sha256::new(),
        })
    }

    fn write_entry(&mut self, entry: &ChainedEntry, format: Format) -> Result<(), DbError> {
        let corrupt = |error: &dyn std::fmt::Display| DbError::Corrupt(error.to_string());
        let mut line = match format {
            Format::Jsonl => serde_json::to_string(entry).map_err(|error| corrupt(&error))?,
            Format::Cef => cef(entry),
        };
        line.push('\n');
        self.hasher.update(&line);
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| corrupt(&error))
    }

    fn finish(mut self) -> std::io::Result<Digest> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Digest::from_bytes(&self.hasher.finalize()).map_err(std::io::Error::other)
    }
}
