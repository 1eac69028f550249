//! `skillkeep outdated`: which installed skills have a newer version, or were withdrawn.

use agent_skills::SkillVersion;

use super::client::ClientArgs;
use super::failed;
use super::scope::ScopeArgs;
use super::state_files::State;
use crate::cli::output;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{CheckedSkill, check, scan};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct OutdatedArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(in crate::cli) async fn run(config: &Config, args: OutdatedArgs) -> Result<(), CliError> {
    let scope = args.scope.scope()?;
    let state = State::read(&scope)?;
    let mut found = scan(&scope.machine).map_err(failed)?;
    found.retain(|here| scope.contains(here));
    let client = args.client.connect(config, state.manifest.registry()).await?;
    let checked = check(&client, &scope.machine, &found).await;
    client.close().await;
    let mut checked = checked.map_err(failed)?;
    checked.retain(|skill| skill.update_to.is_some() || is_withdrawn(skill));
    if args.json {
        output::json(&checked)?;
    } else {
        let rows = checked.iter().map(|skill| row(&state, skill));
        output::table(
            &["skill", "installed", "wanted", "latest", "state", "folder"],
            rows.collect(),
            "Everything is up to date.",
        )?;
    }
    if checked.is_empty() {
        Ok(())
    } else {
        let message = format!(
            "{} skills are outdated or withdrawn; run `skillkeep update`",
            checked.len()
        );
        Err(CliError::new(CliErrorKind::Findings, message))
    }
}

fn is_withdrawn(skill: &CheckedSkill) -> bool {
    matches!(skill.state.as_str(), "yanked" | "quarantined")
}

/// `wanted` is the latest version where the range of the manifest includes it, else the installed one.
fn row(state: &State, skill: &CheckedSkill) -> Vec<String> {
    let latest = skill.update_to.as_deref().unwrap_or("-");
    let range = state
        .manifest
        .skills()
        .iter()
        .find(|wanted| wanted.name.as_str() == skill.skill);
    let parsed = latest.parse::<SkillVersion>().ok();
    let is_wanted = match (range, parsed) {
        (Some(wanted), Some(latest)) => wanted.version.matches(&latest) && !wanted.pinned,
        (None, Some(_)) => !skill.pinned,
        (_, None) => false,
    };
    let wanted = if is_wanted { latest } else { &skill.version };
    let reason = skill
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    vec![
        skill.skill.clone(),
        skill.version.clone(),
        wanted.to_owned(),
        latest.to_owned(),
        format!("{}{reason}", skill.state),
        skill.folder.clone(),
    ]
}
