//! The skills that a key may install, as indexes list them.

use crate::ids::VersionId;
use crate::registry::listing::{self, ListedSkill};
use crate::registry::versions::FileEntry;
use crate::tools::{CallContext, Refusal, ToolError};

/// The most skills in an index. Its clients install all that it lists, and read it as a whole.
const MAX_SKILLS: usize = 5_000;
const PAGE: i64 = 500;

/// A skill in its latest version, with its files.
pub(super) struct CatalogSkill {
    pub(super) listed: ListedSkill,
    pub(super) files: Vec<FileEntry>,
}

/// Every skill with a published version that the key may see, by slug.
///
/// # Errors
/// A refusal if there are more than 5,000; a database error.
pub(super) async fn all(cx: &CallContext<'_>) -> Result<Vec<CatalogSkill>, ToolError> {
    let only = cx.principal.only_skills.as_deref();
    let mut skills: Vec<CatalogSkill> = Vec::new();
    loop {
        let after = skills.last().map(|last| last.listed.resolved.slug.clone());
        let page = listing::page(cx.tx, &after.unwrap_or_default(), only, PAGE).await?;
        let is_last = i64::try_from(page.len()).is_ok_and(|found| found < PAGE);
        let versions: Vec<VersionId> = page.iter().map(|skill| skill.resolved.version_id).collect();
        let mut manifests = listing::manifests(cx.tx, &versions).await?;
        skills.extend(page.into_iter().map(|listed| CatalogSkill {
            files: manifests.remove(&listed.resolved.version_id).unwrap_or_default(),
            listed,
        }));
        if skills.len() > MAX_SKILLS {
            return Err(Refusal::TooManySkills { max: MAX_SKILLS }.into());
        }
        if is_last {
            return Ok(skills);
        }
    }
}
