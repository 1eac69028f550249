//! `yank_skill`: withdraws versions.

use agent_skills::Slug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::ArgumentError;
use super::not_found;
use super::tool::{CallContext, Done, Tool};
use crate::answer_size::keep_first;
use crate::registry::management::{self, ChangedVersion, ManageError, ManagedSkill, Yanked};
use crate::registry::usage::Subject;

/// Characters of the versions that an answer lists.
const MAX_VERSION_LIST_CHARS: usize = 10_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct YankSkill {
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// The version to withdraw.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// Withdraw every version instead.
    #[serde(default)]
    all: bool,
    /// Shown to readers of the version. Required unless `undo`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1000))]
    reason: Option<String>,
    /// Publish the withdrawn `version` again.
    #[serde(default)]
    undo: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct YankSkillOutput {
    skill: String,
    /// Those that changed, or the first of them.
    versions: Vec<String>,
    /// `yanked` or `published`.
    state: String,
    next_step: String,
}

impl Tool for YankSkill {
    const TITLE: &'static str = "Withdraw a version";
    const DESCRIPTION: &'static str = "Withdraw one version of a skill, or all: it is no longer found or installed. It can still be read by its version, \
         with your reason.";
    type Output = YankSkillOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        match (&self.version, self.all, self.undo) {
            (Some(_), false, true) => Ok(()),
            (None, _, true) | (Some(_), true, true) => Err(ArgumentError::UndoVersion),
            (Some(_), true, false) | (None, false, false) => Err(ArgumentError::VersionOrAll),
            (Some(_), false, false) | (None, true, false) if self.reason.is_none() => {
                Err(ArgumentError::ReasonNeeded)
            }
            (Some(_), false, false) | (None, true, false) => Ok(()),
        }
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<YankSkillOutput>, ToolError> {
        if cx.is_hidden_from_change(&self.skill).await? {
            return Err(not_found::refusal(cx, &self.skill, self.version.as_deref())
                .await?
                .into());
        }
        match self.change(cx).await {
            Ok((skill, changed)) => {
                let subject = Subject {
                    skill: Some(skill.id),
                    version: changed.first().map(|version| version.id),
                    digest: changed.first().map(|version| version.digest),
                };
                Ok(Done::new(output(skill, &changed, self.undo)).with_subject(subject))
            }
            Err(error) => Err(not_found::change(cx, error, &self.skill, self.version.as_deref()).await),
        }
    }
}

impl YankSkill {
    async fn change(&self, cx: &CallContext<'_>) -> Result<(ManagedSkill, Vec<ChangedVersion>), ManageError> {
        let caller = cx.caller();
        match (&self.version, self.undo) {
            (Some(version), true) => {
                let (skill, changed) = management::unyank(cx.tx, &caller, &self.skill, version).await?;
                Ok((skill, vec![changed]))
            }
            (version, _) => {
                let which = version.as_deref().map_or(Yanked::All, Yanked::One);
                let reason = self.reason.as_deref().unwrap_or_default();
                management::yank(cx.tx, &caller, &self.skill, which, reason).await
            }
        }
    }
}

fn output(skill: ManagedSkill, changed: &[ChangedVersion], undo: bool) -> YankSkillOutput {
    let (state, next_step) = if undo {
        ("published", "It can be found and installed again.")
    } else if skill.latest.is_some() {
        (
            "yanked",
            "Others get the latest version that is left. `undo` publishes this one again.",
        )
    } else {
        (
            "yanked",
            "Publish a fixed version with publish_skill, or take it back with `undo`.",
        )
    };
    let mut versions: Vec<String> = changed.iter().map(|version| version.version.clone()).collect();
    let next_step = match keep_first(&mut versions, MAX_VERSION_LIST_CHARS) {
        0 => next_step.to_owned(),
        more => format!("{more} more versions changed. {next_step}"),
    };
    YankSkillOutput {
        skill: skill.slug,
        versions,
        state: state.to_owned(),
        next_step,
    }
}
