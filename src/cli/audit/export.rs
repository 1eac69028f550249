//! `skillkeep audit export`, `check` and `keygen`: the log for an auditor, and what he needs to trust it.

use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::cli::database::{self, db_failure};
use crate::cli::output;
use crate::config::Config;
use crate::db::{AdminDb, DbError};
use crate::error::{CliError, CliErrorKind};
use crate::ids::Digest;
use crate::registry::audit::{
    self, Chain, ChainedEntry, Entry, SignedCheckpoint, SigningKey, cef, check_lines,
};

/// How an exported entry looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A line of JSON an entry, which `audit check` can recompute.
    Jsonl,
    /// The Common Event Format, for systems that collect events.
    Cef,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Where to write it; the signed head goes beside it, into a file with .head.json at its end
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How an entry looks; of jsonl `audit check` can recompute the chain, of cef it checks the signature alone
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// The key to sign the head with, as `skillkeep audit keygen` makes it; without it there is no head
    #[arg(long, env = "SKILLKEEP_AUDIT_KEY", value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// The tenant's short name
    #[arg(long, default_value = "default", value_name = "SLUG")]
    tenant: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The exported file
    file: PathBuf,
    /// Its signed head; the file's name with .head.json at its end when left out
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// The tenant whose log it must be, by its id
    #[arg(long, value_name = "ID")]
    tenant_id: Option<Uuid>,
    #[command(flatten)]
    key: CheckpointKey,
}

/// Which key a signed head must be signed with.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckpointKey {
    /// The key that the head must be signed with, as `keygen` and `export` showed it
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// Take the key that the head itself names: that shows damage, and no forger, who would name his own
    #[arg(long, conflicts_with = "public_key")]
    trust_key_in_head: bool,
}

/// A signed head, and the key that it must be signed with.
pub(super) struct SignedBy {
    pub(super) head: SignedCheckpoint,
    key: String,
}

impl SignedBy {
    /// Reads the head, if there is one, before anything else is done.
    pub(super) fn read(path: Option<&Path>, key: &CheckpointKey) -> Result<Option<Self>, CliError> {
        let usage = |words: &str| CliError::new(CliErrorKind::Usage, words);
        let Some(path) = path else {
            if key.public_key.is_some() || key.trust_key_in_head {
                return Err(usage("say with --head which signed head the key is for"));
            }
            return Ok(None);
        };
        let head = read_head(path)?;
        let key = match &key.public_key {
            Some(key) => key.clone(),
            None if key.trust_key_in_head => head.public_key.clone(),
            None => {
                return Err(usage(
                    "say with --public-key which key the head must be signed with: the one that `skillkeep audit keygen` showed. \
                     --trust-key-in-head takes whatever key the head names, and so finds no forger",
                ));
            }
        };
        Ok(Some(Self { head, key }))
    }

    /// Checks the signature.
    pub(super) fn check(&self) -> Result<(), audit::CheckpointError> {
        self.head.check(&self.key)
    }
}

fn file_failure(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(
        CliErrorKind::Refused,
        format!("{what} {}: {error}", path.display()),
    )
}

fn head_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".head.json");
    PathBuf::from(name)
}

/// A new file that only its owner may read.
fn create(path: &Path) -> Result<fs::File, CliError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| file_failure("cannot create", path, &error))
}

pub(super) fn keygen(path: &Path) -> Result<(), CliError> {
    let internal = |error: audit::CheckpointError| CliError::new(CliErrorKind::Internal, error.to_string());
    let pem = SigningKey::generate().map_err(internal)?;
    let key = SigningKey::from_pem(&pem).map_err(internal)?;
    create(path)?
        .write_all(pem.as_bytes())
        .map_err(|error| file_failure("cannot write", path, &error))?;
    eprintln!(
        "Wrote the signing key to {}. Give this public key to the auditor:",
        path.display()
    );
    output::line(&key.public_key())
}

fn read_head(path: &Path) -> Result<SignedCheckpoint, CliError> {
    let text = fs::read_to_string(path).map_err(|error| file_failure("cannot read", path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        CliError::new(
            CliErrorKind::Usage,
            format!("{} is no signed head: {error}", path.display()),
        )
    })
}

