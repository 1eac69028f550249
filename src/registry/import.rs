//! Import: every skill below a folder, each in its own transaction, so that an invalid skill does not stop the others.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::sync::mpsc;

use super::audit::Actor;
use super::caller::Caller;
use super::publish::{self, DiagnosticLine, NewVersion, Placement, PublishError, PublishOutcome, Source};
use super::scans;
use super::settings::{self, Settings};
use crate::db::{AdminDb, DbError, TenantTx};
use crate::ids::{Digest, TenantId};
use agent_skills::{SKILL_MD, SkillDocument, SkillFolder};
use skill_scanner::ScanReport;

/// Number of skills read ahead, so that reading overlaps with storing.
const READ_AHEAD: usize = 8;
const MAX_SOURCE_CHARS: usize = 1024;

/// The outcome of importing one folder.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// A new skill.
    Created,
    /// A new version of an existing skill.
    Updated,
    /// The latest version already has the same files.
    Unchanged,
    /// Nothing was stored; see [`Line::reason`].
    Refused,
}

/// The report on one folder.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The folder relative to the imported one; `.` for the imported folder itself.
    pub source: String,
    pub outcome: ImportOutcome,
    /// Slug in the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether `--fix` rewrote the front matter.
    pub fixed: bool,
    /// Deviations from the format, and values that were derived.
    pub notes: Vec<DiagnosticLine>,
}

#[derive(Debug, Clone)]
pub struct Job {
    /// The folder to import.
    pub root: PathBuf,
    /// Whether to store `SKILL.md` with repaired front matter. The folder itself is never changed.
    pub fix: bool,
    /// Recorded in the audit log.
    pub actor: Actor,
}

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A database failure that would also affect the next skill.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A folder with its skill, or the reason why it was refused.
struct ReadFolder {
    source: String,
    content: Result<Box<(SkillFolder, SkillDocument, ScanReport)>, String>,
    fixed: bool,
    notes: Vec<DiagnosticLine>,
}

/// Imports every skill below the folder and reports each to `report`.
///
/// # Errors
/// [`ImportError::Db`] if the database is unavailable or the tenant is erased during the import. Skills reported before are
/// stored, or were erased with the tenant.
pub async fn import(
    db: &AdminDb,
    tenant: TenantId,
    job: &Job,
    mut report: impl FnMut(Line),
) -> Result<(), ImportError> {
    let tx = TenantTx::begin_as_admin(db, tenant).await?;
    let settings = settings::load(&tx).await?;
    tx.rollback().await?;
    let (sender, mut folders) = mpsc::channel(READ_AHEAD);
    let (root, fix) = (job.root.clone(), job.fix);
    let reader = tokio::task::spawn_blocking(move || {
        for found in agent_skills::find_skill_folders(&root) {
            let folder = match found {
                Ok(path) => read_folder(&root, &path, fix),
                Err(error) => ReadFolder::refused(error_source(&root), error.to_string()),
            };
            if sender.blocking_send(folder).is_err() {
                return;
            }
        }
    });
    while let Some(folder) = folders.recv().await {
        report(store(db, tenant, job, &settings, folder).await?);
    }
    reader
        .await
        .map_err(|error| DbError::Corrupt(format!("reading a folder failed: {error}")))?;
    Ok(())
}

fn error_source(root: &Path) -> String {
    root.file_name()
        .map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned())
}

impl ReadFolder {
    fn refused(source: String, reason: String) -> Self {
        Self {
            source,
            content: Err(reason),
            fixed: false,
            notes: Vec::new(),
        }
    }
}

