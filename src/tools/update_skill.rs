//! `update_skill`: submits a draft, and archives, deprecates, renames or transfers a skill.

use agent_skills::Slug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::ArgumentError;
use super::not_found;
use super::tool::{CallContext, Done, Tool};
use crate::registry::lifecycle::VersionState;
use crate::registry::management::{self, ManageError, ManagedSkill};
use crate::registry::settings;
use crate::registry::usage::Subject;
use crate::tenancy::users::Email;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum UpdateAction {
    Submit,
    Archive,
    Restore,
    Deprecate,
    Undeprecate,
    Rename,
    Transfer,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSkill {
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    action: UpdateAction,
    /// The draft to submit; the newest if omitted.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// `rename`: the new slug. `transfer`: the user's email address. `deprecate`: the slug of a successor, optional.
    #[serde(default)]
    #[schemars(length(min = 1, max = 254))]
    to: Option<String>,
    /// `deprecate`: why.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    note: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UpdateSkillOutput {
    /// Slug after the change.
    skill: String,
    /// What the skill or version is now.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    next_step: String,
}

/// The state after a change, and what to do next.
struct Change {
    skill: ManagedSkill,
    version: Option<management::ChangedVersion>,
    state: String,
    next_step: &'static str,
}

impl Change {
    fn of(skill: ManagedSkill, state: &str, next_step: &'static str) -> Self {
        Self {
            skill,
            version: None,
            state: state.to_owned(),
            next_step,
        }
    }
}

impl Tool for UpdateSkill {
    const TITLE: &'static str = "Change a skill's state";
    const DESCRIPTION: &'static str = "Submit a draft for publication; archive, restore, deprecate or rename a skill; or transfer it to another user. For its \
         owner and administrators. After a rename the old slug still leads to the skill.";
    type Output = UpdateSkillOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        let to = self.to.as_deref();
        match (self.action, to) {
            (UpdateAction::Rename, Some(to)) => to.parse::<Slug>().map(drop).map_err(ArgumentError::Slug),
            (UpdateAction::Transfer, Some(to)) => to.parse::<Email>().map(drop).map_err(ArgumentError::Email),
            (UpdateAction::Rename | UpdateAction::Transfer, None) => Err(ArgumentError::ToNeeded),
            (
                UpdateAction::Submit
                | UpdateAction::Archive
                | UpdateAction::Restore
                | UpdateAction::Deprecate
                | UpdateAction::Undeprecate,
                _,
            ) => Ok(()),
        }
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<UpdateSkillOutput>, ToolError> {
        // By its slug before the change: a rename must not give a limited key a skill that it could not view.
        if cx.is_hidden_from_change(&self.skill).await? {
            return Err(not_found::refusal(cx, &self.skill, self.version.as_deref())
                .await?
                .into());
        }
        match self.change(cx).await {
            Ok(change) => {
                let subject = Subject {
                    skill: Some(change.skill.id),
                    version: change.version.as_ref().map(|version| version.id),
                    digest: change.version.as_ref().map(|version| version.digest),
                };
                let output = UpdateSkillOutput {
                    skill: change.skill.slug,
                    state: change.state,
                    version: change.version.map(|version| version.version),
                    next_step: change.next_step.to_owned(),
                };
                Ok(Done::new(output).with_subject(subject))
            }
            Err(error) => Err(not_found::change(cx, error, &self.skill, self.version.as_deref()).await),
        }
    }
}

impl UpdateSkill {
    async fn change(&self, cx: &CallContext<'_>) -> Result<Change, ManageError> {
        let (tx, caller, slug) = (cx.tx, cx.caller(), self.skill.as_str());
        let to = self.to.as_deref();
        Ok(match self.action {
            UpdateAction::Submit => self.submit(cx).await?,
            UpdateAction::Archive => {
                let (skill, _) = management::set_archived(tx, &caller, slug, true).await?;
                Change::of(
                    skill,
                    "archived",
                    "Nobody finds it now. Action `restore` takes it back.",
                )
            }
            UpdateAction::Restore => {
                let (skill, _) = management::set_archived(tx, &caller, slug, false).await?;
                Change::of(
                    skill,
                    "active",
                    "search_skills finds it again if a version is published.",
                )
            }
            UpdateAction::Deprecate => {
                let note = self.note.as_deref().unwrap_or_default();
                let skill = management::set_deprecation(tx, &caller, slug, Some(note), to).await?;
                Change::of(
                    skill,
                    "deprecated",
                    "get_skill and install_skill say so, with the successor.",
                )
            }
            UpdateAction::Undeprecate => {
                let skill = management::set_deprecation(tx, &caller, slug, None, None).await?;
                Change::of(skill, "active", "The deprecation is gone.")
            }
            UpdateAction::Rename => {
                // `check` parsed it before.
                let to: Slug = to
                    .unwrap_or_default()
                    .parse()
                    .map_err(|_| ManageError::UnknownSkill)?;
                let skill = management::rename(tx, &caller, slug, &to).await?;
                Change::of(
                    skill,
                    "renamed",
                    "The old slug leads here. SKILL.md keeps its name until you publish a version with the new one.",
                )
            }
            UpdateAction::Transfer => {
                let to: Email = to.unwrap_or_default().parse().map_err(ManageError::UnknownUser)?;
                let skill = management::transfer(tx, &caller, slug, &to).await?;
                Change::of(
                    skill,
                    "transferred",
                    "Only the new owner and administrators can change it now.",
                )
            }
        })
    }

    async fn submit(&self, cx: &CallContext<'_>) -> Result<Change, ManageError> {
        let settings = settings::load(cx.tx).await?;
        let (skill, version) = management::submit(
            cx.tx,
            &cx.caller(),
            &settings,
            &self.skill,
            self.version.as_deref(),
        )
        .await?;
        let next_step = if version.state == VersionState::Published {
            "It is published."
        } else {
            "It waits for a review by another user; get_skill with this version shows the result."
        };
        Ok(Change {
            skill,
            state: version.state.to_string(),
            version: Some(version),
            next_step,
        })
    }
}
