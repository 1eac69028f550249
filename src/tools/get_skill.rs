//! `get_skill`: the details of one skill, or the text of one of its files in pages.

use agent_skills::Slug;
use schemars::JsonSchema;
use serde::Deserialize;

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::Refusal;
use super::not_found::{self, requested_version};
use super::skill_answer::{self, FilePage, GetSkillOutput};
use super::skill_life::Life;
use super::text_page::TextPage;
use super::tool::{CallContext, Done, Tool};
use crate::registry::versions::{self, FileContents};
use crate::registry::{denylist, management, ratings, reviews, signing, skills};

/// One more than are shown, to know whether there are more.
const MAX_VERSIONS: i64 = skill_answer::MAX_VERSIONS as i64 + 1;
/// Comments of ratings that one answer shows.
const MAX_COMMENTS: i64 = 3;
const DEFAULT_MAX_CHARS: u32 = 16_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetSkill {
    /// Slug, e.g. `fill-pdf`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// E.g. `1.2`; default `latest`.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// Return this file's text instead, e.g. `SKILL.md`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    file: Option<String>,
    /// From next_offset: characters of the file, or listed files, to skip.
    #[serde(default)]
    #[schemars(range(min = 0, max = 16_777_216))]
    offset: Option<u32>,
    /// With `file`: characters per page; default 16000.
    #[serde(default)]
    #[schemars(range(min = 100, max = 50_000))]
    max_chars: Option<u32>,
    /// List the files with digests.
    #[serde(default)]
    digests: bool,
}

impl Tool for GetSkill {
    const TITLE: &'static str = "Get a skill";
    const DESCRIPTION: &'static str = "Show one skill: description, files, versions, review, ratings and other users' reports. With `file`, read a file \
         without installing the skill.";
    type Output = GetSkillOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<GetSkillOutput>, ToolError> {
        let version = requested_version(self.version.as_deref());
        if cx.is_hidden(&self.skill, version).await? {
            return Err(not_found::refusal(cx, &self.skill, version).await?.into());
        }
        match &self.file {
            Some(path) => self.read_file(cx, version, path).await,
            None => self.details(cx, version).await,
        }
    }
}

impl GetSkill {
    fn offset(&self) -> usize {
        usize::try_from(self.offset.unwrap_or_default()).unwrap_or(usize::MAX)
    }

    async fn details(
        &self,
        cx: &CallContext<'_>,
        version: Option<&str>,
    ) -> Result<Done<GetSkillOutput>, ToolError> {
        let slug = self.skill.as_str();
        let caller = cx.caller();
        let viewer = caller.viewer();
        // Each query finds the skill by its slug, so that all of them share one round trip.
        let (details, files, history, skill_md, managed) = futures::try_join!(
            skills::details(cx.tx, slug, version, viewer),
            versions::files(cx.tx, slug, version, viewer),
            versions::list(cx.tx, slug, MAX_VERSIONS, viewer),
            versions::file(cx.tx, slug, version, agent_skills::SKILL_MD, viewer),
            management::find(cx.tx, slug),
        )?;
        let details = details.filter(|details| cx.principal.can_view_skill(&details.resolved.slug));
        let Some((details, managed)) = details.zip(managed) else {
            return Err(not_found::refusal(cx, slug, version).await?.into());
        };
        let may_read_reviews = reviews::may_read(&caller, &managed);
        let review = if may_read_reviews || details.review.is_some() {
            let newest = reviews::of_version(cx.tx, details.resolved.version_id, 1).await?;
            let newest = newest.into_iter().next();
            newest.filter(|review| may_read_reviews || review.counted)
        } else {
            None
        };
        let comments = async {
            if details.ratings > 0 {
                ratings::recent(cx.tx, details.resolved.skill, MAX_COMMENTS).await
            } else {
                Ok(Vec::new())
            }
        };
        let signature = signing::of_version(cx.tx, details.resolved.version_id);
        let (comments, signature) = futures::try_join!(comments, signature)?;
        let (offset, total) = (self.offset(), files.len());
        if offset > 0 && offset >= total {
            let unit = "files";
            return Err(Refusal::PastTheEnd { offset, total, unit }.into());
        }
        let subject = details.resolved.subject();
        let missing = skill_md.map_or_else(Vec::new, |file| {
            skill_answer::missing_files(slug, &file.bytes, &files)
        });
        let listed = skill_answer::FileList {
            files,
            offset,
            has_digests: self.digests,
            missing,
        };
        let shown = history
            .iter()
            .find(|version| version.version == details.resolved.version);
        let denied = if shown.is_none_or(|version| version.quarantined) {
            denylist::of_manifest(cx.tx, details.resolved.digest).await?
        } else {
            None
        };
        let life = Life::new(cx.principal, managed, review, may_read_reviews, denied);
        let answer = skill_answer::details(details, listed, history, life, comments, signature);
        Ok(Done::new(answer).with_subject(subject))
    }

    async fn read_file(
        &self,
        cx: &CallContext<'_>,
        version: Option<&str>,
        path: &str,
    ) -> Result<Done<GetSkillOutput>, ToolError> {
        let slug = self.skill.as_str();
        let viewer = cx.caller().viewer();
        let (found, file) = futures::try_join!(
            skills::find(cx.tx, slug, version, viewer),
            versions::file(cx.tx, slug, version, path, viewer),
        )?;
        let Some(found) = found.filter(|found| cx.principal.can_view_skill(&found.slug)) else {
            return Err(not_found::refusal(cx, slug, version).await?.into());
        };
        let file = file.ok_or_else(|| Refusal::UnknownFile {
            slug: slug.to_owned(),
            path: path.to_owned(),
        })?;
        let page = self.page(file)?;
        let subject = found.subject();
        Ok(Done::new(skill_answer::file(found, page)).with_subject(subject))
    }

    fn page(&self, file: FileContents) -> Result<FilePage, Refusal> {
        let path = file.entry.path;
        let text = match String::from_utf8(file.bytes) {
            Ok(text) if !text.contains('\0') => text,
            Ok(_) | Err(_) => return Err(Refusal::NotText { path }),
        };
        let offset = self.offset();
        let max_chars = self.max_chars.unwrap_or(DEFAULT_MAX_CHARS);
        let page = TextPage::new(&text, offset, usize::try_from(max_chars).unwrap_or(usize::MAX));
        let page = page.ok_or_else(|| Refusal::PastTheEnd {
            offset,
            total: text.chars().count(),
            unit: "characters",
        })?;
        Ok(FilePage::new(path, page))
    }
}