fn read_folder(root: &Path, path: &Path, fix: bool) -> ReadFolder {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let source = match relative.to_string_lossy() {
        text if text.is_empty() => ".".to_owned(),
        text => text.replace('\\', "/"),
    };
    if source.chars().count() > MAX_SOURCE_CHARS {
        return ReadFolder::refused(
            source,
            format!("the path is longer than {MAX_SOURCE_CHARS} characters"),
        );
    }
    let mut folder = match agent_skills::read_folder(path) {
        Ok(folder) => folder,
        Err(error) => return ReadFolder::refused(source, error.to_string()),
    };
    let document = match agent_skills::read_document(folder.skill_md(), &folder.folder_name) {
        Ok(document) => document,
        Err(error) => return ReadFolder::refused(source, error.to_string()),
    };
    let notes = document
        .diagnostics
        .iter()
        .chain(&folder.diagnostics)
        .map(DiagnosticLine::from)
        .collect();
    if !fix {
        return ReadFolder {
            source,
            content: Ok(scanned(folder, document)),
            fixed: false,
            notes,
        };
    }
    match repair(&mut folder, document) {
        Ok((document, fixed)) => ReadFolder {
            source,
            content: Ok(scanned(folder, document)),
            fixed,
            notes,
        },
        Err(reason) => ReadFolder::refused(source, reason),
    }
}

fn scanned(folder: SkillFolder, document: SkillDocument) -> Box<(SkillFolder, SkillDocument, ScanReport)> {
    let scan = scans::scan_folder(&folder);
    Box::new((folder, document, scan))
}

/// Replaces `SKILL.md` in memory; the imported folder is not changed.
fn repair(folder: &mut SkillFolder, document: SkillDocument) -> Result<(SkillDocument, bool), String> {
    let Some(fixed) = agent_skills::repair_document(folder.skill_md(), &folder.folder_name)
        .map_err(|error| error.to_string())?
    else {
        return Ok((document, false));
    };
    let document =
        agent_skills::read_document(&fixed, &folder.folder_name).map_err(|error| error.to_string())?;
    if let Some(file) = folder
        .files
        .iter_mut()
        .find(|file| file.path.as_str() == SKILL_MD)
    {
        file.bytes = fixed;
    }
    Ok((document, true))
}

async fn store(
    db: &AdminDb,
    tenant: TenantId,
    job: &Job,
    settings: &Settings,
    folder: ReadFolder,
) -> Result<Line, ImportError> {
    let mut line = Line {
        source: folder.source,
        outcome: ImportOutcome::Refused,
        skill: None,
        version: None,
        digest: None,
        reason: None,
        fixed: folder.fixed,
        notes: folder.notes,
    };
    let content = match folder.content {
        Ok(content) => content,
        Err(reason) => {
            line.reason = Some(reason);
            return Ok(line);
        }
    };
    let (files, document, scan) = *content;
    let tx = TenantTx::begin_as_admin(db, tenant).await?;
    // PostgreSQL accepts all values: a path cannot contain NUL, and the metadata is cut to the columns.
    let placement = Placement::Source(Source::path(&line.source));
    let caller = Caller::administrator(job.actor.clone());
    let new = NewVersion::new(placement, &files, &document, &caller, settings, &scan);
    let stored = match publish::store(&tx, &new).await {
        Ok(stored) => stored,
        Err(PublishError::Db(error)) if error.is_unavailable() || error.is_missing_tenant() => {
            return Err(error.into());
        }
        Err(error) => {
            tx.rollback().await?;
            if let PublishError::Db(error) = &error {
                tracing::error!(%error, "cannot store a skill");
            }
            line.reason = Some(match error {
                PublishError::Db(_) => "the database rejected it; see the log on stderr".to_owned(),
                PublishError::NoSlug(_)
                | PublishError::Taken(_)
                | PublishError::Archived(_)
                | PublishError::NotAllowed
                | PublishError::Version(_)
                | PublishError::VersionTaken { .. } => error.to_string(),
            });
            return Ok(line);
        }
    };
    match stored.outcome {
        PublishOutcome::Unchanged => tx.rollback().await?,
        PublishOutcome::Created | PublishOutcome::Updated | PublishOutcome::Submitted => tx.commit().await?,
    }
    line.outcome = match stored.outcome {
        PublishOutcome::Created => ImportOutcome::Created,
        PublishOutcome::Updated | PublishOutcome::Submitted => ImportOutcome::Updated,
        PublishOutcome::Unchanged => ImportOutcome::Unchanged,
    };
    line.skill = Some(stored.slug);
    line.version = Some(stored.version);
    line.digest = Some(stored.digest);
    Ok(line)
}
