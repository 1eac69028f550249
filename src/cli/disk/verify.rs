//! `skillkeep verify`: compares the files on disk with what was installed. Needs no network.

use serde_json::Value;

use super::failed;
use super::list::{as_json, folder};
use super::scope::{Scope, ScopeArgs};
use crate::cli::output;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{InstalledHere, Signed, Signers, scan};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Verify only these skills
    #[arg(value_name = "SKILL")]
    skills: Vec<String>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Proves that each version is what its registry signed, with the keys that the user accepted.
fn verify_signatures(scope: &Scope, found: &[InstalledHere]) -> Result<(), CliError> {
    let folder = scope.machine.config_folder().map_err(failed)?;
    let signers = Signers::read(&folder).map_err(|error| failed(error.into()))?;
    for here in found {
        let marker = &here.installed.marker;
        let signed = Signed {
            skill: &marker.skill,
            version: &marker.version,
            digest: marker.digest,
            signature: marker.signature.as_ref(),
        };
        if let Err(error) = signers.verify(&marker.registry, &signed) {
            return Err(CliError::new(CliErrorKind::Findings, error.to_string()));
        }
    }
    Ok(())
}

pub(in crate::cli) fn run(args: &VerifyArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let mut found = scan(&scope.machine).map_err(failed)?;
    found.retain(|here| scope.contains(here));
    for name in &args.skills {
        if !found.iter().any(|here| here.installed.marker.skill == *name) {
            let message = format!("{name} is not installed here; `skillkeep list` shows what is");
            return Err(CliError::new(CliErrorKind::NotFound, message));
        }
    }
    found.retain(|here| args.skills.is_empty() || args.skills.contains(&here.installed.marker.skill));
    verify_signatures(&scope, &found)?;
    let edited: Vec<&InstalledHere> = found
        .iter()
        .filter(|here| !here.installed.drift.is_clean())
        .collect();
    if args.json {
        output::json(
            &found
                .iter()
                .map(|here| as_json(&scope.machine, here))
                .collect::<Vec<Value>>(),
        )?;
    } else {
        for here in &edited {
            let (marker, drift) = (&here.installed.marker, &here.installed.drift);
            output::line(&format!(
                "{} {} in {}",
                marker.skill,
                marker.version,
                folder(&scope.machine, here)
            ))?;
            for (what, paths) in [
                ("edited", &drift.modified),
                ("missing", &drift.missing),
                ("added", &drift.extra),
            ] {
                for path in paths {
                    output::line(&format!("  {what} {path}"))?;
                }
            }
        }
        output::line(&format!(
            "{} of {} skills are as installed",
            found.len() - edited.len(),
            found.len()
        ))?;
    }
    if edited.is_empty() {
        return Ok(());
    }
    let message = "files differ from what was installed; `skillkeep add NAME --force` restores a skill and keeps a backup";
    Err(CliError::new(CliErrorKind::Findings, message))
}
