//! `skillkeep list`: what is installed on this machine.

use serde_json::{Value, json};

use super::failed;
use super::scope::ScopeArgs;
use crate::cli::output;
use crate::error::CliError;
use crate::local_install::{InstalledHere, Machine, scan};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// List the user's skills and the project's
    #[arg(long, conflicts_with = "user")]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &ListArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let mut found = scan(&scope.machine).map_err(failed)?;
    found.retain(|here| args.all || scope.contains(here));
    if args.json {
        let listed: Vec<Value> = found.iter().map(|here| as_json(&scope.machine, here)).collect();
        return output::json(&listed);
    }
    let rows = found.iter().map(|here| {
        let marker = &here.installed.marker;
        vec![
            marker.skill.clone(),
            marker.version.clone(),
            state(here).to_owned(),
            folder(&scope.machine, here),
            marker.registry.clone(),
        ]
    });
    output::table(
        &["skill", "version", "state", "folder", "registry"],
        rows.collect(),
        "Nothing is installed here. Install a skill: skillkeep add NAME",
    )
}

/// The skill's folder, relative to the project or with `~/`.
pub(super) fn folder(machine: &Machine, here: &InstalledHere) -> String {
    machine.shown(&here.place.path().join(here.installed.name.as_str()))
}

/// What this machine knows without asking the registry.
pub(super) fn state(here: &InstalledHere) -> &'static str {
    match (here.installed.drift.is_clean(), here.shadowed.is_some()) {
        (_, true) => "shadowed",
        (false, false) => "edited",
        (true, false) if here.installed.marker.pinned => "pinned",
        (true, false) => "ok",
    }
}

pub(super) fn as_json(machine: &Machine, here: &InstalledHere) -> Value {
    let marker = &here.installed.marker;
    json!({
        "skill": marker.skill,
        "version": marker.version,
        "digest": marker.digest.to_string(),
        "registry": marker.registry,
        "folder": folder(machine, here),
        "state": state(here),
        "pinned": marker.pinned,
        "installed_at": marker.installed_at,
        "modified": here.installed.drift.modified,
        "missing": here.installed.drift.missing,
        "extra": here.installed.drift.extra,
        "shadowed": here.shadowed,
    })
}