pub(super) async fn run(config: &Config, db: &AdminDb, args: &ExportArgs) -> Result<(), CliError> {
    let key = args.signing_key.as_deref().map(read_key).transpose()?;
    let tx = database::audit_tx(db, &args.tenant).await?;
    // Part of the log itself: who took it out, and when.
    let actor = database::operator();
    let entry = Entry {
        actor: &actor,
        action: "audit.export",
        subject: &args.tenant,
        details: json!({"after": {"signed": key.is_some()}}),
        source: "cli",
    };
    audit::write(&tx, &entry).await.map_err(db_failure)?;
    tx.commit().await.map_err(db_failure)?;
    let tx = database::audit_tx(db, &args.tenant).await?;
    let mut chain = Chain::new(tx.tenant());
    let mut file = Summed::new(create(&args.out)?);
    let broken = audit::walk(&tx, &mut chain, |link| file.write(link, args.format)).await;
    let broken = broken.map_err(|error| export_failure(error, &args.out))?;
    if let Some(broken) = broken {
        return Err(CliError::new(
            CliErrorKind::Findings,
            format!(
                "the log was tampered with: entry {} does not follow from the one before it",
                broken.at
            ),
        ));
    }
    let digest = file
        .finish()
        .map_err(|error| file_failure("cannot write", &args.out, &error))?;
    let tenant = tx.tenant();
    tx.roll_back().await.map_err(db_failure)?;
    if let Some(key) = &key {
        let head = SignedCheckpoint::sign(tenant, &chain, digest, key);
        let path = head_path(&args.out);
        let text = serde_json::to_string_pretty(&head)
            .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()))?;
        create(&path)?
            .write_all(format!("{text}\n").as_bytes())
            .map_err(|error| file_failure("cannot write", &path, &error))?;
    }
    if config.json {
        return output::json(&json!({
            "entries": chain.entries(), "head": chain.head(), "file_digest": digest.to_string(),
            "public_key": key.as_ref().map(SigningKey::public_key),
        }));
    }
    let signed = match &key {
        Some(key) => format!("signed; the public key is {}", key.public_key()),
        None => {
            "not signed: make a key with `skillkeep audit keygen` and pass it with --signing-key".to_owned()
        }
    };
    output::line(&format!(
        "Wrote {} entries of {} to {}, {signed}.",
        chain.entries(),
        args.tenant,
        args.out.display()
    ))
}

fn read_key(path: &Path) -> Result<SigningKey, CliError> {
    let text = fs::read_to_string(path).map_err(|error| file_failure("cannot read", path, &error))?;
    SigningKey::from_pem(&text).map_err(|error| CliError::new(CliErrorKind::Usage, error.to_string()))
}

fn export_failure(error: DbError, path: &Path) -> CliError {
    match error {
        DbError::Corrupt(words) => CliError::new(
            CliErrorKind::Refused,
            format!("cannot write {}: {words}", path.display()),
        ),
        DbError::Unavailable(_) | DbError::Busy | DbError::Statement(_) | DbError::RowCount { .. } => {
            db_failure(error)
        }
    }
}

/// A file with the digest of what was written to it.
struct Summed {
    file: BufWriter<fs::File>,
    sum: Sha256,
}

impl Summed {
    fn new(file: fs::File) -> Self {
        Self {
            file: BufWriter::new(file),
            sum: Sha256::new(),
        }
    }

    fn write(&mut self, link: &ChainedEntry, format: Format) -> Result<(), DbError> {
        let corrupt = |error: &dyn std::fmt::Display| DbError::Corrupt(error.to_string());
        let mut line = match format {
            Format::Jsonl => serde_json::to_string(link).map_err(|error| corrupt(&error))?,
            Format::Cef => cef(link),
        };
        line.push('\n');
        self.sum.update(&line);
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| corrupt(&error))
    }

    fn finish(mut self) -> std::io::Result<Digest> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Digest::from_bytes(&self.sum.finalize()).map_err(std::io::Error::other)
    }
}

