//! `skillkeep search report`: what the users of a tenant looked for and did not get, and skills that nobody needs twice.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::database::{self, db_failure};
use crate::cli::output;
use crate::cli::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::CliError;
use crate::registry::report::{self, Demand, Period};
use crate::search::{self, NearDuplicates, SearchCache};

/// Slugs of a group of near-duplicates in a table.
const SHOWN_SKILLS: usize = 10;
/// Characters of a search's text in a table.
const SHOWN_QUERY_CHARS: usize = 80;

#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    /// Length of the reported period, in days before now
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3660))]
    days: u64,
    /// Maximum number of rows of each list
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=1000))]
    top: i64,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    demand: Demand,
    near_duplicates: Vec<Vec<String>>,
}

pub(super) async fn run(config: &Config, db: &AdminDb, args: &ReportArgs) -> Result<(), CliError> {
    let mut tx = database::tenant_tx(db, &args.tenant.slug).await?;
    tx.without_time_limit().await.map_err(db_failure)?;
    let now = Timestamp::now();
    let period = Period {
        from: now - Duration::from_secs(args.days * 24 * 60 * 60),
        // Includes the calls of this second.
        until: now + Duration::from_secs(1),
    };
    let demand = report::demand(&tx, period, args.top).await.map_err(db_failure)?;
    let cache = SearchCache::default();
    let texts = cache
        .current(&tx, None)
        .await
        .map_err(db_failure)?
        .text_signatures();
    // With the summaries of days that it stored.
    tx.commit().await.map_err(db_failure)?;
    let top = usize::try_from(args.top).unwrap_or(usize::MAX);
    let groups = search::near_duplicates(&texts).into_iter().take(top);
    let report = Report {
        demand,
        near_duplicates: groups.map(|NearDuplicates { skills }| skills).collect(),
    };
    if config.json {
        return output::json(&report);
    }
    if report.demand.is_empty() && report.near_duplicates.is_empty() {
        return output::line(&format!("Nothing to report in the last {} days.", args.days));
    }
    show(&report)
}

fn show(report: &Report) -> Result<(), CliError> {
    let demand = &report.demand;
    let empty = demand.empty_searches.iter().map(|row| {
        let found = if row.weak { "weak hits" } else { "nothing" };
        let filters = row.filters.join(", ");
        vec![
            shown(&row.query),
            found.to_owned(),
            filters,
            row.searches.to_string(),
        ]
    });
    output::table(
        &["search without result", "found", "filters", "times"],
        empty.collect(),
        "Every search found something.",
    )?;
    let not_followed = demand
        .not_followed
        .iter()
        .map(|row| vec![shown(&row.query), row.searches.to_string(), row.users.to_string()]);
    output::line("")?;
    output::table(
        &["search not followed by a use", "times", "users"],
        not_followed.collect(),
        "Every search with hits was followed by a use within 30 minutes.",
    )?;
    let unused = demand.unused.iter().map(|row| {
        let installs = row.installs.to_string();
        vec![row.skill.clone(), installs, row.last.clone()]
    });
    output::line("")?;
    output::table(
        &["installed, without a report on it", "installs", "last install"],
        unused.collect(),
        "There is a report on every installed skill.",
    )?;
    let groups = report.near_duplicates.iter().map(|skills| {
        let mut names = skills
            .iter()
            .take(SHOWN_SKILLS)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        if skills.len() > SHOWN_SKILLS {
            names.push_str(", …");
        }
        vec![names, skills.len().to_string()]
    });
    output::line("")?;
    output::table(
        &["skills with nearly the same text", "skills"],
        groups.collect(),
        "No two skills have nearly the same text.",
    )
}

/// The beginning of a search's text.
fn shown(query: &str) -> String {
    let Some((end, _)) = query.char_indices().nth(SHOWN_QUERY_CHARS) else {
        return query.to_owned();
    };
    format!("{}…", query.get(..end).unwrap_or_default())
}
