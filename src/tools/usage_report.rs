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
use crate::db::DbError;
use crate::registry::report::{self, Period, SkillOrder, UsageReport};
use crate::search;

const DEFAULT_DAYS: u32 = 30;
const DEFAULT_TOP: u32 = 10;
/// Characters of a search's text.
const MAX_QUERY_CHARS: usize = 500;
/// Larger catalogs are not searched for near-duplicates in a call: if all skills are similar, 10,000 take more than a second.
const MAX_COMPARED_SKILLS: usize = 10_000;
/// Slugs of a group of near-duplicates.
const MAX_GROUP_SKILLS: usize = 10;

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
    /// Order of by_skill; default `calls`.
    #[serde(default)]
    order: SkillOrder,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = top_fields_only)]
pub(super) struct UsageReportOutput {
    #[serde(flatten)]
    report: UsageReport,
    /// Skills whose texts are nearly the same.
    near_duplicates: Vec<Vec<String>>,
    next_step: String,
}

/// Keeps the first rows of each list, so that they fit into an answer.
fn shorten(output: &mut UsageReportOutput) {
    let report = &mut output.report;
    let demand = &mut report.demand;
    let searches = demand.empty_searches.iter_mut().map(|search| &mut search.query);
    let not_followed = demand.not_followed.iter_mut().map(|search| &mut search.query);
    for query in searches.chain(not_followed) {
        *query = cut(query, MAX_QUERY_CHARS);
    }
    keep_first(&mut report.by_tool, 10_000);
    keep_first(&mut report.by_user, 20_000);
    keep_first(&mut report.by_skill, 20_000);
    keep_first(&mut demand.empty_searches, 20_000);
    keep_first(&mut demand.not_followed, 10_000);
    keep_first(&mut demand.unused, 7_500);
    keep_first(&mut output.near_duplicates, 7_500);
}

/// Groups of skills whose texts are nearly the same; none for a catalog that is too large.
async fn near_duplicates(cx: &CallContext<'_>, top: usize) -> Result<Vec<Vec<String>>, ToolError> {
    let revision = Some(cx.principal.catalog_revision);
    let texts = cx.search.current(cx.tx, revision).await?.text_signatures();
    if texts.len() > MAX_COMPARED_SKILLS {
        return Ok(Vec::new());
    }
    // Comparing them would block the other calls on this thread.
    let groups = tokio::task::spawn_blocking(move || search::near_duplicates(&texts))
        .await
        .map_err(|error| DbError::Corrupt(format!("near-duplicates could not be found: {error}")))?;
    let first = groups.into_iter().take(top).map(|mut group| {
        group.skills.truncate(MAX_GROUP_SKILLS);
        group.skills
    });
    Ok(first.collect())
}

fn next_step(report: &UsageReport) -> &'static str {
    if report.calls == 0 {
        "Nobody called a tool in this period: ask for more `days`."
    } else {
        "Read a skill of by_skill with get_skill. empty_searches and not_followed show what is missing or hard to find, unused what \
         nobody reports on."
    }
}

impl Tool for UsageReportInput {
    const TITLE: &'static str = "Usage report";
    const DESCRIPTION: &'static str = "Sum up how the organisation used its skills: calls, users, installs, reports, searches that led to nothing, unused and \
         near-duplicate skills. Lists show their first rows.";
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
        let (report, near_duplicates) = futures::try_join!(
            async { Ok(report::summarise(cx.tx, period, top, self.order).await?) },
            near_duplicates(cx, usize::try_from(top).unwrap_or(usize::MAX)),
        )?;
        let mut output = UsageReportOutput {
            next_step: next_step(&report).to_owned(),
            report,
            near_duplicates,
        };
        shorten(&mut output);
        Ok(Done::new(output))
    }
}
