//! `rate_skill`: a user's rating of a skill.

use agent_skills::Slug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::error::ArgumentError;
use super::not_found;
use super::schema::without_descriptions;
use super::tool::{CallContext, Done, Tool};
use crate::registry::ratings::{self, RatingChange, RatingResult};
use crate::registry::usage::Subject;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSkill {
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// 5 is best.
    #[serde(default)]
    #[schemars(range(min = 1, max = 5))]
    stars: Option<i16>,
    /// Why, for its author and other users.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    comment: Option<String>,
    /// Take your rating back; without `stars`.
    #[serde(default)]
    withdraw: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = without_descriptions)]
pub(super) struct RateSkillOutput {
    skill: String,
    /// `created`, `changed`, `withdrawn` or `nothing`.
    change: String,
    /// All ratings of the skill.
    ratings: i64,
    /// Mean of all ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    stars: Option<f64>,
    /// Whether you installed the skill or reported on it; ratings of others are marked.
    used: bool,
    next_step: String,
}

impl Tool for RateSkill {
    const TITLE: &'static str = "Rate a skill";
    const DESCRIPTION: &'static str = "Give a skill 1 to 5 stars and a comment, on behalf of your user. A second rating replaces the first. The owner of a skill \
         cannot rate it. To report how one use went, call record_usage instead.";
    type Output = RateSkillOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        if self.stars.is_some() == self.withdraw {
            return Err(ArgumentError::StarsOrWithdraw);
        }
        Ok(())
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<RateSkillOutput>, ToolError> {
        if cx.is_hidden_from_change(&self.skill).await? {
            return Err(not_found::refusal(cx, &self.skill, None).await?.into());
        }
        let comment = self.comment.as_deref().unwrap_or_default();
        let user = cx.principal.user;
        let rated = ratings::rate(cx.tx, &cx.caller(), user, &self.skill, self.stars, comment).await;
        let rated = match rated {
            Ok(rated) => rated,
            Err(error) => return Err(not_found::change(cx, error, &self.skill, None).await),
        };
        let subject = Subject {
            skill: Some(rated.skill.id),
            ..Subject::default()
        };
        Ok(Done::new(output(rated)).with_subject(subject))
    }
}

fn output(rated: RatingResult) -> RateSkillOutput {
    let (change, next_step) = match rated.change {
        RatingChange::Created if !rated.summary.is_used => (
            "created",
            "Stored and marked: you have neither installed this skill nor reported on it.",
        ),
        RatingChange::Created => (
            "created",
            "Stored. Call it again to change it, or with `withdraw`.",
        ),
        RatingChange::Changed => ("changed", "Your earlier rating was replaced."),
        RatingChange::Withdrawn => ("withdrawn", "Your rating no longer counts."),
        RatingChange::Nothing => ("nothing", "You have no rating of this skill."),
    };
    RateSkillOutput {
        skill: rated.skill.slug,
        change: change.to_owned(),
        ratings: rated.summary.count,
        stars: rated.summary.stars.map(|stars| (stars * 10.0).round() / 10.0),
        used: rated.summary.is_used,
        next_step: next_step.to_owned(),
    }
}
