//! `skillkeep audit check`: checks an exported file against its checkpoint, without a database.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use uuid::Uuid;

use super::checkpoint_args::{CheckpointKey, TrustedCheckpoint, checkpoint_path};
use super::describe_unreadable;
use crate::cli::files::file_error;
use crate::cli::output;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::ids::Digest;
use crate::registry::audit::{Chain, SignedCheckpoint, check_lines};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CheckArgs {
    /// The exported file
    file: PathBuf,
    /// The checkpoint; FILE.checkpoint.json by default
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The id of the tenant whose log it must be
    #[arg(long, value_name = "ID")]
    tenant_id: Option<Uuid>,
    #[command(flatten)]
    key: CheckpointKey,
}

pub(super) fn run(config: &Config, args: &CheckArgs) -> Result<(), CliError> {
    let text =
        fs::read_to_string(&args.file).map_err(|error| file_error("cannot read", &args.file, &error))?;
    let path = args
        .checkpoint
        .clone()
        .unwrap_or_else(|| checkpoint_path(&args.file));
    let trusted = TrustedCheckpoint::read(&path, &args.key)?;
    let log = ExportedLog::parse(&text)?;
    trusted
        .verify_signature()
        .map_err(|error| finding(error.to_string()))?;
    let checkpoint = &trusted.checkpoint;
    compare(&log, &text, checkpoint, args.tenant_id)?;
    if config.json {
        return output::json(&json!({
            "tenant_id": checkpoint.tenant_id, "entries": log.entries, "last_hash": checkpoint.last_hash,
            "signed_at": checkpoint.signed_at, "public_key": trusted.public_key, "chain_recomputed": !log.is_cef,
        }));
    }
    let key_source = if args.key.trust_key_in_checkpoint {
        "with the key that the checkpoint names; compare it with the one that you were given"
    } else {
        "with your key"
    };
    let not_recomputed = if log.is_cef {
        " The hash chain was not recomputed; that needs an export in the format jsonl."
    } else {
        ""
    };
    output::line(&format!(
        "The file is complete and unchanged: {} entries of the tenant {}, signed on {} {key_source}: {}.{not_recomputed}",
        log.entries,
        checkpoint.tenant_id,
        output::timestamp(checkpoint.signed_at),
        trusted.public_key
    ))
}

fn finding(message: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Findings, message)
}

/// What a file of either format contains.
struct ExportedLog {
    entries: i64,
    /// `None` for an empty file and for CEF, from which the chain cannot be recomputed.
    chain: Option<Chain>,
    is_cef: bool,
}

impl ExportedLog {
    fn parse(text: &str) -> Result<Self, CliError> {
        if text.starts_with("CEF:") {
            return Ok(Self {
                entries: i64::try_from(text.lines().count()).unwrap_or(i64::MAX),
                chain: None,
                is_cef: true,
            });
        }
        let chain = check_lines(text).map_err(|chain_break| {
            finding(format!(
                "the file was tampered with: line {} does not follow from the previous one",
                chain_break.at
            ))
        })?;
        Ok(Self {
            entries: chain.as_ref().map_or(0, Chain::entries),
            chain,
            is_cef: false,
        })
    }
}

/// Fails unless this is the file that was signed, and the log of the expected tenant.
fn compare(
    log: &ExportedLog,
    text: &str,
    checkpoint: &SignedCheckpoint,
    expected_tenant: Option<Uuid>,
) -> Result<(), CliError> {
    if let Some(expected) = expected_tenant.filter(|id| id != checkpoint.tenant_id.as_uuid()) {
        return Err(finding(format!(
            "the checkpoint is of the tenant {}, not of {expected}",
            checkpoint.tenant_id
        )));
    }
    let chain = log.chain.as_ref();
    if let Some(chain) = chain.filter(|chain| chain.tenant() != checkpoint.tenant_id) {
        return Err(finding(format!(
            "the file is the log of the tenant {}, but the checkpoint is of {}",
            chain.tenant(),
            checkpoint.tenant_id
        )));
    }
    let is_other_end = chain.is_some_and(|chain| chain.last_hash() != checkpoint.last_hash);
    if checkpoint.entries != log.entries || is_other_end {
        return Err(finding(format!(
            "the file has {} entries, but {} were signed: entries were removed or added",
            log.entries, checkpoint.entries
        )));
    }
    if checkpoint.file_digest != Digest::of(text.as_bytes()).to_string() {
        return Err(finding("the file is not the one that was signed"));
    }
    let unreadable = chain.map_or(&[][..], Chain::unreadable);
    if !unreadable.is_empty() {
        return Err(finding(format!(
            "the file is the one that was signed, but {}",
            describe_unreadable(unreadable)
        )));
    }
    Ok(())
}
