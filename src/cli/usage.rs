//! `skillkeep usage`: who uses what, the newest calls, and the pruning of old ones.

use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::database::{self, Database, db_failure};
use super::output;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::registry::report::{self, Period, UsageReport};
use crate::registry::usage;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct UsageArgs {
    #[command(subcommand)]
    command: Option<UsageCommand>,
    /// How many days back from now the report reaches
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3660))]
    days: u64,
    /// How many rows each list has
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=1000))]
    top: i64,
    /// The tenant's short name
    #[arg(long, default_value = "default", value_name = "SLUG")]
    tenant: String,
}

#[derive(Debug, Subcommand)]
enum UsageCommand {
    /// Show the newest calls
    Events {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        lines: i64,
        /// The tenant's short name
        #[arg(long, default_value = "default", value_name = "SLUG")]
        tenant: String,
    },
    /// Drop the records of months that ended before a day, of every tenant
    Prune {
        /// The day, as 2026-01-31
        #[arg(long, value_name = "DATE")]
        before: Date,
        /// Really drop them
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(config: &Config, args: UsageArgs) -> Result<(), CliError> {
    let database = Database::open(config).await?;
    let outcome = async {
        let db = database.admin().await?;
        match args.command {
            None => {
                let tx = database::tenant_tx(&db, &args.tenant).await?;
                let now = Timestamp::now();
                let from = now - Duration::from_secs(args.days * 24 * 60 * 60);
                let period = Period {
                    from,
                    until: now + Duration::from_secs(1),
                };
                show(
                    config,
                    &report::summarise(&tx, period, args.top)
                        .await
                        .map_err(db_failure)?,
                )
            }
            Some(UsageCommand::Events { lines, tenant }) => {
                let tx = database::tenant_tx(&db, &tenant).await?;
                events(config, usage::recent(&tx, lines).await.map_err(db_failure)?)
            }
            Some(UsageCommand::Prune { before, yes }) => prune(config, &db, before, yes).await,
        }
    }
    .await;
    database.close().await;
    outcome
}

fn show(config: &Config, report: &UsageReport) -> Result<(), CliError> {
    if config.json {
        return output::json(report);
    }
    output::line(&format!(
        "{} calls by {} users, about {} skills; {} did not end well. Median {:.1} ms, p99 {:.1} ms.\n\
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
    let tools = report
        .by_tool
        .iter()
        .map(|row| vec![row.tool.clone(), row.outcome.clone(), row.calls.to_string()]);
    output::table(
        &["tool", "outcome", "calls"],
        tools.collect(),
        "No call was made.",
    )?;
    let skills = report.by_skill.iter().map(|row| {
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
        skills.collect(),
        "No skill was used.",
    )?;
    let users = report
        .by_user
        .iter()
        .map(|row| vec![row.email.clone(), row.calls.to_string(), row.skills.to_string()]);
    output::line("")?;
    output::table(&["user", "calls", "skills"], users.collect(), "Nobody called.")?;
    if !report.empty_searches.is_empty() {
        output::line("")?;
        let searches = report
            .empty_searches
            .iter()
            .map(|row| vec![row.query.clone(), row.searches.to_string()]);
        output::table(&["searched and not found", "times"], searches.collect(), "")?;
    }
    Ok(())
}

fn events(config: &Config, events: Vec<usage::RecentEvent>) -> Result<(), CliError> {
    if config.json {
        return events.iter().rev().try_for_each(output::json);
    }
    let rows = events
        .into_iter()
        .rev()
        .map(|event| {
            vec![
                output::moment(event.created_at),
                event.email.unwrap_or_default(),
                event.tool,
                event.outcome,
                event.skill.unwrap_or_else(|| "-".to_owned()),
                format!(
                    "{:.1} ms",
                    std::time::Duration::from_micros(event.duration_us.unsigned_abs()).as_secs_f64() * 1e3
                ),
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
            "took",
            "transport",
            "client",
        ],
        rows,
        "No call was recorded yet.",
    )
}

async fn prune(config: &Config, db: &AdminDb, before: Date, yes: bool) -> Result<(), CliError> {
    let month = Timestamp::now().to_zoned(TimeZone::UTC).date().first_of_month();
    if before > month {
        return Err(CliError::new(
            CliErrorKind::Usage,
            format!(
                "calls are recorded in the current month, so only those before it can be dropped: {month} is the last day that --before takes"
            ),
        ));
    }
    if !yes {
        return Err(CliError::new(
            CliErrorKind::Usage,
            format!(
                "this drops every tenant's usage records of months that ended before {before}; add --yes to do it"
            ),
        ));
    }
    let dropped = usage::prune(db, before, database::operator().name())
        .await
        .map_err(db_failure)?;
    if config.json {
        return output::json(&dropped);
    }
    if dropped.is_empty() {
        return output::line("No month ended before that day.");
    }
    output::line(&format!("Dropped {}.", dropped.join(", ")))
}
