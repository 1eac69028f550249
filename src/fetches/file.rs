//! One file of a version.

use super::download::find;
use super::fetch::{Fetch, Fetched};
use crate::ids::Digest;
use crate::registry::caller::Viewer;
use crate::registry::versions;
use crate::tools::{CallContext, Refusal, ToolError, ToolName};

/// The longest path of a file in a skill, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// A file of a skill's version.
#[derive(Debug, Clone)]
pub struct File {
    pub skill: String,
    /// `None` or `latest` for the latest version.
    pub version: Option<String>,
    /// Relative to the skill's folder, with `/` between its parts.
    pub path: String,
}

/// The bytes of a file.
#[derive(Debug)]
pub struct FetchedFile {
    pub slug: String,
    pub version: String,
    pub path: String,
    pub digest: Digest,
    /// At most 16 MiB.
    pub bytes: Vec<u8>,
}

impl Fetch for File {
    const NAME: &'static str = "skills/file";
    const REQUIRED_PERMISSION: ToolName = ToolName::InstallSkill;
    const LOADS_SKILL: bool = true;
    type Output = FetchedFile;

    fn parameters(&self) -> Vec<(&'static str, &str)> {
        let version = self.version.as_deref().map(|version| ("version", version));
        [("skill", self.skill.as_str()), ("path", self.path.as_str())]
            .into_iter()
            .chain(version)
            .collect()
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Fetched<FetchedFile>, ToolError> {
        let version = find(cx, &self.skill, self.version.as_deref()).await?;
        let subject = version.subject();
        let is_possible = self.path.len() <= MAX_PATH_BYTES && !self.path.contains('\0');
        let found = if is_possible {
            let (slug, label) = (&version.slug, version.version.as_str());
            versions::file(cx.tx, slug, Some(label), &self.path, Viewer::PUBLISHED).await?
        } else {
            None
        };
        let Some(found) = found else {
            return Err(Refusal::UnknownFile {
                slug: version.slug,
                path: self.path,
            }
            .into());
        };
        Ok(Fetched {
            subject,
            count: None,
            bytes: found.bytes.len(),
            output: FetchedFile {
                slug: version.slug,
                version: version.version,
                path: found.entry.path,
                digest: found.entry.digest,
                bytes: found.bytes,
            },
        })
    }
}
