//! `skillkeep usage`: shows the usage report and the newest usage events, and drops old ones.

use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::database::{self, Database, db_failure};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::registry::administration;
use crate::registry::administration::usage::PruneError;
use crate::registry::report::{self, Period, SkillOrder, UsageReport};
use crate::registry::usage;
use crate::tenancy::tenants;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct UsageArgs {
    #[command(subcommand)]
    command: Option<UsageCommand>,
    /// Length of the reported period, in days before now
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3660))]
    days: u64,
    /// Maximum number of rows of each list
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=1000))]
    top: i64,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Subcommand)]
enum UsageCommand {
    /// Show the newest usage events
    Events {
        /// Number of events
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        lines: i64,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Delete old usage events
    ///
    /// Example: skillkeep usage prune --by-setting --yes
    Prune {
        /// Drop whole months that ended before this day, of all tenants
        #[arg(long, value_name = "DATE", required_unless_present = "by_setting")]
        before: Option<Date>,
        /// Delete what each tenant's usage.retention_months allows
        #[arg(long, conflicts_with = "before")]
        by_setting: bool,
        /// Confirm; dropped events cannot be restored
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(config: &Config, args: UsageArgs) -> Result<(), CliError> {
    Database::with_admin(config, async |db| match args.command {
        None => {
            let mut tx = database::tenant_tx(db, &args.tenant.slug).await?;
            tx.without_time_limit().await.map_err(db_failure)?;
            let now = Timestamp::now();
            let period = Period {
                from: now - Duration::from_secs(args.days * 24 * 60 * 60),
                // Includes the calls of this second.
                until: now + Duration::from_secs(1),
            };
            let report = report::summarise(&tx, period, args.top, SkillOrder::Calls)
                .await
                .map_err(db_failure)?;
            // With the summaries of days that it stored.
            tx.commit().await.map_err(db_failure)?;
            show(config, &report)
        }
        Some(UsageCommand::Events { lines, tenant }) => {
            let tx = database::tenant_tx(db, &tenant.slug).await?;
            events(config, usage::recent(&tx, lines).await.map_err(db_failure)?)
        }
        Some(UsageCommand::Prune {
            before: Some(before),
            yes,
            ..
        }) => prune(config, db, before, yes).await,
        Some(UsageCommand::Prune {
            before: None, yes, ..
        }) => apply_retention(config, db, yes).await,
    })
    .await
}

fn show(config: &Config, report: &UsageReport) -> Result<(), CliError> {
    if config.json {
        return output::json(report);
    }
    output::line(&format!(
        "{} calls by {} users, about {} skills; {} failed. Median {:.1} ms, p99 {:.1} ms.\n\
         Reported: {} helped, {} failed, {} stale; {} minutes saved.\n",
        report.calls,
        report.users,
        report.skills,
        report.failed_calls,
        report.median_ms,
        report.p99_ms,
        report.helped,
        report.failed,
        report.stale,
        report.minutes_saved,
    ))?;
    show_tools(report)?;
    show_skills(report)?;
    show_users(report)?;
    show_empty_searches(report)
}

fn show_tools(report: &UsageReport) -> Result<(), CliError> {
    let rows = report
        .by_tool
        .iter()
        .map(|row| vec![row.tool.clone(), row.calls.to_string(), row.failed.to_string()]);
    output::table(&["tool", "calls", "failed"], rows.collect(), "No calls.")?;
    let rows = report
        .by_outcome
        .iter()
        .map(|(outcome, calls)| vec![outcome.clone(), calls.to_string()]);
    output::line("")?;
    output::table(&["outcome", "calls"], rows.collect(), "No calls.")
}

fn show_skills(report: &UsageReport) -> Result<(), CliError> {
    let rows = report.by_skill.iter().map(|row| {
        let numbers = [
            row.calls,
            row.users,
            row.installs,
            row.helped,
            row.failed,
            row.stale,
            row.minutes_saved,
        ];
        std::iter::once(row.skill.clone())
            .chain(numbers.iter().map(ToString::to_string))
            .collect()
    });
    output::line("")?;
    output::table(
        &[
            "skill",
            "calls",
            "users",
            "installs",
            "helped",
            "failed",
            "stale",
            "minutes saved",
        ],
        rows.collect(),
        "No skills used.",
    )
}

fn show_users(report: &UsageReport) -> Result<(), CliError> {
    let rows = report
        .by_user
        .iter()
        .map(|row| vec![row.email.clone(), row.calls.to_string(), row.skills.to_string()]);
    output::line("")?;
    output::table(&["user", "calls", "skills"], rows.collect(), "No users.")
}

fn show_empty_searches(report: &UsageReport) -> Result<(), CliError> {
    if report.demand.empty_searches.is_empty() {
        return Ok(());
    }
    let rows = report.demand.empty_searches.iter().map(|row| {
        vec![
            row.query.clone(),
            row.filters.join(", "),
            row.searches.to_string(),
        ]
    });
    output::line("")?;
    output::table(&["search without result", "filters", "times"], rows.collect(), "")
}

fn events(config: &Config, events: Vec<usage::RecentEvent>) -> Result<(), CliError> {
    if config.json {
        return events.iter().rev().try_for_each(output::json);
    }
    let rows = events
        .into_iter()
        .rev()
        .map(|event| {
            let duration = format!("{:.1} ms", event.duration().as_secs_f64() * 1e3);
            vec![
                output::timestamp(event.created_at),
                event.email.unwrap_or_default(),
                event.tool,
                event.outcome,
                event.skill.unwrap_or_else(|| "-".to_owned()),
                duration,
                event.transport,
                event.client_name.unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    output::table(
        &[
            "time",
            "user",
            "tool",
            "outcome",
            "skill",
            "duration",
            "transport",
            "client",
        ],
        rows,
        "No usage event was recorded yet.",
    )
}

async fn prune(config: &Config, db: &AdminDb, before: Date, yes: bool) -> Result<(), CliError> {
    let month = Timestamp::now().to_zoned(TimeZone::UTC).date().first_of_month();
    if before > month {
        return Err(CliError::new(
            CliErrorKind::Usage,
            format!(
                "usage events of the current month cannot be dropped; {month} is the last day that --before takes"
            ),
        ));
    }
    if !yes {
        return Err(CliError::new(
            CliErrorKind::Usage,
            format!(
                "this drops the usage events of all tenants in the months that ended before {before}; add --yes to confirm"
            ),
        ));
    }
    let dropped = administration::usage::prune(db, &database::operator(), before)
        .await
        .map_err(|error| match error {
            PruneError::Busy => CliError::new(CliErrorKind::Unavailable, error.to_string()),
            PruneError::Db(error) => db_failure(error),
        })?;
    if config.json {
        return output::json(&dropped);
    }
    if dropped.is_empty() {
        return output::line("Nothing to drop: no month with usage events ended before that day.");
    }
    output::line(&format!("Dropped {}.", dropped.join(", ")))
}

/// One transaction for each tenant: a failure keeps what was done before.
async fn apply_retention(config: &Config, db: &AdminDb, yes: bool) -> Result<(), CliError> {
    if !yes {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "this deletes the events that are older than the setting usage.retention_months of their tenant; add --yes to confirm",
        ));
    }
    let actor = database::operator();
    let mut deleted = Vec::new();
    for tenant in tenants::list(db).await.map_err(db_failure)? {
        if tenant.is_erased() {
            continue;
        }
        let tx = TenantTx::begin_as_admin(db, tenant.id)
            .await
            .map_err(db_failure)?;
        let count = administration::usage::apply_retention(&tx, &actor)
            .await
            .map_err(db_failure)?;
        tx.commit().await.map_err(db_failure)?;
        if let Some(count) = count {
            deleted.push((tenant.slug, count));
        }
    }
    if config.json {
        let rows: Vec<_> = deleted
            .iter()
            .map(|(tenant, events)| serde_json::json!({"tenant": tenant, "events": events}))
            .collect();
        return output::json(&rows);
    }
    let rows = deleted
        .into_iter()
        .map(|(tenant, events)| vec![tenant, events.to_string()])
        .collect();
    output::table(
        &["tenant", "events deleted"],
        rows,
        "No tenant has the setting usage.retention_months.",
    )
}
