//! `skillkeep sync`: makes the disk be as `skillkeep.toml` and `skillkeep.lock` say.

use std::collections::BTreeSet;

use assistants::skill_targets::{Level, SkillAssistant};
use serde_json::{Value, json};
use skill_installer::{LockedSkill, NPM_LOCK_FILE, WantedSkill, read_npm_lock};

use super::add::{as_json, print};
use super::client::{Client, ClientArgs};
use super::progress::{Progress, ProgressArgs};
use super::removal::remove_skill;
use super::scope::{ForArgs, Scope, ScopeArgs};
use super::state_files::{self, State};
use super::wanted::locked;
use super::{failed, installer_failed};
use crate::cli::output;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{
    CheckedSkill, Destination, DistributedSkill, InstallOptions, InstalledHere, RegistryClient as _,
    check_with_distributions, install, scan,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SyncArgs {
    /// Fail instead of changing skillkeep.lock; for CI
    #[arg(long)]
    frozen: bool,
    #[command(flatten)]
    assistants: ForArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Replace edited files; a backup is kept
    #[arg(long)]
    force: bool,
    /// Take over the skills of skills-lock.json first
    ///
    /// The npm package skills writes that file. Its skills are added to skillkeep.toml.
    #[arg(long, conflicts_with = "frozen")]
    from_skills_lock: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(in crate::cli) async fn run(config: &Config, args: SyncArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let mut state = State::read(&scope)?;
    if args.from_skills_lock {
        take_over(&scope, &mut state)?;
    }
    if args.frozen {
        check_frozen(&state)?;
    }
    let assistants = args.assistants.or(state.manifest.assistants())?;
    let client = args.client.connect(config, state.manifest.registry()).await?;
    let progress = Progress::new(args.progress, state.manifest.skills().len());
    let mut sync = Sync {
        args: &args,
        progress: &progress,
        scope: &scope,
        state: &mut state,
        assistants,
        client: &client,
        changed: Vec::new(),
        failed: Vec::new(),
    };
    let outcome = sync.run().await;
    let (changed, not_installed) = (
        std::mem::take(&mut sync.changed),
        std::mem::take(&mut sync.failed),
    );
    drop(progress);
    client.close().await;
    let withdrawn = outcome?;
    state.write(&scope)?;
    report(&args, &state, &changed, &withdrawn)?;
    if not_installed.is_empty() {
        return Ok(());
    }
    let message = format!("not installed: {}", not_installed.join(", "));
    Err(CliError::new(CliErrorKind::Refused, message))
}

/// Reads the skills that the npm package `skills` installed. They name no version, so the newest one is wanted.
fn take_over(scope: &Scope, state: &mut State) -> Result<(), CliError> {
    let Some(text) = state_files::read(&scope.state_folder, NPM_LOCK_FILE)? else {
        let message = format!("there is no {NPM_LOCK_FILE} in {}", scope.state_folder.display());
        return Err(CliError::new(CliErrorKind::NotFound, message));
    };
    for skill in read_npm_lock(&text).map_err(installer_failed)? {
        let Ok(name) = skill.name.parse() else {
            output::note(&format!(
                "{} is not taken over: no registry has such a name",
                crate::shown_text::visible(&skill.name)
            ));
            continue;
        };
        let is_known = state.manifest.skills().iter().any(|wanted| wanted.name == name);
        if !is_known {
            state.manifest.set_skill(WantedSkill {
                name,
                version: "*".parse().map_err(|_| super::usage("invalid range"))?,
                registry: None,
                folder: None,
                pinned: false,
            });
        }
    }
    Ok(())
}

fn fits(wanted: &WantedSkill, locked: &LockedSkill) -> bool {
    wanted.version.matches(&locked.version)
}

fn check_frozen(state: &State) -> Result<(), CliError> {
    let mut problems = Vec::new();
    for wanted in state.manifest.skills() {
        match state.lock.get(&wanted.name) {
            None => problems.push(format!("{} is not in skillkeep.lock", wanted.name)),
            Some(locked) if !fits(wanted, locked) => problems.push(format!(
                "{} is locked at {}, but {} is wanted",
                wanted.name,
                locked.version,
                wanted.version.as_str()
            )),
            Some(_) => {}
        }
    }
    for locked in state.lock.skills() {
        if !state
            .manifest
            .skills()
            .iter()
            .any(|wanted| wanted.name == locked.name)
        {
            problems.push(format!("{} is in skillkeep.lock, but not wanted", locked.name));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let message = format!(
        "skillkeep.lock does not fit skillkeep.toml: {}. Run `skillkeep sync` and commit both files",
        problems.join("; ")
    );
    Err(CliError::new(CliErrorKind::Findings, message))
}

struct Sync<'a> {
    args: &'a SyncArgs,
    progress: &'a Progress,
    scope: &'a Scope,
    state: &'a mut State,
    assistants: Vec<SkillAssistant>,
    client: &'a Client,
    changed: Vec<Value>,
    /// Skills that could not be installed, and were named.
    failed: Vec<String>,
}

impl Sync<'_> {
    /// Returns the installed skills that were withdrawn.
    async fn run(&mut self) -> Result<Vec<CheckedSkill>, CliError> {
        let mut found = scan(&self.scope.machine).map_err(failed)?;
        found.retain(|here| self.scope.contains(here));
        self.remove_unwanted(&found)?;
        for wanted in self.state.manifest.skills().to_vec() {
            self.progress.begin(wanted.name.as_str());
            match self.install(&wanted, &found).await {
                Ok(()) => {}
                // The next one may work; without a registry none does.
                Err(error) if error.kind() != CliErrorKind::Unavailable => {
                    self.progress
                        .beside(|| output::note(&format!("{}: {error}", wanted.name)));
                    self.failed.push(wanted.name.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        if !self.changed.is_empty() {
            found = scan(&self.scope.machine).map_err(failed)?;
            found.retain(|here| self.scope.contains(here));
        }
        let checked = check_with_distributions(self.client, &self.scope.machine, &found).await;
        let (checked, distributed) = checked.map_err(failed)?;
        if self.scope.level == Level::User {
            self.install_distributed(&distributed).await?;
        }
        Ok(checked
            .into_iter()
            .filter(|skill| matches!(skill.state.as_str(), "yanked" | "quarantined"))
            .collect())
    }

    /// Removes what the lock file has and the manifest has no more. Other installed skills stay.
    fn remove_unwanted(&mut self, found: &[InstalledHere]) -> Result<(), CliError> {
        let wanted: BTreeSet<String> = self
            .state
            .manifest
            .skills()
            .iter()
            .map(|one| one.name.to_string())
            .collect();
        let unwanted: Vec<LockedSkill> = self
            .state
            .lock
            .skills()
            .iter()
            .filter(|locked| !wanted.contains(locked.name.as_str()))
            .cloned()
            .collect();
        for locked in unwanted {
            if found
                .iter()
                .any(|here| here.installed.marker.skill == locked.name.as_str())
            {
                for copy in remove_skill(self.scope, locked.name.as_str(), self.args.force)? {
                    if !self.args.json {
                        let line = format!(
                            "removed {} {} from {}",
                            locked.name, copy.removed.version, copy.folder
                        );
                        self.progress.beside(|| output::line(&line))?;
                    }
                    self.changed
                        .push(json!({"skill": locked.name.as_str(), "removed": copy.folder}));
                }
            }
            self.state.lock.remove(&locked.name);
        }
        Ok(())
    }

    /// Installs what the organisation wants its users to have. It is in neither file: it changes without the user.
    async fn install_distributed(&mut self, distributed: &[DistributedSkill]) -> Result<(), CliError> {
        self.progress.add(distributed.len());
        for skill in distributed {
            self.progress.begin(&skill.skill);
            let destination = Destination {
                machine: self.scope.machine.clone(),
                assistants: self.assistants.clone(),
                level: self.scope.level,
                options: InstallOptions {
                    force: self.args.force,
                    ..InstallOptions::default()
                },
                place: None,
            };
            match install(self.client, &skill.skill, Some(&skill.version), &destination).await {
                Ok(report) => {
                    if !self.args.json {
                        self.progress.beside(|| print(&report))?;
                    }
                    self.changed.push(as_json(&report));
                }
                Err(error) => {
                    self.progress
                        .beside(|| output::note(&format!("{}: {error}", skill.skill)));
                    self.failed.push(skill.skill.clone());
                }
            }
        }
        Ok(())
    }

    async fn install(&mut self, wanted: &WantedSkill, found: &[InstalledHere]) -> Result<(), CliError> {
        let locked_version = self
            .state
            .lock
            .get(&wanted.name)
            .filter(|locked| fits(wanted, locked))
            .cloned();
        if let Some(locked) = &locked_version {
            let is_there = |here: &&InstalledHere| {
                here.installed.marker.skill == wanted.name.as_str()
                    && here.installed.marker.digest == locked.digest
                    && here.installed.drift.missing.is_empty()
            };
            let has_links = self.args.assistants.given().is_empty();
            if has_links && found.iter().any(|here| is_there(&here)) && !self.args.force {
                return Ok(());
            }
        }
        let version = match &locked_version {
            Some(locked) => locked.version.as_str().to_owned(),
            None => wanted.version.as_str().to_owned(),
        };
        let destination = Destination {
            machine: self.scope.machine.clone(),
            assistants: self.assistants.clone(),
            level: self.scope.level,
            options: InstallOptions {
                force: self.args.force,
                folder_name: wanted.folder.clone(),
                pinned: wanted.pinned.then_some(true),
                receipt: None,
            },
            place: None,
        };
        let report = install(self.client, wanted.name.as_str(), Some(&version), &destination).await;
        let report = report.map_err(failed)?;
        if let Some(locked) = &locked_version
            && locked.digest != report.offer.digest
        {
            let message = format!(
                "{} {version} has another content in the registry than skillkeep.lock says; nothing more was done. Ask who changed \
                 it before you install it",
                wanted.name
            );
            return Err(CliError::new(CliErrorKind::Refused, message));
        }
        self.state.set_locked(locked(&self.client.id(), &report)?);
        if !self.args.json {
            self.progress.beside(|| print(&report))?;
        }
        self.changed.push(as_json(&report));
        Ok(())
    }
}

fn report(
    args: &SyncArgs,
    state: &State,
    changed: &[Value],
    withdrawn: &[CheckedSkill],
) -> Result<(), CliError> {
    if args.json {
        output::json(&json!({"changed": changed, "withdrawn": withdrawn}))?;
    } else if changed.is_empty() {
        output::line(&format!(
            "{} skills are as skillkeep.lock says",
            state.lock.skills().len()
        ))?;
    }
    if withdrawn.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = withdrawn
        .iter()
        .map(|skill| {
            let reason = skill.reason.as_deref().unwrap_or("no reason given");
            format!("{} {} was withdrawn: {reason}", skill.skill, skill.version)
        })
        .collect();
    let message = format!(
        "{}. Run `skillkeep update`, or `skillkeep remove NAME`",
        named.join("; ")
    );
    Err(CliError::new(CliErrorKind::Findings, message))
}