/// What a file of either format shows by itself.
struct Shown {
    entries: i64,
    /// `None` for a format from which it cannot be recomputed, or a file without an entry.
    chain: Option<Chain>,
    is_cef: bool,
}

fn look_at(text: &str) -> Result<Shown, CliError> {
    if text.starts_with("CEF:") {
        return Ok(Shown {
            entries: i64::try_from(text.lines().count()).unwrap_or(i64::MAX),
            chain: None,
            is_cef: true,
        });
    }
    let chain = check_lines(text).map_err(|broken| {
        finding(format!(
            "the file was tampered with: line {} does not follow from the one before it",
            broken.at
        ))
    })?;
    Ok(Shown {
        entries: chain.as_ref().map_or(0, Chain::entries),
        chain,
        is_cef: false,
    })
}

fn finding(words: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Findings, words)
}

/// Whether this is the file that was signed, of the tenant that it must be.
fn compare(shown: &Shown, text: &str, head: &SignedCheckpoint, tenant: Option<Uuid>) -> Result<(), CliError> {
    if let Some(wanted) = tenant.filter(|wanted| wanted != head.tenant_id.as_uuid()) {
        return Err(finding(format!(
            "the head is that of the tenant {} and not of {wanted}",
            head.tenant_id
        )));
    }
    if let Some(chain) = shown
        .chain
        .as_ref()
        .filter(|chain| chain.tenant() != head.tenant_id)
    {
        return Err(finding(format!(
            "the file is the log of the tenant {}, and the head is that of {}",
            chain.tenant(),
            head.tenant_id
        )));
    }
    let other_end = shown
        .chain
        .as_ref()
        .is_some_and(|chain| chain.head() != head.head);
    if head.entries != shown.entries || other_end {
        return Err(finding(format!(
            "the file has {} entries and not the {} that were signed: something was cut off or added",
            shown.entries, head.entries
        )));
    }
    if head.file_digest != Digest::of(text.as_bytes()).to_string() {
        return Err(finding("the file is not the one that was signed"));
    }
    let unreadable = shown.chain.as_ref().map_or(&[][..], Chain::unreadable);
    if !unreadable.is_empty() {
        return Err(finding(format!(
            "the file is the one that was signed, and {}",
            unreadable_words(unreadable)
        )));
    }
    Ok(())
}

/// Says which entries hold what no program can read.
pub(super) fn unreadable_words(entries: &[i64]) -> String {
    let numbers: Vec<String> = entries.iter().map(ToString::to_string).collect();
    format!(
        "the details of these entries are not readable: {}",
        numbers.join(", ")
    )
}

pub(super) fn check(config: &Config, args: &CheckArgs) -> Result<(), CliError> {
    let text =
        fs::read_to_string(&args.file).map_err(|error| file_failure("cannot read", &args.file, &error))?;
    let path = args.head.clone().unwrap_or_else(|| head_path(&args.file));
    let Some(signed) = SignedBy::read(Some(&path), &args.key)? else {
        return Ok(());
    };
    let shown = look_at(&text)?;
    signed.check().map_err(|error| finding(error.to_string()))?;
    let head = &signed.head;
    compare(&shown, &text, head, args.tenant_id)?;
    if config.json {
        return output::json(&json!({
            "tenant_id": head.tenant_id, "entries": shown.entries, "head": head.head, "signed_at": head.signed_at,
            "public_key": signed.key, "chain_recomputed": !shown.is_cef,
        }));
    }
    let whose = if args.key.trust_key_in_head {
        "with the key that stands in the head; compare it with the one that you were given"
    } else {
        "with your key"
    };
    let how = if shown.is_cef {
        " The chain of hashes was not recomputed, which takes an export as jsonl."
    } else {
        ""
    };
    output::line(&format!(
        "The file is whole: {} entries of the tenant {}, signed on {} {whose}: {}.{how}",
        shown.entries,
        head.tenant_id,
        output::moment(head.signed_at),
        signed.key
    ))
}
