//! `skillkeep add`: installs skills on this machine.

use assistants::skill_targets::SkillAssistant;
use serde_json::{Value, json};
use skill_installer::FolderName;

use super::client::{Client, ClientArgs};
use super::progress::{Progress, ProgressArgs};
use super::scope::{ForArgs, Scope, ScopeArgs};
use super::state_files::State;
use super::wanted::{SkillArg, locked, wanted};
use super::{failed, usage};
use crate::cli::output;
use crate::config::Config;
use crate::error::CliError;
use crate::local_install::{Destination, InstallOptions, InstallReport, RegistryClient as _, install};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AddArgs {
    /// Skills to install: NAME, NAME@VERSION or NAME@RANGE
    #[arg(required = true, value_name = "SKILL")]
    skills: Vec<SkillArg>,
    #[command(flatten)]
    assistants: ForArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Name of the skill's folder
    ///
    /// Default: the name in its SKILL.md where assistants ask for that, else the name in the registry.
    #[arg(long, value_name = "NAME")]
    folder: Option<FolderName>,
    /// Replace edited files; a backup is kept
    ///
    /// Moves what is in the way of the folder to the backup too.
    #[arg(long)]
    force: bool,
    /// Leave skillkeep.toml and skillkeep.lock as they are
    #[arg(long)]
    no_save: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(in crate::cli) async fn run(config: &Config, args: AddArgs) -> Result<(), CliError> {
    if args.folder.is_some() && args.skills.len() > 1 {
        return Err(usage("--folder is for one skill"));
    }
    let scope = args.scope.scope()?;
    let mut state = State::read(&scope)?;
    let assistants = args.assistants.or(state.manifest.assistants())?;
    let client = args.client.connect(config, state.manifest.registry()).await?;
    let outcome = add_all(&args, &scope, &mut state, &assistants, &client).await;
    client.close().await;
    outcome
}

async fn add_all(
    args: &AddArgs,
    scope: &Scope,
    state: &mut State,
    assistants: &[SkillAssistant],
    client: &Client,
) -> Result<(), CliError> {
    let mut installed = Vec::new();
    let progress = Progress::new(args.progress, args.skills.len());
    for arg in &args.skills {
        progress.begin(arg.name.as_str());
        let destination = Destination {
            machine: scope.machine.clone(),
            assistants: assistants.to_vec(),
            level: scope.level,
            options: InstallOptions {
                force: args.force,
                folder_name: args.folder.clone(),
                pinned: None,
                receipt: None,
            },
            place: None,
        };
        let report = install(client, arg.name.as_str(), arg.version(), &destination).await;
        let report = report.map_err(failed)?;
        if !args.no_save {
            save(args, state, arg, &client.id(), &report)?;
            // After each skill, so that an error with a later one loses nothing.
            state.write(scope)?;
        }
        if !args.json {
            progress.beside(|| print(&report))?;
        }
        installed.push(report);
    }
    drop(progress);
    if args.json {
        output::json(&installed.iter().map(as_json).collect::<Vec<Value>>())?;
    }
    Ok(())
}

fn save(
    args: &AddArgs,
    state: &mut State,
    arg: &SkillArg,
    registry: &str,
    report: &InstallReport,
) -> Result<(), CliError> {
    let mut wanted = wanted(arg, report, args.folder.clone())?;
    match state.manifest.registry() {
        None if state.manifest.skills().is_empty() => state.manifest.set_registry(registry),
        Some(known) if known == registry => {}
        Some(_) | None => wanted.registry = Some(registry.to_owned()),
    }
    if !args.assistants.given().is_empty() && state.manifest.assistants().is_empty() {
        let names: Vec<&str> = args.assistants.given().iter().map(|one| one.name()).collect();
        state.manifest.set_assistants(&names);
    }
    state.manifest.set_skill(wanted);
    state.set_locked(locked(registry, report)?);
    Ok(())
}

pub(super) fn print_kept(path: &str) -> Result<(), CliError> {
    output::line(&format!(
        "  kept {path}: it was edited here (--force replaces it)"
    ))
}

/// One line for each folder, then what the user should know.
pub(super) fn print(report: &InstallReport) -> Result<(), CliError> {
    let offer = &report.offer;
    for written in &report.written {
        let done = match written.change {
            "new" => "installed",
            "update" => "updated",
            "repair" => "repaired",
            "link" => "linked",
            _ => "already installed",
        };
        output::line(&format!(
            "{done} {} {} in {}",
            offer.skill, offer.version, written.folder
        ))?;
        for path in &written.kept {
            print_kept(path)?;
        }
        for path in &written.backed_up {
            output::line(&format!("  moved to backup: {path}"))?;
        }
    }
    for note in &report.notes {
        output::note(&format!("note: {}", crate::shown_text::visible(note)));
    }
    if let Some(error) = &report.unconfirmed {
        output::note(&format!(
            "warning: the registry was not told: {}",
            crate::shown_text::visible(error)
        ));
    }
    Ok(())
}

pub(super) fn as_json(report: &InstallReport) -> Value {
    let offer = &report.offer;
    json!({
        "skill": offer.skill,
        "version": offer.version,
        "digest": offer.digest.to_string(),
        "signer": offer.signature.as_ref().map(|signature| &signature.key_id),
        "folders": report.written,
        "notes": report.notes,
    })
}
