//! `skillkeep import`: every skill below a folder, a line for each.

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
    /// The folder; every folder in it that holds a SKILL.md is a skill
    folder: PathBuf,
    /// Store SKILL.md with its front matter put right where it breaks the format's rules; the folder stays as it is
    #[arg(long)]
    fix: bool,
    /// End with exit code 1 if any skill is refused
    #[arg(long)]
    strict: bool,
    /// The tenant's short name
    #[arg(long, default_value = "default", value_name = "SLUG")]
    tenant: String,
}

#[derive(Default)]
struct Count {
    created: usize,
    updated: usize,
    unchanged: usize,
    refused: usize,
}

impl Count {
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
        let words = format!("{} is not a folder that can be read", args.folder.display());
        return Err(CliError::new(CliErrorKind::NotFound, words));
    }
    let database = Database::open(config).await?;
    let outcome = async {
        let db = database.admin().await?;
        import_all(config, &db, &args).await
    }
    .await;
    database.close().await;
    judge(&outcome?, &args)
}

async fn import_all(config: &Config, db: &AdminDb, args: &ImportArgs) -> Result<Count, CliError> {
    let tenant = database::tenant(db, &args.tenant).await?;
    let job = Job {
        root: args.folder.clone(),
        fix: args.fix,
        actor: database::operator(),
    };
    let progress = progress();
    let mut count = Count::default();
    let mut written = Ok(());
    let imported = import::import(db, tenant.id, &job, |line| {
        count.add(&line.outcome);
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
    Ok(count)
}

/// Shown on a terminal only; the number of skills is not known before the end.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} skills, {per_sec}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn describe(line: &Line) -> String {
    let name = |line: &Line| match (&line.skill, &line.version) {
        (Some(skill), Some(version)) => format!("{skill} {version}"),
        (Some(_) | None, _) => String::new(),
    };
    let head = match line.outcome {
        ImportOutcome::Created => format!("created    {} from {}", name(line), line.source),
        ImportOutcome::Updated => format!("updated    {} from {}", name(line), line.source),
        ImportOutcome::Unchanged => format!("unchanged  {} from {}", name(line), line.source),
        ImportOutcome::Refused => format!(
            "refused    {}: {}",
            line.source,
            line.reason.as_deref().unwrap_or_default()
        ),
    };
    let fixed = line
        .fixed
        .then(|| "\n           the front matter was rewritten".to_owned());
    let notes = line
        .notes
        .iter()
        .map(|note| format!("\n           {}", note.message));
    std::iter::once(head).chain(fixed).chain(notes).collect()
}

fn judge(count: &Count, args: &ImportArgs) -> Result<(), CliError> {
    eprintln!(
        "{} created, {} updated, {} unchanged, {} refused",
        count.created, count.updated, count.unchanged, count.refused
    );
    if count.stored() + count.refused == 0 {
        let words = format!("there is no SKILL.md in or below {}", args.folder.display());
        return Err(CliError::new(CliErrorKind::NotFound, words));
    }
    if count.refused > 0 && (args.strict || count.stored() == 0) {
        return Err(CliError::new(
            CliErrorKind::Findings,
            format!("{} skills were refused", count.refused),
        ));
    }
    Ok(())
}
