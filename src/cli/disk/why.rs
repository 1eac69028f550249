//! `skillkeep why`: why a skill is on this machine, and which copy each assistant uses.

use assistants::skill_targets::SkillAssistant;

use super::failed;
use super::list::{folder, state};
use super::scope::ScopeArgs;
use super::state_files::State;
use super::wanted::SkillArg;
use crate::cli::output;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{InstalledHere, overlaps, scan};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WhyArgs {
    /// The skill
    skill: SkillArg,
    #[command(flatten)]
    scope: ScopeArgs,
}

pub(in crate::cli) fn run(args: &WhyArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let files = State::read(&scope)?;
    let name = &args.skill.name;
    let found = scan(&scope.machine).map_err(failed)?;
    let copies: Vec<&InstalledHere> = found
        .iter()
        .filter(|here| here.installed.marker.skill == name.as_str())
        .collect();
    let wanted = files.manifest.skills().iter().find(|wanted| wanted.name == *name);
    let locked = files.lock.get(name);
    if copies.is_empty() && wanted.is_none() && locked.is_none() {
        let message = format!("{name} is neither installed nor wanted here");
        return Err(CliError::new(CliErrorKind::NotFound, message));
    }
    match wanted {
        Some(wanted) => {
            let pinned = if wanted.pinned { ", pinned" } else { "" };
            output::line(&format!(
                "wanted: {}{pinned} (skillkeep.toml)",
                wanted.version.as_str()
            ))?;
        }
        None => output::line("wanted: not in skillkeep.toml")?,
    }
    match locked {
        Some(locked) => output::line(&format!("locked: {} from {}", locked.version, locked.registry))?,
        None => output::line("locked: not in skillkeep.lock")?,
    }
    for here in &copies {
        let marker = &here.installed.marker;
        output::line(&format!(
            "installed: {} in {} ({}), from {}, {}",
            marker.version,
            folder(&scope.machine, here),
            state(here),
            marker.registry,
            marker.installed_at
        ))?;
        if let Some(previous) = &marker.previous {
            output::line(&format!("  before it: {}", previous.version))?;
        }
        if let Some(sentence) = &here.shadowed {
            output::line(&format!("  {sentence}"))?;
        }
    }
    if let Some(first) = copies.first() {
        for sentence in overlaps(
            &scope.machine,
            first.installed.name.as_str(),
            &SkillAssistant::ALL,
        )
        .map_err(failed)?
        {
            output::line(&sentence)?;
        }
    }
    Ok(())
}
