//! `skillkeep doctor`: checks the walls between tenants on the live database, then tries to break them.

use std::collections::BTreeMap;
use std::path::Path;

use super::database::{Database, db_failure};
use super::output;
use crate::config::Config;
use crate::db::isolation_checks::{self, Check};
use crate::db::{AdminDb, ServerDb, prove_isolation};
use crate::error::{CliError, CliErrorKind};
use crate::isolation_probe::{self, ProbeError, Tally};

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Look at the walls and leave out the attacks, which take some seconds
    #[arg(long)]
    quick: bool,
}

pub(super) async fn run(config: &Config, args: DoctorArgs) -> Result<(), CliError> {
    let database = Database::open(config).await?;
    let outcome = examine(&database, args.quick).await;
    let socket_folder = database.socket_folder();
    database.close().await;
    show(config, &outcome?, socket_folder.as_deref())
}

/// What was found, and how often each tool and method was attacked.
struct Examined {
    checks: Vec<Check>,
    attacks: BTreeMap<String, Tally>,
}

async fn examine(database: &Database, quick: bool) -> Result<Examined, CliError> {
    let admin = database.admin().await?;
    let mut checks = if database.is_embedded() {
        let server: ServerDb = database.server_unchecked()?;
        isolation_checks::check_server(&server)
            .await
            .map_err(db_failure)?
    } else {
        // DATABASE_URL is the operator's here; the server proves its own role at its start.
        isolation_checks::check_schema(&admin).await.map_err(db_failure)?
    };
    checks.push(
        isolation_checks::check_outgoing(&admin)
            .await
            .map_err(db_failure)?,
    );
    if quick {
        return Ok(Examined {
            checks,
            attacks: BTreeMap::new(),
        });
    }
    // By the owner's way in, where there is one: he can lend the attacker privileges that he has not.
    let owner = AdminDb::new(database.owner()).map_err(db_failure)?;
    let proven = prove_isolation(&owner).await.map_err(ProbeError::Db);
    let name = "one tenant cannot reach another's rows";
    let proven = finding_or_failure(proven, name, &checks)?;
    checks.push(proven);
    let mut attacks = BTreeMap::new();
    let rehearsed = isolation_probe::dry_run(database.admin_url()).await.map(|proof| {
        let name = format!(
            "{} attacks by one tenant on another through {} tools and methods",
            proof.attacks,
            proof.targets.len()
        );
        attacks = proof.targets;
        Check::new(name, proof.findings)
    });
    let name = "attacks by one tenant on another through tools and methods";
    let rehearsed = finding_or_failure(rehearsed, name, &checks)?;
    checks.push(rehearsed);
    Ok(Examined { checks, attacks })
}

/// A proof that cannot be brought to its end is a finding beside those of the walls, which must not be lost for it. Where
/// no wall is amiss, the database's refusal is what there is to tell.
fn finding_or_failure(
    proven: Result<Check, ProbeError>,
    name: &str,
    walls: &[Check],
) -> Result<Check, CliError> {
    match proven {
        Ok(check) => Ok(check),
        Err(ProbeError::Db(error)) if error.is_unavailable() || walls.iter().all(Check::passed) => {
            Err(db_failure(error))
        }
        Err(error) => Ok(Check::new(name, vec![error.to_string()])),
    }
}

fn show(config: &Config, examined: &Examined, socket_folder: Option<&Path>) -> Result<(), CliError> {
    let checks = &examined.checks;
    let findings: usize = checks.iter().map(|check| check.findings.len()).sum();
    if config.json {
        output::json(&serde_json::json!({
            "passed": findings == 0,
            "checks": checks,
            "attacks": examined.attacks,
            "socket_folder": socket_folder,
        }))?;
    } else {
        if let Some(folder) = socket_folder {
            output::line(&format!(
                "skillkeep runs PostgreSQL itself; its socket is in {}",
                folder.display()
            ))?;
        }
        for check in checks {
            output::line(&format!(
                "{}  {}",
                if check.passed() { "ok    " } else { "WRONG " },
                check.name
            ))?;
            for finding in &check.findings {
                output::line(&format!("        {finding}"))?;
            }
        }
    }
    if findings == 0 {
        return Ok(());
    }
    Err(CliError::new(
        CliErrorKind::Findings,
        format!("{findings} findings; do not serve tenants from this database"),
    ))
}
