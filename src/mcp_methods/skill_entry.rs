//! A version as the Skills extension shows it, and the look-up of a version by URI.

use rmcp::model::{MetaObject, Skill, SkillFrontmatter, SkillResource, SkillResources};

use super::MethodError;
use crate::registry::listing::{self, ListedSkill};
use crate::registry::skill_uri::SkillUri;
use crate::registry::usage::Subject;
use crate::registry::versions::FileEntry;
use crate::tools::CallContext;

/// The entry of a version, or `None` where the extension's own rules leave it out: a name or description that is no
/// text, or a name that the format forbids. The tools serve it all the same.
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

/// What the extension has no field for: how the tools call the skill and its version, and whether it was withdrawn.
pub(super) fn meta(skill: &ListedSkill) -> MetaObject {
    let mut meta = MetaObject::new();
    meta.insert(
        "io.modelcontextprotocol.skills/slug".to_owned(),
        skill.found.slug.clone().into(),
    );
    meta.insert(
        "io.modelcontextprotocol.skills/version".to_owned(),
        skill.found.version.clone().into(),
    );
    if let Some(reason) = &skill.found.yanked {
        meta.insert(
            "io.modelcontextprotocol.skills/yanked".to_owned(),
            reason.clone().into(),
        );
    }
    meta
}

/// The version in whose folder the URI lies, if there is one that the caller may see.
pub(super) async fn find(
    cx: &CallContext<'_>,
    uri: &SkillUri,
) -> Result<Option<(ListedSkill, SkillUri)>, MethodError> {
    let found = listing::one(cx.tx, uri.slug(), Some(uri.version())).await?;
    Ok(found
        .filter(|skill| cx.principal.can_view_skill(&skill.found.slug))
        .and_then(|skill| Some((skill.folder()?, skill)))
        .filter(|(folder, _)| folder.is_beside(uri))
        .map(|(folder, skill)| (skill, folder)))
}

/// What a read of it is recorded as being about.
pub(super) const fn subject(skill: &ListedSkill) -> Subject {
    Subject {
        skill: Some(skill.found.skill),
        version: Some(skill.found.version_id),
        digest: Some(skill.found.digest),
    }
}
