//! `usage_report`: usage of the tenant's skills over a period.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::error::Refusal;
use super::schema::top_fields_only;
use super::tool::{CallContext, Done, Tool};
use crate::answer_size::{cut, keep_first};
use crate::registry::report::{self, Period, SkillOrder, UsageReport};

const DEFAULT_DAYS: u32 = 30;
const DEFAULT_TOP: u32 = 10;
/// Characters of a search's text.
const MAX_QUERY_CHARS: usize = 500;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageReportInput {
    /// Number of days up to now; default 30.
    #[serde(default)]
    #[schemars(range(min = 1, max = 366))]
    days: Option<u32>,
    /// Rows of each list; default 10.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    top: Option<u32>,
    /// What the skills are ordered by; default `calls`, which counts all tools.
    #[serde(default)]
    order: SkillOrder,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = top_fields_only)]
pub(super) struct UsageReportOutput {
    #[serde(flatten)]
    report: UsageReport,
    next_step: String,
}

/// Keeps the first rows of each list, so that they fit into an answer.
fn shorten(report: &mut UsageReport) {
    for search in &mut report.empty_searches {
        search.query = cut(&search.query, MAX_QUERY_CHARS);
    }
    keep_first(&mut report.by_tool, 10_000);
    keep_first(&mut report.by_user, 25_000);
    keep_first(&mut report.by_skill, 25_000);
    keep_first(&mut report.empty_searches, 30_000);
}

fn next_step(report: &UsageReport) -> &'static str {
    if report.calls == 0 {
        "Nobody called a tool in this period: ask for more `days`."
    } else {
        "Read a skill of by_skill with get_skill; empty_searches (nothing, or only weak hits) shows which skills are missing."
    }
}

impl Tool for UsageReportInput {
    const TITLE: &'static str = "Usage report";
    const DESCRIPTION: &'static str = "Summarise how the organisation used its skills: calls, users, confirmed installs, reports, minutes saved, searches \
         without a result. Numbers count everything; each list shows its first rows.";
    type Output = UsageReportOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<UsageReportOutput>, ToolError> {
        if cx.principal.only_skills.is_some() {
            return Err(Refusal::LimitedKey.into());
        }
        let now = Timestamp::now();
        let days = u64::from(self.days.unwrap_or(DEFAULT_DAYS));
        // One second more, to include the ids created in this millisecond.
        let period = Period {
            from: now - Duration::from_secs(days * 24 * 60 * 60),
            until: now + Duration::from_secs(1),
        };
        let top = i64::from(self.top.unwrap_or(DEFAULT_TOP));
        let mut report = report::summarise(cx.tx, period, top, self.order).await?;
        shorten(&mut report);
        let next_step = next_step(&report).to_owned();
        Ok(Done::new(UsageReportOutput { report, next_step }))
    }
}
