//! The download of a version as a zip archive.

use agent_skills::{SkillFile, SkillPath, Slug, write_zip};

use super::fetch::{Fetch, Fetched};
use crate::db::DbError;
use crate::ids::Digest;
use crate::registry::caller::Viewer;
use crate::registry::skills::{self, ResolvedVersion};
use crate::registry::versions::{self, FileContents};
use crate::tools::{CallContext, MAX_VERSION_CHARS, Refusal, ToolError, ToolName, not_found};

/// A download: the skill's slug, and one of its versions.
#[derive(Debug, Clone, Default)]
pub struct Download {
    pub skill: String,
    /// `None` or `latest` for the latest version.
    pub version: Option<String>,
    /// The digests of versions that the caller has: the bytes of these are left out.
    pub known: Vec<Digest>,
}

/// A version as a zip archive. Equal versions give equal bytes.
#[derive(Debug)]
pub struct Archive {
    pub slug: String,
    pub version: String,
    /// The digest of the version's manifest, not of the archive's bytes.
    pub digest: Digest,
    pub bytes: ArchiveBytes,
}

/// The bytes of an archive.
#[derive(Debug)]
pub enum ArchiveBytes {
    /// At most 16 MiB of files, and their names.
    Zip(Vec<u8>),
    /// The caller has them.
    Known,
}

impl Fetch for Download {
    const NAME: &'static str = "skills/download";
    const REQUIRED_PERMISSION: ToolName = ToolName::InstallSkill;
    const LOADS_SKILL: bool = true;
    type Output = Archive;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        let version = self.version.as_deref().map(|version| ("version", version));
        std::iter::once(("skill", self.skill.as_str()))
            .chain(version)
            .collect()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<Archive>, ToolError> {
        let version = find(cx, &self.skill, self.version.as_deref()).await?;
        let bytes = if self.known.contains(&version.digest) {
            ArchiveBytes::Known
        } else {
            let files = files(versions::contents(cx.tx, version.version_id).await?)?;
            ArchiveBytes::Zip(write_zip(&files).map_err(|error| DbError::Corrupt(error.to_string()))?)
        };
        Ok(Fetched {
            subject: version.subject(),
            count: None,
            bytes: match &bytes {
                ArchiveBytes::Zip(bytes) => bytes.len(),
                ArchiveBytes::Known => 0,
            },
            output: Archive {
                slug: version.slug,
                version: version.version,
                digest: version.digest,
                bytes,
            },
        })
    }
}

/// The version that the caller may install, or the refusal.
pub(super) async fn find(
    cx: &CallContext<'_>,
    slug: &str,
    version: Option<&str>,
) -> Result<ResolvedVersion, ToolError> {
    let version = not_found::requested_version(version);
    // No slug or version has these, and the database takes no NUL character.
    let is_possible = |text: &str, max: usize| text.chars().count() <= max && !text.contains('\0');
    if !is_possible(slug, Slug::MAX_LEN) {
        let near = Vec::new();
        let slug = slug.to_owned();
        return Err(Refusal::UnknownSkill { slug, near }.into());
    }
    if version.is_some_and(|version| !is_possible(version, MAX_VERSION_CHARS)) {
        return Err(not_found::refusal(cx, slug, version).await?.into());
    }
    let found = skills::find(cx.tx, slug, version, Viewer::PUBLISHED).await?;
    let Some(found) = found.filter(|found| cx.principal.can_view_skill(&found.slug)) else {
        return Err(missing(cx, slug, version).await?.into());
    };
    match &found.yanked {
        None => Ok(found),
        Some(reason) => Err(Refusal::Yanked {
            reason: reason.clone(),
            slug: found.slug,
            version: found.version,
        }
        .into()),
    }
}

/// Those who may read a version in every state learn why they cannot have it; to all others it does not exist.
async fn missing(cx: &CallContext<'_>, slug: &str, version: Option<&str>) -> Result<Refusal, ToolError> {
    let found = skills::find(cx.tx, slug, version, cx.caller().viewer()).await?;
    match found.filter(|found| cx.principal.can_view_skill(&found.slug)) {
        Some(found) => Ok(Refusal::NotPublished {
            slug: found.slug,
            version: found.version,
            state: found.state,
        }),
        None => not_found::refusal(cx, slug, version).await,
    }
}

/// Stored files, as the archive writer takes them.
pub(super) fn files(contents: Vec<FileContents>) -> Result<Vec<SkillFile>, DbError> {
    let file = |FileContents { entry, bytes }| {
        let path = SkillPath::parse(&entry.path);
        Ok(SkillFile {
            path: path.map_err(|error| DbError::Corrupt(format!("{}: {error}", entry.path)))?,
            bytes,
            is_executable: entry.executable,
        })
    };
    contents.into_iter().map(file).collect()
}
