//! `skillkeep import`: imports all skills of a folder or archive and prints one line for each.

mod report;

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use self::report::Summary;
use super::database::{self, Database, db_failure};
use super::output;
use super::signing_keys;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::registry::import::{self, ImportError, Job, OpenError, Opened};
use crate::registry::private_keys::SigningKeys;
use crate::search;

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// Folder or archive (zip, tar, tar.gz) with skills
    ///
    /// Each folder in it that contains a SKILL.md is one skill. Also reads a Git checkout, a Claude plugin marketplace,
    /// and a folder written by `skillkeep tenant export`.
    path: PathBuf,
    /// Repair front matter that breaks the rules of the format
    ///
    /// The repaired SKILL.md is stored; the source is not changed. A skill whose name is taken also gets its slug as its
    /// name. Without it, such skills are stored as they are, or refused.
    #[arg(long)]
    fix: bool,
    /// Name of the source
    ///
    /// Skills of two sources never overwrite each other. Without it, the address of the Git repository, else the path.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Keep files that look like secrets, caches or build output
    ///
    /// A pattern as in .gitignore, relative to the skill or to the source. Can be repeated.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Archive skills that left the source
    ///
    /// Without it, they are only reported.
    #[arg(long)]
    prune: bool,
    /// Report what would happen, and store nothing
    ///
    /// Publications in the same tenant wait until it ends.
    #[arg(long)]
    dry_run: bool,
    /// Has no effect: every refused skill makes the exit code 1
    #[arg(long, hide = true)]
    strict: bool,
    /// Import into this tenant
    #[arg(long, default_value = "default", value_name = "SLUG")]
    tenant: String,
}

impl ImportArgs {
    fn job(&self, signing_keys: SigningKeys) -> Job {
        Job {
            path: self.path.clone(),
            source: self.source.clone(),
            fix: self.fix,
            include: self.include.clone(),
            prune: self.prune,
            dry_run: self.dry_run,
            actor: database::operator(),
            signing_keys,
        }
    }
}

pub(super) async fn run(config: &Config, args: ImportArgs) -> Result<(), CliError> {
    let job = args.job(signing_keys::configured(config)?);
    let opened = open(job.clone()).await?;
    let database = Database::open(config).await?;
    let outcome = async {
        let db = database.admin().await?;
        import_all(config, &db, &args, &job, opened).await
    }
    .await;
    database.close().await;
    outcome?.finish(&args.path, args.dry_run)
}

/// Opens the source. Extracting an archive blocks.
async fn open(job: Job) -> Result<Opened, CliError> {
    let opened = tokio::task::spawn_blocking(move || Opened::open(&job))
        .await
        .map_err(|error| CliError::new(CliErrorKind::Internal, format!("cannot open the source: {error}")))?;
    opened.map_err(|error| {
        let kind = match &error {
            OpenError::Unreadable { .. } | OpenError::OtherKind { .. } => CliErrorKind::NotFound,
            OpenError::Archive { .. } | OpenError::Export { .. } => CliErrorKind::Findings,
            OpenError::Folder(_) | OpenError::Name(_) => CliErrorKind::Usage,
            OpenError::Temporary { .. } => CliErrorKind::Internal,
        };
        CliError::new(kind, error.to_string())
    })
}

async fn import_all(
    config: &Config,
    db: &AdminDb,
    args: &ImportArgs,
    job: &Job,
    opened: Opened,
) -> Result<Summary, CliError> {
    let tenant = database::tenant(db, &args.tenant).await?;
    let progress = spinner();
    let mut summary = Summary::new(opened.source_name());
    let mut written = Ok(());
    let on_wait = || {
        progress.suspend(|| {
            output::note(&format!(
                "Another import into {} is running; waiting for its end.",
                args.tenant
            ));
        });
    };
    let imported = import::import(db, tenant.id, job, opened, on_wait, |line| {
        summary.add(&line);
        progress.inc(1);
        if written.is_ok() {
            written = progress.suspend(|| {
                if config.json {
                    output::json(&line)
                } else {
                    output::line(&report::describe(&line, args.dry_run))
                }
            });
        }
    })
    .await;
    progress.finish_and_clear();
    if !args.dry_run {
        // Also after an import that failed midway.
        search::compact(|| TenantTx::begin_as_admin(db, tenant.id))
            .await
            .map_err(db_failure)?;
    }
    imported.map_err(|ImportError::Db(error)| db_failure(error))?;
    written?;
    Ok(summary)
}

/// A spinner, because the number of skills is not known in advance. Shown only on a terminal.
fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} skills, {per_sec}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
