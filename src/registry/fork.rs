//! Forks: a copy of a version as a new skill that remembers its origin.

use agent_skills::{SkillFile, SkillFolder, SkillPath};

use super::caller::Caller;
use super::management::ManageError;
use super::publish::{self, NewVersion, Origin, Placement, PublishError, StoredVersion};
use super::scans;
use super::settings::Settings;
use super::skills::{self, ResolvedVersion};
use super::versions::{self, FileContents};
use crate::db::{DbError, TenantTx};
use crate::ids::Slug;

/// Why a skill was not forked.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    #[error(transparent)]
    Manage(#[from] ManageError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("a stored version cannot be copied: {0}")]
    Document(String),
}

impl From<DbError> for ForkError {
    fn from(error: DbError) -> Self {
        Self::Manage(ManageError::Db(error))
    }
}

/// Copies a version that the caller may read to a new skill. Only the name in `SKILL.md` changes. Entry: `skill.fork`.
///
/// # Errors
/// [`ForkError`]; the transaction must then be rolled back.
pub async fn fork(
    tx: &TenantTx,
    caller: &Caller,
    settings: &Settings,
    origin: &ResolvedVersion,
    to: &Slug,
    draft: bool,
) -> Result<StoredVersion, ForkError> {
    let files = versions::contents(tx, origin.version_id).await?;
    let name = to.clone();
    // Parsing and scanning take CPU time that would block other calls.
    let prepared = tokio::task::spawn_blocking(move || prepare(files, &name))
        .await
        .map_err(|error| ForkError::Document(error.to_string()))?;
    let (folder, document) = prepared?;
    let scanned = folder.clone();
    let scan = tokio::task::spawn_blocking(move || scans::scan_folder(&scanned))
        .await
        .map_err(|error| ForkError::Document(error.to_string()))?;
    let new = NewVersion {
        placement: Placement::Slug(to),
        folder: &folder,
        document: &document,
        caller,
        settings,
        scan: &scan,
        version: None,
        change_note: "",
        draft,
        origin: Some(Origin {
            skill: origin.skill,
            version: origin.version.clone(),
            digest: origin.digest,
        }),
    };
    Ok(publish::store(tx, &new).await?)
}

fn prepare(
    files: Vec<FileContents>,
    name: &Slug,
) -> Result<(SkillFolder, agent_skills::SkillDocument), ForkError> {
    let document_error = |error: &dyn std::fmt::Display| ForkError::Document(error.to_string());
    let mut copied = Vec::with_capacity(files.len());
    for file in files {
        let path = SkillPath::parse(&file.entry.path).map_err(|error| document_error(&error))?;
        let bytes = if path.as_str() == agent_skills::SKILL_MD {
            agent_skills::with_name(&file.bytes, name)
        } else {
            file.bytes
        };
        copied.push(SkillFile {
            path,
            bytes,
            is_executable: file.entry.executable,
        });
    }
    let folder = SkillFolder {
        folder_name: name.to_string(),
        parent_name: None,
        files: copied,
        diagnostics: Vec::new(),
    };
    let document = agent_skills::read_document(folder.skill_md(), name.as_str())
        .map_err(|error| document_error(&error))?;
    Ok((folder, document))
}

/// The version to fork: with this label, or the latest.
///
/// # Errors
/// [`ManageError::UnknownSkill`] if there is none that the caller may read.
pub async fn find_origin(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    version: Option<&str>,
) -> Result<ResolvedVersion, ManageError> {
    skills::find(tx, slug, version, caller.viewer())
        .await?
        .ok_or(ManageError::UnknownSkill)
}
