//! `usage_report`: usage of the tenant's skills over a period.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::ToolError;
use super::error::Refusal;
use super::tool::{CallContext, Done, Tool};
use crate::registry::report::{self, Period, UsageReport};

const DEFAULT_DAYS: u32 = 30;
const DEFAULT_TOP: u32 = 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageReportInput {
    /// Number of days up to now; 30 if omitted.
    #[serde(default)]
    #[schemars(range(min = 1, max = 366))]
    days: Option<u32>,
    /// Maximum number of rows in each list; 10 if omitted.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    top: Option<u32>,
}

impl Tool for UsageReportInput {
    const TITLE: &'static str = "Usage report";
    const DESCRIPTION: &'static str = "Summarise how the organisation used its skills in the last days: calls, users, skills, outcomes, minutes saved, and \
         searches without a result. Call it when someone asks which skills are used or missing.";
    type Output = UsageReport;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<UsageReport>, ToolError> {
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
        Ok(Done::new(report::summarise(cx.tx, period, top).await?))
    }
}
