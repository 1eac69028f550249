//! `skillkeep pin`: keeps the installed version when others are updated.

use skill_installer::{Options, SkillsFolder, set_pinned};

use super::scope::ScopeArgs;
use super::state_files::State;
use super::wanted::SkillArg;
use super::{failed, installer_failed};
use crate::cli::output;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::scan;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PinArgs {
    /// Skills to pin
    #[arg(required = true, value_name = "SKILL")]
    skills: Vec<SkillArg>,
    /// Allow updates again
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    scope: ScopeArgs,
}

pub(in crate::cli) fn run(args: &PinArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let mut state = State::read(&scope)?;
    let found = scan(&scope.machine).map_err(failed)?;
    for arg in &args.skills {
        let is_meant = |skill: &str| skill == arg.name.as_str();
        let copies: Vec<_> = found
            .iter()
            .filter(|here| scope.contains(here) && is_meant(&here.installed.marker.skill))
            .collect();
        if copies.is_empty() {
            let message = format!(
                "{} is not installed here; `skillkeep list` shows what is",
                arg.name
            );
            return Err(CliError::new(CliErrorKind::NotFound, message));
        }
        for here in copies {
            let folder =
                SkillsFolder::open(&here.place.base, &here.place.relative).map_err(installer_failed)?;
            set_pinned(&folder, &here.installed.name, !args.undo, &Options::default())
                .map_err(installer_failed)?;
            let done = if args.undo { "unpinned" } else { "pinned" };
            output::line(&format!("{done} {} {}", arg.name, here.installed.marker.version))?;
        }
        let wanted = state
            .manifest
            .skills()
            .iter()
            .find(|wanted| wanted.name == arg.name)
            .cloned();
        if let Some(mut wanted) = wanted {
            wanted.pinned = !args.undo;
            state.manifest.set_skill(wanted);
        }
    }
    state.write(&scope)
}
