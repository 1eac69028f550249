//! `skillkeep doctor`: checks tenant isolation on the live database, then tries to break it.

use std::collections::BTreeMap;
use std::path::Path;

use super::database::{Database, db_failure};
use super::{output, search};
use crate::config::Config;
use crate::db::isolation_checks::{self, Check};
use crate::db::{AdminDb, ServerDb, probe_isolation};
use crate::error::{CliError, CliErrorKind};
use crate::isolation_probe::{self, ProbeError, Tally};

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Check the schema only, without search index and attacks
    ///
    /// The attacks take some seconds and leave nothing in the database.
    #[arg(long)]
    quick: bool,
}

pub(super) async fn run(config: &Config, args: DoctorArgs) -> Result<(), CliError> {
    let database = Database::open(config).await?;
    let socket_folder = database.socket_folder();
    let report = examine(&database, &args, config.json).await;
    database.close().await;
    conclude(config, &report?, socket_folder.as_deref())
}

struct Report {
    /// Of the isolation of the tenants.
    checks: Vec<Check>,
    /// Of the search index, which affects what is found and not who sees it. `None` with `--quick`.
    index: Option<Check>,
    /// The number of attacks by tool and method.
    attacks: BTreeMap<String, Tally>,
}

/// Prints each check when it is done, unless the report is to be JSON.
async fn examine(database: &Database, args: &DoctorArgs, json: bool) -> Result<Report, CliError> {
    if !json && let Some(folder) = database.socket_folder() {
        let folder = folder.display();
        output::line(&format!("The embedded PostgreSQL has its socket in {folder}"))?;
    }
    let mut checks = check_schema(database).await?;
    let (mut attacks, mut index) = (BTreeMap::new(), None);
    show_checks(&checks, json)?;
    if !args.quick {
        let checked = search::check_all(&database.admin().await?).await;
        let name = "the search index agrees with the skills";
        let checked = problem_or_failure(checked.map_err(ProbeError::Db), name, &checks)?;
        show_checks(std::slice::from_ref(&checked), json)?;
        index = Some(checked);
        if !json {
            output::line("Attacking the tables, then the tools; this takes some seconds.")?;
        }
        let before = checks.len();
        attack_tables(database, &mut checks).await?;
        show_checks(checks.get(before..).unwrap_or_default(), json)?;
        let before = checks.len();
        attacks = attack_tools(database, &mut checks).await?;
        show_checks(checks.get(before..).unwrap_or_default(), json)?;
    }
    Ok(Report {
        checks,
        index,
        attacks,
    })
}

async fn check_schema(database: &Database) -> Result<Vec<Check>, CliError> {
    let admin = database.admin().await?;
    let mut checks = if database.is_embedded() {
        let server: ServerDb = database.server_unchecked()?;
        isolation_checks::check_server(&server)
            .await
            .map_err(db_failure)?
    } else {
        // DATABASE_URL names the admin's role here; the server checks its own role when it starts.
        isolation_checks::check_schema(&admin).await.map_err(db_failure)?
    };
    let egress = isolation_checks::check_data_egress(&admin).await;
    checks.push(egress.map_err(db_failure)?);
    let large_objects = isolation_checks::check_large_objects(&admin).await;
    checks.push(large_objects.map_err(db_failure)?);
    Ok(checks)
}

/// Attacks with SQL. As the owner of the schema, who can grant the attacker privileges that it lacks.
async fn attack_tables(database: &Database, checks: &mut Vec<Check>) -> Result<(), CliError> {
    let owner = AdminDb::new(database.owner()).map_err(db_failure)?;
    let result = probe_isolation(&owner).await.map_err(ProbeError::Db);
    let name = "one tenant cannot reach another's rows";
    let check = problem_or_failure(result, name, checks)?;
    checks.push(check);
    Ok(())
}

/// Attacks with calls of tools and methods. Returns the number of attacks by tool and method.
async fn attack_tools(
    database: &Database,
    checks: &mut Vec<Check>,
) -> Result<BTreeMap<String, Tally>, CliError> {
    let mut attacks = BTreeMap::new();
    let probe = isolation_probe::dry_run(database.admin_url()).await;
    let result = probe.map(|probe| {
        let name = format!(
            "{} attacks by one tenant on another through {} tools and methods",
            probe.attacks,
            probe.targets.len()
        );
        attacks = probe.targets;
        Check::new(name, probe.findings)
    });
    let name = "attacks by one tenant on another through tools and methods";
    let check = problem_or_failure(result, name, checks)?;
    checks.push(check);
    Ok(attacks)
}

/// Reports attacks that could not be completed as a problem, so that the problems of the other checks are still printed.
/// Without other problems, the database error itself is returned.
fn problem_or_failure(
    result: Result<Check, ProbeError>,
    name: &str,
    checks: &[Check],
) -> Result<Check, CliError> {
    match result {
        Ok(check) => Ok(check),
        Err(ProbeError::Db(error)) if error.is_unavailable() || checks.iter().all(Check::passed) => {
            Err(db_failure(error))
        }
        Err(error) => Ok(Check::new(name, vec![error.to_string()])),
    }
}

fn show_checks(checks: &[Check], json: bool) -> Result<(), CliError> {
    if json {
        return Ok(());
    }
    for check in checks {
        let verdict = if check.passed() { "ok    " } else { "WRONG " };
        output::line(&format!("{verdict}  {}", check.name))?;
        for finding in &check.findings {
            output::line(&format!("        {finding}"))?;
        }
    }
    Ok(())
}

/// Prints the JSON or the verdict.
fn conclude(config: &Config, report: &Report, socket_folder: Option<&Path>) -> Result<(), CliError> {
    let checks: Vec<&Check> = report.checks.iter().chain(&report.index).collect();
    let count = |checks: &mut dyn Iterator<Item = &Check>| -> usize {
        checks.map(|check| check.findings.len()).sum()
    };
    let problems = count(&mut checks.iter().copied());
    let of_isolation = count(&mut report.checks.iter());
    if config.json {
        output::json(&serde_json::json!({
            "passed": problems == 0,
            "checks": checks,
            "attacks": report.attacks,
            "socket_folder": socket_folder,
        }))?;
    }
    if problems == 0 {
        if !config.json {
            output::line(&format!("No problem found in {} checks.", checks.len()))?;
        }
        return Ok(());
    }
    let advice = if of_isolation > 0 {
        "do not serve tenants from this database until they are solved"
    } else {
        "searches may miss skills until the index is built again"
    };
    let message = format!("{problems} problems found; {advice}");
    Err(CliError::new(CliErrorKind::Findings, message))
}
