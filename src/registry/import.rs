//! Importing folders: every skill below a folder, each in a transaction of its own, so that a bad one stops no other.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::sync::mpsc;

use super::audit::Actor;
use super::publish::{self, DiagnosticLine, NewVersion, PublishError, PublishOutcome};
use crate::db::{AdminDb, DbError, TenantTx};
use crate::ids::{Digest, TenantId};
use agent_skills::{SKILL_MD, SkillDocument, SkillFolder};

/// Skills that are read ahead of the database, so that disk and database work at once.
const READ_AHEAD: usize = 8;
const MAX_SOURCE_CHARS: usize = 1024;

/// What became of one folder.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// A skill that was not there.
    Created,
    /// A new version of one that was.
    Updated,
    /// The registry holds these very bytes.
    Unchanged,
    /// Nothing was stored, for the reason in the line.
    Refused,
}

/// What is reported of one folder.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The folder, relative to the imported one; `.` for itself.
    pub source: String,
    /// What became of it.
    pub outcome: ImportOutcome,
    /// The skill's slug in the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// The version's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version's digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether `--fix` rewrote the front matter.
    pub fixed: bool,
    /// What was found and derived.
    pub notes: Vec<DiagnosticLine>,
}

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// The folder.
    pub root: PathBuf,
    /// Whether to store `SKILL.md` with its front matter put right, instead of as it is.
    pub fix: bool,
    /// Who imports.
    pub actor: Actor,
}

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database failed in a way that the next skill would meet as well.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A folder that was read, or why it was not.
struct Read {
    source: String,
    content: Result<Box<(SkillFolder, SkillDocument)>, String>,
    fixed: bool,
    notes: Vec<DiagnosticLine>,
}

/// Imports every skill below the folder and reports each.
///
/// # Errors
/// When the database is away, or the tenant was erased meanwhile; what was reported before is stored, or was erased with it.
pub async fn import(
    db: &AdminDb,
    tenant: TenantId,
    job: &Job,
    mut report: impl FnMut(Line),
) -> Result<(), ImportError> {
    let (sender, mut folders) = mpsc::channel(READ_AHEAD);
    let (root, fix) = (job.root.clone(), job.fix);
    let reader = tokio::task::spawn_blocking(move || {
        for found in agent_skills::find_skill_folders(&root) {
            let read = match found {
                Ok(path) => read(&root, &path, fix),
                Err(error) => Read::refused(error_source(&root), error.to_string()),
            };
            if sender.blocking_send(read).is_err() {
                return;
            }
        }
    });
    while let Some(read) = folders.recv().await {
        report(store(db, tenant, job, read).await?);
    }
    reader
        .await
        .map_err(|error| DbError::Corrupt(format!("the import stumbled over a folder: {error}")))?;
    Ok(())
}

fn error_source(root: &Path) -> String {
    root.file_name()
        .map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned())
}

impl Read {
    fn refused(source: String, reason: String) -> Self {
        Self {
            source,
            content: Err(reason),
            fixed: false,
            notes: Vec::new(),
        }
    }
}

fn read(root: &Path, path: &Path, fix: bool) -> Read {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let source = match relative.to_string_lossy() {
        text if text.is_empty() => ".".to_owned(),
        text => text.replace('\\', "/"),
    };
    if source.chars().count() > MAX_SOURCE_CHARS {
        return Read::refused(
            source,
            format!("the path is longer than {MAX_SOURCE_CHARS} characters"),
        );
    }
    let mut folder = match agent_skills::read_folder(path) {
        Ok(folder) => folder,
        Err(error) => return Read::refused(source, error.to_string()),
    };
    let document = match agent_skills::read_document(folder.skill_md(), &folder.folder_name) {
        Ok(document) => document,
        Err(error) => return Read::refused(source, error.to_string()),
    };
    let notes = document
        .notes
        .iter()
        .chain(&folder.notes)
        .map(DiagnosticLine::from)
        .collect();
    if !fix {
        return Read {
            source,
            content: Ok(Box::new((folder, document))),
            fixed: false,
            notes,
        };
    }
    match put_right(&mut folder, document) {
        Ok((document, fixed)) => Read {
            source,
            content: Ok(Box::new((folder, document))),
            fixed,
            notes,
        },
        Err(reason) => Read::refused(source, reason),
    }
}

/// Replaces `SKILL.md` in memory; the imported folder itself stays as it is.
fn put_right(folder: &mut SkillFolder, document: SkillDocument) -> Result<(SkillDocument, bool), String> {
    let Some(fixed) =
        agent_skills::fix(folder.skill_md(), &folder.folder_name).map_err(|error| error.to_string())?
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

async fn store(db: &AdminDb, tenant: TenantId, job: &Job, read: Read) -> Result<Line, ImportError> {
    let mut line = Line {
        source: read.source,
        outcome: ImportOutcome::Refused,
        skill: None,
        version: None,
        digest: None,
        reason: None,
        fixed: read.fixed,
        notes: read.notes,
    };
    let content = match read.content {
        Ok(content) => content,
        Err(reason) => {
            line.reason = Some(reason);
            return Ok(line);
        }
    };
    let (folder, document) = *content;
    let tx = TenantTx::begin_as_admin(db, tenant).await?;
    // A NUL cannot occur in a path, and everything else that PostgreSQL refuses was fitted to its columns.
    let new = NewVersion {
        source: &line.source,
        folder: &folder,
        document: &document,
        actor: &job.actor,
    };
    let stored = match publish::store(&tx, &new).await {
        Ok(stored) => stored,
        Err(PublishError::Db(error)) if error.is_unavailable() || error.is_without_tenant() => {
            return Err(error.into());
        }
        Err(error) => {
            tx.roll_back().await?;
            if let PublishError::Db(error) = &error {
                tracing::error!(%error, "a skill could not be stored");
            }
            line.reason = Some(match error {
                PublishError::Db(_) => "the database refused it; the log on stderr says why".to_owned(),
                PublishError::NoSlug(_) => error.to_string(),
            });
            return Ok(line);
        }
    };
    match stored.effect {
        PublishOutcome::Unchanged => tx.roll_back().await?,
        PublishOutcome::Created | PublishOutcome::Updated => tx.commit().await?,
    }
    line.outcome = match stored.effect {
        PublishOutcome::Created => ImportOutcome::Created,
        PublishOutcome::Updated => ImportOutcome::Updated,
        PublishOutcome::Unchanged => ImportOutcome::Unchanged,
    };
    line.skill = Some(stored.slug);
    line.version = Some(stored.version);
    line.digest = Some(stored.digest);
    Ok(line)
}
