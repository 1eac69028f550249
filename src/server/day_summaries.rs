//! Summaries of the days of usage events, made in the background: the usage report of a busy tenant would take seconds without.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tracing::Instrument as _;

use crate::db::{ServerDb, TenantTx};
use crate::ids::TenantId;
use crate::registry::report;
use crate::tools::ToolName;

/// A day is summarised this long after it ended, a little later than `usage/insert_day.sql` demands.
const AFTER_END: Duration = Duration::from_secs(130 * 60);
/// After a usage report, the days are looked at again after this time at the earliest.
const REPORT_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// When the days of each tenant that calls this process are to be summarised: once a day, and after a usage report, which may have
/// been slow because summaries are missing.
#[derive(Default)]
pub(super) struct DaySummaries {
    tenants: Mutex<HashMap<TenantId, Seen>>,
}

struct Seen {
    /// The last day that can be summarised, as of the first call or the last summary.
    day: Date,
    summarised_at: Option<Timestamp>,
}

impl DaySummaries {
    /// After a call: summarises the tenant's days in the background, if it is time.
    pub(super) fn prepare(&self, db: &ServerDb, tenant: TenantId, tool: &str) {
        if !self.is_due(tenant, tool == ToolName::UsageReport.as_str(), Timestamp::now()) {
            return;
        }
        let db = db.clone();
        let summarise = async move {
            let begin = || TenantTx::begin_after_call(&db, tenant);
            if let Err(error) = report::summarise_days(begin, Timestamp::now()).await {
                // The next report or the next day tries again.
                tracing::warn!(%error, "cannot summarise the usage events of past days");
            }
        };
        // Nothing waits for it: what is not committed when the process ends is made later.
        tokio::spawn(summarise.in_current_span());
    }

    fn is_due(&self, tenant: TenantId, is_report: bool, now: Timestamp) -> bool {
        let day = (now - AFTER_END).to_zoned(TimeZone::UTC).date();
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = tenants.entry(tenant).or_insert(Seen {
            day,
            summarised_at: None,
        });
        let is_late = seen.summarised_at.is_none_or(|at| at + REPORT_INTERVAL <= now);
        let is_due = seen.day != day || is_report && is_late;
        if is_due {
            *seen = Seen {
                day,
                summarised_at: Some(now),
            };
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_summarised_once_a_day_and_after_reports() {
        let summaries = DaySummaries::default();
        let (one, other) = (TenantId::new(), TenantId::new());
        let is_due = |tenant, is_report, at: &str| summaries.is_due(tenant, is_report, at.parse().unwrap());
        assert!(!is_due(one, false, "2026-05-01T20:00:00Z"));
        assert!(is_due(one, true, "2026-05-01T20:00:01Z"));
        assert!(!is_due(one, true, "2026-05-01T20:05:00Z"));
        assert!(is_due(one, true, "2026-05-01T20:11:00Z"));
        assert!(!is_due(one, false, "2026-05-02T02:09:00Z"));
        assert!(is_due(one, false, "2026-05-02T02:11:00Z"));
        assert!(!is_due(one, false, "2026-05-02T02:12:00Z"));
        assert!(is_due(other, true, "2026-05-02T02:12:00Z"));
    }
}
