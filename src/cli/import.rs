//! `skillkeep import`: imports all skills below a folder and prints one line for each.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::database::{self, Database, db_failure};
use super::output;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::registry::import::{self, ImportError, ImportOutcome, Job, Line};

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// Folder to search for skills
    ///
    /// Each folder in it that contains a SKILL.md is one skill.
    folder: PathBuf,
    /// Repair front matter that breaks the rules of the format
    ///
    /// The repaired SKILL.md is stored; the folder is not changed. Without it, such skills are stored as they are, or
    /// refused.
    #[arg(long)]
    fix: bool,
    /// Exit with 1 if any skill is refused
    ///
    /// Without it, only if all skills are refused.
    #[arg(long)]
    strict: bool,
    /// Import into this tenant
    #[arg(long, default_value = "default", value_name = "SLUG")]
    tenant: String,
}

#[derive(Default)]
struct ImportCounts {
    created: usize,
    updated: usize,
    unchanged: usize,
    refused: usize,
}

impl ImportCounts {
    fn add(&mut self, outcome: &ImportOutcome) {
        match outcome {
            ImportOutcome::Created => self.created += 1,
            ImportOutcome::Updated => self.updated += 1,
            ImportOutcome::Unchanged => self.unchanged += 1,
            ImportOutcome::Refused => self.refused += 1,
        }
    }

    fn stored(&self) -> usize {
        self.created + self.updated + self.unchanged
    }
}

pub(super) async fn run(config: &Config, args: ImportArgs) -> Result<(), CliError> {
    if !args.folder.is_dir() {
        let message = format!("{} is not a folder that can be read", args.folder.display());
        return Err(CliError::new(CliErrorKind::NotFound, message));
    }
    let database = Database::open(config).await?;
    let outcome = async {
        let db = database.admin().await?;
        import_all(config, &db, &args).await
    }
    .await;
    database.close().await;
    report_counts(&outcome?, &args)
}

async fn import_all(config: &Config, db: &AdminDb, args: &ImportArgs) -> Result<ImportCounts, CliError> {
    let tenant = database::tenant(db, &args.tenant).await?;
    let job = Job {
        root: args.folder.clone(),
        fix: args.fix,
        actor: database::operator(),
    };
    let progress = spinner();
    let mut counts = ImportCounts::default();
    let mut written = Ok(());
    let imported = import::import(db, tenant.id, &job, |line| {
        counts.add(&line.outcome);
        progress.inc(1);
        if written.is_ok() {
            written = progress.suspend(|| {
                if config.json {
                    output::json(&line)
                } else {
                    output::line(&describe(&line))
                }
            });
        }
    })
    .await;
    progress.finish_and_clear();
    imported.map_err(|ImportError::Db(error)| db_failure(error))?;
    written?;
    Ok(counts)
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

fn describe(line: &Line) -> String {
    let stored = |outcome: &str| {
        let skill = line.skill.as_deref().unwrap_or_default();
        let version = line.version.as_deref().unwrap_or_default();
        format!("{outcome:<10} {skill} {version} from {}", line.source)
    };
    let mut text = match line.outcome {
        ImportOutcome::Created => stored("created"),
        ImportOutcome::Updated => stored("updated"),
        ImportOutcome::Unchanged => stored("unchanged"),
        ImportOutcome::Refused => {
            let reason = line.reason.as_deref().unwrap_or_default();
            format!("{:<10} {}: {reason}", "refused", line.source)
        }
    };
    let repaired = line.fixed.then_some("the front matter was repaired");
    for note in repaired
        .into_iter()
        .chain(line.notes.iter().map(|note| &*note.message))
    {
        text.push_str("\n           ");
        text.push_str(note);
    }
    text
}

fn report_counts(counts: &ImportCounts, args: &ImportArgs) -> Result<(), CliError> {
    eprintln!(
        "{} created, {} updated, {} unchanged, {} refused",
        counts.created, counts.updated, counts.unchanged, counts.refused
    );
    if counts.stored() + counts.refused == 0 {
        let message = format!("there is no SKILL.md in or below {}", args.folder.display());
        return Err(CliError::new(CliErrorKind::NotFound, message));
    }
    if counts.refused > 0 && (args.strict || counts.stored() == 0) {
        return Err(CliError::new(
            CliErrorKind::Findings,
            format!(
                "{} skills were refused; the lines above name the reasons",
                counts.refused
            ),
        ));
    }
    Ok(())
}
