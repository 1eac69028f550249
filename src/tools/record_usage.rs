//! `record_usage`: feedback on a skill.

use agent_skills::Slug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::Refusal;
use super::tool::{CallContext, Done, Tool};
use crate::ids::EventId;
use crate::registry::caller::Viewer;
use crate::registry::report::{self, NewReport};
use crate::registry::skills;
use crate::registry::usage::Subject;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReportedOutcome {
    Helped,
    Failed,
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordUsage {
    /// Slug from search_skills, e.g. `fill-pdf`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// The version that you used, e.g. `1.2`; the latest if omitted.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// `stale`: the instructions are out of date.
    outcome: ReportedOutcome,
    /// Estimated minutes of work saved, e.g. 20.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_080))]
    minutes_saved: Option<i32>,
    /// Tokens spent while following the skill, e.g. 4000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    tokens: Option<i64>,
    /// What worked or failed, e.g. `Step 3 needs pypdf 5`.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    comment: Option<String>,
    /// Any text that identifies this use, e.g. `task-42`. A report repeated with the same key counts once.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    idempotency_key: Option<String>,
}

/// The stored report.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RecordUsageOutput {
    report_id: String,
    skill: String,
    version: String,
    outcome: String,
    /// Whether this report had already been stored.
    duplicate: bool,
}

impl Tool for RecordUsage {
    const TITLE: &'static str = "Report how a skill did";
    const DESCRIPTION: &'static str = "Report whether a skill helped, failed or is out of date, and the minutes it saved. \
         Call it once after each task in which you followed a skill.";
    type Output = RecordUsageOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<RecordUsageOutput>, ToolError> {
        let version = self.version.as_deref();
        let resolved = skills::find(cx.tx, &self.skill, version, Viewer::PUBLISHED)
            .await?
            .filter(|resolved| cx.principal.can_view_skill(&resolved.slug))
            .ok_or_else(|| Refusal::unknown_skill(&self.skill, version))?;
        // Without an idempotency key each call is a new report.
        let key = self.idempotency_key.unwrap_or_else(|| EventId::new().to_string());
        let stored = report::report(
            cx.tx,
            &NewReport {
                idempotency_key: &key,
                user: cx.principal.user,
                skill: resolved.skill,
                version: resolved.version_id,
                names_version: version.is_some(),
                outcome: self.outcome.as_str(),
                minutes_saved: self.minutes_saved,
                tokens: self.tokens,
                comment: self.comment.as_deref(),
            },
        )
        .await?;
        if !stored.same {
            return Err(Refusal::IdempotencyConflict { key }.into());
        }
        let (version_id, version, digest) =
            stored
                .about
                .unwrap_or((resolved.version_id, resolved.version, resolved.digest));
        let output = RecordUsageOutput {
            report_id: stored.id.to_string(),
            skill: resolved.slug,
            version,
            outcome: self.outcome.as_str().to_owned(),
            duplicate: stored.duplicate,
        };
        Ok(Done::new(output).with_subject(Subject {
            skill: Some(resolved.skill),
            version: Some(version_id),
            digest: Some(digest),
        }))
    }
}
