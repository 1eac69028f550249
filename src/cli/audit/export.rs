//! `skillkeep audit export`, `check` and `keygen`: the log for an auditor, and what he needs to trust it.

use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::cli::backend::{self, db_failure};
use crate::cli::output;
use crate::config::Config;
use crate::db::{AdminDb, DbError};
use crate::error::{Failure, FailureKind};
use crate::ids::Digest;
use crate::registry::audit::{self, Chain, Entry, Link, SignedHead, SigningKey, cef, check_lines};

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
    /// How an entry looks; only jsonl can be checked later
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
    /// The key that the head must be signed with, as `keygen` and `export` show it
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
}

fn file_failure(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        FailureKind::Refused,
        format!("{what} {}: {error}", path.display()),
    )
}

fn head_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".head.json");
    PathBuf::from(name)
}

/// A new file that only its owner may read.
fn create(path: &Path) -> Result<fs::File, Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| file_failure("cannot create", path, &error))
}

pub(super) fn keygen(path: &Path) -> Result<(), Failure> {
    let internal = |error: audit::HeadError| Failure::new(FailureKind::Internal, error.to_string());
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

pub(super) fn read_head(path: &Path) -> Result<SignedHead, Failure> {
    let text = fs::read_to_string(path).map_err(|error| file_failure("cannot read", path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            FailureKind::Usage,
            format!("{} is no signed head: {error}", path.display()),
        )
    })
}

pub(super) async fn run(config: &Config, db: &AdminDb, args: &ExportArgs) -> Result<(), Failure> {
    let key = args.signing_key.as_deref().map(read_key).transpose()?;
    let tx = backend::audit_tx(db, &args.tenant).await?;
    // Part of the log itself: who took it out, and when.
    let actor = backend::operator();
    let entry = Entry {
        actor: &actor,
        action: "audit.export",
        subject: &args.tenant,
        details: json!({"after": {"signed": key.is_some()}}),
        source: "cli",
    };
    audit::write(&tx, &entry).await.map_err(db_failure)?;
    tx.commit().await.map_err(db_failure)?;
    let tx = backend::audit_tx(db, &args.tenant).await?;
    let mut chain = Chain::new(tx.tenant());
    let mut file = Summed::new(create(&args.out)?);
    let broken = audit::walk(&tx, &mut chain, |link| file.write(link, args.format)).await;
    let broken = broken.map_err(|error| export_failure(error, &args.out))?;
    if let Some(broken) = broken {
        return Err(Failure::new(
            FailureKind::Findings,
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
        let head = SignedHead::sign(tenant, &chain, digest, key);
        let path = head_path(&args.out);
        let text = serde_json::to_string_pretty(&head)
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
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

fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let text = fs::read_to_string(path).map_err(|error| file_failure("cannot read", path, &error))?;
    SigningKey::from_pem(&text).map_err(|error| Failure::new(FailureKind::Usage, error.to_string()))
}

fn export_failure(error: DbError, path: &Path) -> Failure {
    match error {
        DbError::Corrupt(words) => Failure::new(
            FailureKind::Refused,
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

    fn write(&mut self, link: &Link, format: Format) -> Result<(), DbError> {
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

pub(super) fn check(config: &Config, args: &CheckArgs) -> Result<(), Failure> {
    let finding = |words: String| Failure::new(FailureKind::Findings, words);
    let text =
        fs::read_to_string(&args.file).map_err(|error| file_failure("cannot read", &args.file, &error))?;
    let chain = check_lines(&text).map_err(|broken| {
        finding(format!(
            "the file was tampered with: line {} does not follow from the one before it",
            broken.at
        ))
    })?;
    let head = read_head(&args.head.clone().unwrap_or_else(|| head_path(&args.file)))?;
    head.check(args.public_key.as_deref().unwrap_or(&head.public_key))
        .map_err(|error| finding(error.to_string()))?;
    let (entries, last) = chain.map_or_else(|| (0, String::new()), |chain| (chain.entries(), chain.head()));
    if head.entries != entries || (entries > 0 && head.head != last) {
        return Err(finding(format!(
            "the file has {entries} entries and not the {} that were signed: something was cut off or added",
            head.entries
        )));
    }
    if head.file_digest != Digest::of(text.as_bytes()).to_string() {
        return Err(finding("the file is not the one that was signed".to_owned()));
    }
    if config.json {
        return output::json(
            &json!({"entries": entries, "head": last, "signed_at": head.signed_at, "public_key": head.public_key}),
        );
    }
    let whose = if args.public_key.is_some() {
        "with your key"
    } else {
        "with the key that stands in the head; compare it with the one that you were given, or pass it with --public-key"
    };
    output::line(&format!(
        "The file is whole: {entries} entries, signed on {} {whose}: {}.",
        output::moment(head.signed_at),
        head.public_key
    ))
}
