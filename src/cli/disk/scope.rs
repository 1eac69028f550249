//! Where a command installs: in a project, or for the user in all projects.

use std::path::PathBuf;

use assistants::skill_targets::{Level, SkillAssistant};
use skill_installer::MANIFEST_FILE;

use super::{failed, usage};
use crate::error::CliError;
use crate::local_install::{InstalledHere, Machine};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ScopeArgs {
    /// Use the folders below your home folder, for all projects
    #[arg(long)]
    user: bool,
    /// Use the folders of the project (default)
    #[arg(long, conflicts_with = "user")]
    project: bool,
    /// The project's folder
    ///
    /// Default: the nearest folder upwards with skillkeep.toml, else with .git, else the current folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "user")]
    project_dir: Option<PathBuf>,
}

/// The folders of a command.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) level: Level,
    pub(super) machine: Machine,
    /// Where `skillkeep.toml` and `skillkeep.lock` are.
    pub(super) state_folder: PathBuf,
}

impl ScopeArgs {
    pub(super) fn scope(&self) -> Result<Scope, CliError> {
        if self.user {
            let machine = Machine::of_environment(None);
            return Ok(Scope {
                level: Level::User,
                state_folder: machine.config_folder().map_err(failed)?,
                machine,
            });
        }
        let project = match &self.project_dir {
            Some(folder) => folder.canonicalize().map_err(|error| {
                usage(format!(
                    "the project folder {} cannot be used: {error}",
                    folder.display()
                ))
            })?,
            None => nearest_project()?,
        };
        Ok(Scope {
            level: Level::Project,
            machine: Machine::of_environment(Some(project.clone())),
            state_folder: project,
        })
    }
}

impl Scope {
    /// Whether an installed skill belongs to the level of this scope.
    pub(super) fn contains(&self, here: &InstalledHere) -> bool {
        let is_of_project = Some(&here.place.base) == self.machine.project.as_ref();
        match self.level {
            Level::Project => is_of_project,
            Level::User => !is_of_project,
        }
    }

    /// The argument `location` of `install_skill`.
    pub(super) const fn location(&self) -> &'static str {
        self.level.name()
    }
}

fn nearest_project() -> Result<PathBuf, CliError> {
    let current = std::env::current_dir()
        .and_then(|folder| folder.canonicalize())
        .map_err(|error| usage(format!("the current folder cannot be used: {error}")))?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    // The home folder is no project, also if it is a repository.
    let folders = || {
        current
            .ancestors()
            .filter(|folder| Some(*folder) != home.as_deref())
    };
    let with_file = |name: &str| folders().find(|folder| folder.join(name).exists());
    let found = with_file(MANIFEST_FILE).or_else(|| with_file(".git"));
    Ok(found.unwrap_or(&current).to_owned())
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ForArgs {
    /// Install for this assistant; can be repeated
    ///
    /// Default: the assistants of skillkeep.toml, else all that read .agents/skills. Example: --for claude-code
    #[arg(long = "for", value_name = "ASSISTANT", value_parser = parse_assistant)]
    assistants: Vec<SkillAssistant>,
}

fn parse_assistant(text: &str) -> Result<SkillAssistant, String> {
    text.parse::<SkillAssistant>().map_err(|error| error.to_string())
}

impl ForArgs {
    /// The assistants of the command, or those of the manifest.
    pub(super) fn or(&self, of_manifest: &[String]) -> Result<Vec<SkillAssistant>, CliError> {
        if !self.assistants.is_empty() {
            return Ok(self.assistants.clone());
        }
        if of_manifest.is_empty() {
            return Ok(vec![SkillAssistant::Agents]);
        }
        let parsed = of_manifest
            .iter()
            .map(|name| parse_assistant(name).map_err(usage));
        parsed.collect()
    }

    pub(super) fn given(&self) -> &[SkillAssistant] {
        &self.assistants
    }
}
