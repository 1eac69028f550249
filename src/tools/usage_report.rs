//! `usage_report`: who uses what, and what it brought.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{CallContext, Done, SideEffect, Tool, ToolError, limits};
use crate::registry::report::{self, Period, UsageReport};
use crate::tenancy::Scope;

const DAYS: std::ops::RangeInclusive<u32> = 1..=366;
const TOP: std::ops::RangeInclusive<u32> = 1..=100;

/// The period that the report covers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageReportInput {
    /// How many days back from now the report reaches; 30 when left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 366))]
    days: Option<u32>,
    /// How many rows each list has at most; 10 when left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    top: Option<u32>,
}

impl Tool for UsageReportInput {
    const NAME: &'static str = "usage_report";
    const TITLE: &'static str = "Usage report";
    const DESCRIPTION: &'static str = "Sums up how this organisation uses its skills over the last days: calls, users, skills, outcomes, \
         minutes saved, and the searches that found nothing.";
    const SCOPE: Option<Scope> = Some(Scope::UsageRead);
    const EFFECT: SideEffect = SideEffect::Reads;
    type Output = UsageReport;

    fn check(&self) -> Result<(), String> {
        limits::optional_within("days", self.days, &DAYS)?;
        limits::optional_within("top", self.top, &TOP)
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<UsageReport>, ToolError> {
        if cx.principal.only_skills.is_some() {
            return Err(ToolError::refused(
                "limited_key",
                "This API key is limited to certain skills, and the report is about all of them. Ask your administrator for a key \
                 without that limit.",
            ));
        }
        let now = Timestamp::now();
        let back = Duration::from_secs(u64::from(self.days.unwrap_or(30)) * 24 * 60 * 60);
        // A second more, because ids made in this very millisecond belong to it.
        let period = Period {
            from: now - back,
            until: now + Duration::from_secs(1),
        };
        Ok(Done::new(
            report::summarise(cx.tx, period, i64::from(self.top.unwrap_or(10))).await?,
        ))
    }
}
