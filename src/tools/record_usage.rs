//! `record_usage`: feedback on a skill.

use agent_skills::Slug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::arguments::MAX_VERSION_CHARS;
use super::error::Refusal;
use super::not_found::{self, requested_version};
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

    const fn next_step(self) -> &'static str {
        match self {
            Self::Helped => "Nothing more to call.",
            Self::Failed | Self::Stale => {
                "Look for another skill or version with search_skills and get_skill."
            }
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordUsage {
    /// Slug, e.g. `fill-pdf`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// The version that you used, e.g. `1.2`; default `latest`.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// `stale`: the instructions are out of date.
    outcome: ReportedOutcome,
    /// Minutes of work saved, e.g. 20.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_080))]
    minutes_saved: Option<i32>,
    /// Tokens spent on following it, e.g. 4000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    tokens: Option<i64>,
    /// What worked or failed, e.g. `Step 3 needs pypdf 5`.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    comment: Option<String>,
    /// Any text that identifies this use, e.g. `task-42`: a repeated report counts once.
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
    /// Whether it had already been stored.
    duplicate: bool,
    next_step: String,
}

impl Tool for RecordUsage {
    const TITLE: &'static str = "Report how a skill did";
    const DESCRIPTION: &'static str = "Report whether a skill helped, failed or is out of date, once after each task in which you followed it; not when you \
         only read it. Your organisation sees the numbers, administrators also who reported and the comment.";
    type Output = RecordUsageOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<RecordUsageOutput>, ToolError> {
        let version = requested_version(self.version.as_deref());
        let found = skills::find(cx.tx, &self.skill, version, Viewer::PUBLISHED).await?;
        let Some(resolved) = found.filter(|resolved| cx.principal.can_view_skill(&resolved.slug)) else {
            return Err(not_found::refusal(cx, &self.skill, version).await?.into());
        };
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
            next_step: self.outcome.next_step().to_owned(),
        };
        Ok(Done::new(output).with_subject(Subject {
            skill: Some(resolved.skill),
            version: Some(version_id),
            digest: Some(digest),
        }))
    }
}
