//! A version in the form of the Skills extension (SEP-2640), and the look-up of a version by URI.

use rmcp::model::{MetaObject, Skill, SkillFrontmatter, SkillResource, SkillResources};

use super::error::MethodError;
use crate::ids::Digest;
use crate::registry::listing::{self, ListedSkill};
use crate::registry::skill_uri::SkillUri;
use crate::registry::versions::FileEntry;
use crate::tools::CallContext;

const DIGEST: &str = "io.modelcontextprotocol.skills/digest";
const SLUG: &str = "io.modelcontextprotocol.skills/slug";
const VERSION: &str = "io.modelcontextprotocol.skills/version";
const YANKED: &str = "io.modelcontextprotocol.skills/yanked";

/// The entry of a version. `None` if the extension forbids it: the name or description is not a string, or the name is not
/// valid. The tools serve such a skill anyway.
pub(super) fn entry(skill: &ListedSkill, manifest: &[FileEntry]) -> Option<Skill> {
    let folder = skill.folder()?;
    let front_matter: SkillFrontmatter = serde_json::from_value(skill.front_matter.clone()).ok()?;
    let files = manifest
        .iter()
        .map(|file| {
            let size = u64::try_from(file.size).unwrap_or_default();
            SkillResource::new(folder.at(&file.path).to_string(), file.digest.to_string(), size)
        })
        .collect();
    let entry = Skill::new(
        folder.skill_md().to_string(),
        front_matter,
        SkillResources::Files(files),
    )
    .with_meta(meta(skill));
    entry.validate().is_ok().then_some(entry)
}

/// Metadata for which the extension has no field: slug and version, as the tools take them, and the reason of a withdrawal.
pub(super) fn meta(skill: &ListedSkill) -> MetaObject {
    let resolved = &skill.resolved;
    let mut meta = MetaObject::new();
    meta.insert(SLUG.to_owned(), resolved.slug.clone().into());
    meta.insert(VERSION.to_owned(), resolved.version.clone().into());
    if let Some(reason) = &resolved.yanked {
        meta.insert(YANKED.to_owned(), reason.clone().into());
    }
    meta
}

/// Adds the digest of a file, as the extension prescribes it.
pub(super) fn insert_digest(meta: &mut MetaObject, digest: Digest) {
    meta.insert(DIGEST.to_owned(), digest.to_string().into());
}

/// The version that the URI belongs to, with the URI of its folder. `None` if there is none that the caller may view.
pub(super) async fn find(
    cx: &CallContext<'_>,
    uri: &SkillUri,
) -> Result<Option<(ListedSkill, SkillUri)>, MethodError> {
    let found = listing::get_version(cx.tx, uri.slug(), Some(uri.version())).await?;
    Ok(found
        .filter(|skill| cx.principal.can_view_skill(&skill.resolved.slug))
        .and_then(|skill| Some((skill.folder()?, skill)))
        .filter(|(folder, _)| folder.is_beside(uri))
        .map(|(folder, skill)| (skill, folder)))
}
