//! `record_usage`: how a skill did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Done, SideEffect, Tool, ToolError, limits};
use crate::ids::EventId;
use crate::registry::report::{self, NewReport};
use crate::registry::skills;
use crate::registry::usage::Subject;
use crate::tenancy::Scope;

const MINUTES: std::ops::RangeInclusive<i32> = 0..=10_080;
const TOKENS: std::ops::RangeInclusive<i64> = 0..=1_000_000_000;

/// What became of a skill's use.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReportedOutcome {
    /// It did what it promises.
    Helped,
    /// It did not.
    Failed,
    /// What it says is out of date.
    Stale,
}

impl ReportedOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Helped => "helped",
            Self::Failed => "failed",
            Self::Stale => "stale",
        }
    }
}

/// How a skill did.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordUsage {
    /// The skill's slug, as search_skills shows it.
    #[schemars(length(min = 1, max = 64))]
    skill: String,
    /// The version that was used; the latest when left out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    version: Option<String>,
    /// What became of it.
    outcome: ReportedOutcome,
    /// Minutes of work that it saved, at most a week's.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_080))]
    minutes_saved: Option<i32>,
    /// Tokens that it cost.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    tokens: Option<i64>,
    /// A few words on what went well or badly.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    comment: Option<String>,
    /// Any text of your own that names this one use. A report sent again with the same key counts once.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    idempotency_key: Option<String>,
}

/// What stands in the registry now.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RecordUsageOutput {
    /// The report's id.
    report_id: String,
    /// The skill.
    skill: String,
    /// The version that the report is about.
    version: String,
    /// What was reported.
    outcome: String,
    /// Whether the same report had arrived before; it counts once.
    duplicate: bool,
}

impl Tool for RecordUsage {
    const NAME: &'static str = "record_usage";
    const TITLE: &'static str = "Report how a skill did";
    const DESCRIPTION: &'static str = "Reports that a skill was used and whether it helped, failed or is out of date, with the minutes it saved. \
         Call it once after each task in which you followed a skill.";
    const SCOPE: Option<Scope> = Some(Scope::UsageWrite);
    const EFFECT: SideEffect = SideEffect::AddsOnce;
    type Output = RecordUsageOutput;

    fn check(&self) -> Result<(), String> {
        limits::skill_and_version(&self.skill, self.version.as_deref())?;
        limits::optional_within("minutes_saved", self.minutes_saved, &MINUTES)?;
        limits::optional_within("tokens", self.tokens, &TOKENS)?;
        limits::optional_text("comment", self.comment.as_deref(), &(0..=2000))?;
        limits::optional_text("idempotency_key", self.idempotency_key.as_deref(), &(1..=128))
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<RecordUsageOutput>, ToolError> {
        let version = self.version.as_deref();
        let found = skills::find(cx.tx, &self.skill, version)
            .await?
            .filter(|found| cx.principal.can_view_skill(&found.slug))
            .ok_or_else(|| ToolError::no_such_skill(&self.skill, version))?;
        // Without a key each call is a report of its own.
        let key = self.idempotency_key.unwrap_or_else(|| EventId::new().to_string());
        let stored = report::report(
            cx.tx,
            &NewReport {
                idempotency_key: &key,
                user: cx.principal.user,
                skill: found.skill,
                version: found.version_id,
                names_version: version.is_some(),
                outcome: self.outcome.as_str(),
                minutes_saved: self.minutes_saved,
                tokens: self.tokens,
                comment: self.comment.as_deref(),
            },
        )
        .await?;
        if !stored.same {
            return Err(ToolError::refused(
                "idempotency_conflict",
                format!(
                    "The idempotency key \"{key}\" was used before for another report. Choose a new one."
                ),
            ));
        }
        let (version_id, version, digest) =
            stored
                .about
                .unwrap_or((found.version_id, found.version, found.digest));
        let subject = Subject {
            skill: Some(found.skill),
            version: Some(version_id),
            digest: Some(digest),
        };
        Ok(Done::new(RecordUsageOutput {
            report_id: stored.id.to_string(),
            skill: found.slug,
            version,
            outcome: self.outcome.as_str().to_owned(),
            duplicate: stored.duplicate,
        })
        .about(subject))
    }
}
