//! `skillkeep update`: brings installed skills to the newest version that is wanted.

use assistants::skill_targets::SkillAssistant;
use serde_json::{Value, json};
use skill_installer::{
    Difference, FileAction, FolderName, Options, Plan, SkillsFolder, VerifiedRelease, plan_install,
};

use super::add::{as_json, print, print_kept};
use super::client::{Client, ClientArgs};
use super::progress::{Progress, ProgressArgs};
use super::scope::{Scope, ScopeArgs};
use super::state_files::State;
use super::wanted::{SkillArg, locked};
use super::{failed, installer_failed};
use crate::cli::output;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{
    CheckedSkill, Destination, InstallOptions, InstalledHere, RegistryClient as _, check, fetch, finish, scan,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UpdateArgs {
    /// Update only these skills: NAME, NAME@VERSION or NAME@RANGE
    #[arg(value_name = "SKILL")]
    skills: Vec<SkillArg>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace edited files; a backup is kept
    ///
    /// Also those of skills that have no newer version.
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(in crate::cli) async fn run(config: &Config, args: UpdateArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let mut state = State::read(&scope)?;
    let mut found = scan(&scope.machine).map_err(failed)?;
    found.retain(|here| scope.contains(here));
    for arg in &args.skills {
        if !found
            .iter()
            .any(|here| here.installed.marker.skill == arg.name.as_str())
        {
            let message = format!(
                "{} is not installed here; `skillkeep add {0}` installs it",
                arg.name
            );
            return Err(CliError::new(CliErrorKind::NotFound, message));
        }
    }
    let client = args.client.connect(config, state.manifest.registry()).await?;
    let outcome = update_all(&args, &scope, &mut state, &found, &client).await;
    client.close().await;
    outcome
}

async fn update_all(
    args: &UpdateArgs,
    scope: &Scope,
    state: &mut State,
    found: &[InstalledHere],
    client: &Client,
) -> Result<(), CliError> {
    let checked = check(client, &scope.machine, found).await.map_err(failed)?;
    let own = found
        .iter()
        .filter(|here| here.installed.marker.registry == client.id());
    let mut changed = Vec::new();
    let mut skipped = 0;
    let progress = Progress::new(args.progress, checked.len());
    for (here, said) in own.zip(&checked) {
        progress.begin(&said.skill);
        let arg = args.skills.iter().find(|arg| arg.name.as_str() == said.skill);
        if !args.skills.is_empty() && arg.is_none() {
            continue;
        }
        match target(args, state, arg, said) {
            Target::None => {}
            Target::Pinned => skipped += 1,
            Target::Version(version) => {
                let update = Update {
                    here,
                    version: &version,
                    restores: args.force && !(said.changed.is_empty() && said.missing.is_empty()),
                    progress: &progress,
                };
                if let Some(value) = update.run(args, scope, state, client).await? {
                    changed.push(value);
                }
            }
        }
    }
    drop(progress);
    if args.json {
        return output::json(&changed);
    }
    if changed.is_empty() {
        output::line("Everything is up to date.")?;
    }
    if skipped > 0 {
        output::note(&format!(
            "{skipped} pinned skills were left as they are; `skillkeep pin --undo NAME` allows updates"
        ));
    }
    Ok(())
}

enum Target {
    None,
    Pinned,
    /// A label or range for the registry.
    Version(String),
}

fn target(args: &UpdateArgs, state: &State, arg: Option<&SkillArg>, said: &CheckedSkill) -> Target {
    if let Some(version) = arg.and_then(SkillArg::version) {
        return Target::Version(version.to_owned());
    }
    let wanted = state
        .manifest
        .skills()
        .iter()
        .find(|wanted| wanted.name.as_str() == said.skill);
    if said.update_to.is_none() {
        // One that was withdrawn could not be restored.
        return if args.force && said.state == DRIFTED {
            Target::Version(said.version.clone())
        } else {
            Target::None
        };
    }
    if said.pinned || wanted.is_some_and(|wanted| wanted.pinned) {
        return Target::Pinned;
    }
    Target::Version(wanted.map_or_else(
        || "latest".to_owned(),
        |wanted| wanted.version.as_str().to_owned(),
    ))
}

/// The state of a skill of which files were edited, see [`CheckedSkill::state`].
const DRIFTED: &str = "drifted";

/// The update of one copy.
struct Update<'a> {
    here: &'a InstalledHere,
    version: &'a str,
    /// Whether edited files are replaced even if the version stays.
    restores: bool,
    progress: &'a Progress,
}

impl Update<'_> {
    /// Returns what changed; `None` if the wanted version is installed already.
    async fn run(
        &self,
        args: &UpdateArgs,
        scope: &Scope,
        state: &mut State,
        client: &Client,
    ) -> Result<Option<Value>, CliError> {
        let marker = &self.here.installed.marker;
        let assistant = SkillAssistant::Agents.name();
        let fetched = fetch(
            client,
            &marker.skill,
            Some(self.version),
            assistant,
            scope.location(),
        )
        .await;
        let (offer, release) = match fetched {
            Ok(fetched) => fetched,
            Err(error) if error.code() == "not_found" => {
                self.progress
                    .beside(|| output::note(&format!("{}: {error}", marker.skill)));
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        if offer.digest == marker.digest && !self.restores {
            return Ok(None);
        }
        if args.dry_run {
            return self.planned(args, &release).map(Some);
        }
        let destination = Destination {
            machine: scope.machine.clone(),
            assistants: vec![SkillAssistant::Agents],
            level: scope.level,
            options: InstallOptions {
                force: args.force,
                folder_name: Some(self.here.installed.name.clone()),
                pinned: None,
                receipt: None,
            },
            place: Some(self.here.place.clone()),
        };
        let report = finish(client, offer, release, &destination)
            .await
            .map_err(failed)?;
        let entry = locked(&client.id(), &report)?;
        if state.lock.get(&entry.name).is_some() {
            state.set_locked(entry);
            state.write(scope)?;
        }
        if !args.json {
            self.progress.beside(|| print(&report))?;
        }
        Ok(Some(as_json(&report)))
    }

    /// Shows what the update would do.
    fn planned(&self, args: &UpdateArgs, release: &VerifiedRelease) -> Result<Value, CliError> {
        let place = &self.here.place;
        let folder = SkillsFolder::open(&place.base, &place.relative).map_err(installer_failed)?;
        let options = Options {
            force: args.force,
            ..Options::default()
        };
        let name: &FolderName = &self.here.installed.name;
        let plan = plan_install(&folder, name, release, &options).map_err(installer_failed)?;
        if !args.json {
            self.progress.beside(|| print_plan(&folder, &plan, release))?;
        }
        Ok(json!(plan))
    }
}

fn print_plan(folder: &SkillsFolder, plan: &Plan, release: &VerifiedRelease) -> Result<(), CliError> {
    let installed = plan
        .installed
        .as_ref()
        .map_or("-", |installed| installed.version.as_str());
    output::line(&format!(
        "{} {installed} -> {}: {}",
        plan.skill, plan.version, plan.reason
    ))?;
    let kept = |action| action == FileAction::KeepEdited;
    for file in plan.files.iter().filter(|file| kept(file.action)) {
        print_kept(&file.path)?;
    }
    let differences = plan.difference(folder, release).map_err(installer_failed)?;
    for file in differences.into_iter().filter(|file| !kept(file.action)) {
        match file.difference {
            Difference::Text(text) => output::line(&format!("{}\n{}", file.path, text.trim_end()))?,
            Difference::Sizes { before, after } => {
                let size =
                    |size: Option<u64>| size.map_or_else(|| "-".to_owned(), |size| format!("{size} bytes"));
                output::line(&format!("{}: {} -> {}", file.path, size(before), size(after)))?;
            }
        }
    }
    Ok(())
}
