//! `skillkeep rollback`: goes back to the version that was installed before.

use super::add::{as_json, print};
use super::client::ClientArgs;
use super::failed;
use super::scope::ScopeArgs;
use super::state_files::State;
use super::wanted::{SkillArg, locked};
use crate::cli::output;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{Destination, InstallOptions, RegistryClient as _, install, scan};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RollbackArgs {
    /// The skill
    skill: SkillArg,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Replace edited files; a backup is kept
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// The earlier version is installed and pinned, so that the next update does not undo it.
pub(in crate::cli) async fn run(config: &Config, args: RollbackArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let mut state = State::read(&scope)?;
    let mut found = scan(&scope.machine).map_err(failed)?;
    found.retain(|here| scope.contains(here) && here.installed.marker.skill == args.skill.name.as_str());
    if found.is_empty() {
        let message = format!(
            "{} is not installed here; `skillkeep list` shows what is",
            args.skill.name
        );
        return Err(CliError::new(CliErrorKind::NotFound, message));
    }
    found.retain(|here| here.installed.marker.previous.is_some());
    if found.is_empty() {
        let message = format!("no version of {} was installed before this one", args.skill.name);
        return Err(CliError::new(CliErrorKind::NotFound, message));
    }
    let client = args.client.connect(config, state.manifest.registry()).await?;
    let mut reports = Vec::new();
    let mut outcome = Ok(());
    for here in &found {
        let Some(previous) = &here.installed.marker.previous else {
            continue;
        };
        let destination = Destination {
            machine: scope.machine.clone(),
            assistants: Vec::new(),
            level: scope.level,
            options: InstallOptions {
                force: args.force,
                folder_name: Some(here.installed.name.clone()),
                pinned: Some(true),
                receipt: None,
            },
            place: Some(here.place.clone()),
        };
        let skill = &here.installed.marker.skill;
        match install(&client, skill, Some(&previous.version), &destination).await {
            Ok(report) => reports.push(report),
            Err(error) => {
                outcome = Err(failed(error));
                break;
            }
        }
    }
    let registry = client.id();
    client.close().await;
    outcome?;
    for report in &reports {
        let known = state
            .manifest
            .skills()
            .iter()
            .find(|wanted| wanted.name == args.skill.name)
            .cloned();
        if let Some(mut wanted) = known {
            wanted.pinned = true;
            state.manifest.set_skill(wanted);
        }
        if state.lock.get(&args.skill.name).is_some() {
            state.set_locked(locked(&registry, report)?);
        }
        if !args.json {
            print(report)?;
        }
    }
    state.write(&scope)?;
    if args.json {
        output::json(&reports.iter().map(as_json).collect::<Vec<_>>())?;
    } else {
        output::note("The version is pinned; `skillkeep pin --undo NAME` allows updates again.");
    }
    Ok(())
}
