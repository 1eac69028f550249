//! `skillkeep remove`: takes skills off this machine.

use serde_json::{Value, json};

use super::failed;
use super::scope::{Scope, ScopeArgs};
use super::state_files::State;
use super::wanted::SkillArg;
use crate::cli::output;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{InstalledHere, RemovedCopy, remove_copy, remove_links, scan};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RemoveArgs {
    /// Skills to remove
    #[arg(required = true, value_name = "SKILL")]
    skills: Vec<SkillArg>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Remove edited and added files too; a backup is kept
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &RemoveArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let mut state = State::read(&scope)?;
    let mut all = Vec::new();
    for arg in &args.skills {
        let copies = remove_skill(&scope, arg.name.as_str(), args.force)?;
        let was_wanted = state.manifest.remove_skill(&arg.name);
        let was_locked = state.lock.remove(&arg.name);
        state.write(&scope)?;
        if copies.is_empty() && !was_wanted && !was_locked {
            let message = format!(
                "{} is not installed here; `skillkeep list` shows what is",
                arg.name
            );
            return Err(CliError::new(CliErrorKind::NotFound, message));
        }
        for copy in &copies {
            if !args.json {
                print(arg.name.as_str(), copy)?;
            }
        }
        all.extend(copies.iter().map(|copy| as_json(arg.name.as_str(), copy)));
    }
    if args.json {
        output::json(&all)?;
    }
    Ok(())
}

/// Removes the links and copies of a skill in a scope.
pub(super) fn remove_skill(scope: &Scope, skill: &str, force: bool) -> Result<Vec<RemovedCopy>, CliError> {
    let found = scan(&scope.machine).map_err(failed)?;
    let is_meant = |here: &&InstalledHere| scope.contains(here) && here.installed.marker.skill == skill;
    let mut removed = Vec::new();
    for here in found.iter().filter(is_meant) {
        // Links first: they would lead nowhere.
        remove_links(&scope.machine, &here.installed.name).map_err(failed)?;
        removed.push(remove_copy(&scope.machine, here, force).map_err(failed)?);
    }
    Ok(removed)
}

fn print(skill: &str, copy: &RemovedCopy) -> Result<(), CliError> {
    output::line(&format!(
        "removed {skill} {} from {}",
        copy.removed.version, copy.folder
    ))?;
    for path in &copy.removed.kept {
        output::line(&format!(
            "  kept {path}: it was edited or added here (--force removes it)"
        ))?;
    }
    for path in &copy.removed.backed_up {
        output::line(&format!("  moved to backup: {path}"))?;
    }
    Ok(())
}

fn as_json(skill: &str, copy: &RemovedCopy) -> Value {
    json!({
        "skill": skill,
        "version": copy.removed.version,
        "folder": copy.folder,
        "kept": copy.removed.kept,
        "backed_up": copy.removed.backed_up,
    })
}
