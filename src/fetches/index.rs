//! Indexes of the skills that a key may install.

use std::time::{Duration, Instant};

use agent_skills::{SKILL_MD, write_zip};

use super::catalog::{self, CatalogSkill};
use super::download::files;
use super::fetch::{Fetch, Fetched};
use crate::db::DbError;
use crate::ids::{Digest, VersionId};
use crate::registry::usage::Subject;
use crate::registry::{archives, versions};
use crate::tools::{CallContext, ToolError, ToolName};

/// How long one call computes digests that are not stored yet. Far below the time limit of a call, so that they are committed.
pub(super) const COMPUTING: Duration = Duration::from_secs(8);

/// The index of all skills with the digests of what clients download.
#[derive(Debug, Clone, Copy)]
pub struct SkillIndex;

/// An index, or how far it is.
#[derive(Debug)]
pub enum Index {
    Complete(Vec<IndexEntry>),
    /// New archives are still being read for their digests: the call is to be repeated.
    Computing {
        known: usize,
        all: usize,
    },
}

/// A skill in its latest version.
#[derive(Debug)]
pub struct IndexEntry {
    pub slug: String,
    pub version: String,
    pub description: String,
    pub artifact: Artifact,
}

/// What a client downloads, with the digest of its bytes.
#[derive(Debug, Clone, Copy)]
pub enum Artifact {
    /// The skill has no other file.
    SkillMd(Digest),
    Zip(Digest),
}

impl Fetch for SkillIndex {
    const NAME: &'static str = "skills/index";
    const REQUIRED_PERMISSION: ToolName = ToolName::InstallSkill;
    const LOADS_SKILL: bool = true;
    type Output = Index;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<Index>, ToolError> {
        let skills = catalog::all(cx).await?;
        let all = skills.len();
        let artifacts = artifacts(cx, &skills).await?;
        let known = artifacts.iter().flatten().count();
        let entries = skills.into_iter().zip(artifacts).filter_map(entry).collect();
        let output = if known == all {
            Index::Complete(entries)
        } else {
            Index::Computing { known, all }
        };
        Ok(Fetched {
            output,
            subject: Subject::default(),
            count: Some(known),
            bytes: 0,
        })
    }
}

fn entry((skill, artifact): (CatalogSkill, Option<Artifact>)) -> Option<IndexEntry> {
    Some(IndexEntry {
        slug: skill.listed.resolved.slug,
        version: skill.listed.resolved.version,
        description: skill.listed.description,
        artifact: artifact?,
    })
}

/// What a client downloads for each skill; `None` where the digest could not be computed in time.
async fn artifacts(
    cx: &CallContext<'_>,
    skills: &[CatalogSkill],
) -> Result<Vec<Option<Artifact>>, ToolError> {
    let ids: Vec<VersionId> = skills
        .iter()
        .map(|skill| skill.listed.resolved.version_id)
        .collect();
    let mut known = archives::digests(cx.tx, &ids).await?;
    let started = Instant::now();
    let mut artifacts = Vec::with_capacity(skills.len());
    for (skill, id) in skills.iter().zip(ids) {
        let artifact = match (skill.files.as_slice(), known.remove(&id)) {
            ([only], _) if only.path == SKILL_MD => Some(Artifact::SkillMd(only.digest)),
            (_, Some(digest)) => Some(Artifact::Zip(digest)),
            (_, None) if started.elapsed() < COMPUTING => Some(Artifact::Zip(compute(cx, id).await?)),
            (_, None) => None,
        };
        artifacts.push(artifact);
    }
    Ok(artifacts)
}

/// Computes and stores the digest of an archive.
async fn compute(cx: &CallContext<'_>, version: VersionId) -> Result<Digest, ToolError> {
    let files = files(versions::contents(cx.tx, version).await?)?;
    let archive = write_zip(&files).map_err(|error| DbError::Corrupt(error.to_string()))?;
    let digest = Digest::of(&archive);
    archives::store_digest(cx.tx, version, digest).await?;
    Ok(digest)
}

/// The index of all skills with the paths of their files.
#[derive(Debug, Clone, Copy)]
pub struct FileIndex;

/// A skill in its latest version.
#[derive(Debug)]
pub struct FileIndexEntry {
    pub slug: String,
    pub description: String,
    /// Relative to the skill's folder, in byte order.
    pub paths: Vec<String>,
}

impl Fetch for FileIndex {
    const NAME: &'static str = "skills/file_index";
    const REQUIRED_PERMISSION: ToolName = ToolName::InstallSkill;
    const LOADS_SKILL: bool = false;
    type Output = Vec<FileIndexEntry>;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<Vec<FileIndexEntry>>, ToolError> {
        let skills = catalog::all(cx).await?;
        let entry = |skill: CatalogSkill| FileIndexEntry {
            slug: skill.listed.resolved.slug,
            description: skill.listed.description,
            paths: skill.files.into_iter().map(|file| file.path).collect(),
        };
        let output: Vec<FileIndexEntry> = skills.into_iter().map(entry).collect();
        Ok(Fetched {
            subject: Subject::default(),
            count: Some(output.len()),
            bytes: 0,
            output,
        })
    }
}
