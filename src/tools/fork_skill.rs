//! `fork_skill`: copies a skill under a new name.

use agent_skills::Slug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::{ArgumentError, LifecycleRefusal, Refusal};
use super::not_found;
use super::publish_skill::next_step;
use super::tool::{CallContext, Done, Tool};
use crate::registry::fork;
use crate::registry::settings;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkSkill {
    /// The skill to copy.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// The latest if omitted.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// Slug of the copy, e.g. `fill-pdf-forms`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    new_name: String,
    /// Store a draft that only you and reviewers see.
    #[serde(default)]
    draft: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ForkSkillOutput {
    skill: String,
    version: String,
    digest: String,
    state: String,
    /// What was copied.
    origin: String,
    origin_version: String,
    next_step: String,
}

impl Tool for ForkSkill {
    const TITLE: &'static str = "Fork a skill";
    const DESCRIPTION: &'static str = "Copy a skill under a new name, as your own. Only the name in SKILL.md changes. The copy remembers its origin; get_skill \
         says when the origin has a newer version.";
    type Output = ForkSkillOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        self.new_name
            .parse::<Slug>()
            .map(drop)
            .map_err(ArgumentError::Slug)
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<ForkSkillOutput>, ToolError> {
        let new_name: Slug = self
            .new_name
            .parse()
            .map_err(|error| LifecycleRefusal::InvalidSkill(format!("{error}")))?;
        if !cx.principal.can_view_skill(new_name.as_str()) {
            return Err(LifecycleRefusal::LimitedSlug(new_name).into());
        }
        let caller = cx.caller();
        let version = not_found::requested_version(self.version.as_deref());
        if cx.is_hidden_from_change(&self.skill).await? {
            return Err(not_found::refusal(cx, &self.skill, version).await?.into());
        }
        let origin = match fork::find_origin(cx.tx, &caller, &self.skill, version).await {
            Ok(origin) => origin,
            Err(error) => return Err(not_found::change(cx, error, &self.skill, version).await),
        };
        if let Some(reason) = origin.yanked {
            return Err(Refusal::Yanked {
                reason,
                slug: origin.slug,
                version: origin.version,
            }
            .into());
        }
        let settings = settings::load(cx.tx).await?;
        let stored = fork::fork(cx.tx, &caller, &settings, &origin, &new_name, self.draft)
            .await
            .map_err(|error| LifecycleRefusal::fork(error, &self.skill))?;
        let subject = stored.subject();
        let output = ForkSkillOutput {
            next_step: next_step(&stored),
            skill: stored.slug,
            version: stored.version,
            digest: stored.digest.to_string(),
            state: stored.state.to_string(),
            origin: origin.slug,
            origin_version: origin.version,
        };
        Ok(Done::new(output).with_subject(subject))
    }
}
