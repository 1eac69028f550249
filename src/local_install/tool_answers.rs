//! `install_skill` and `check_installed` in a process that runs on the caller's machine: the registry answers the call, and this
//! process writes or reads the files and adds to the answer what it did.

use std::path::PathBuf;
use std::sync::Arc;

use assistants::skill_targets::{Level, SkillAssistant};
use serde_json::{Map, Value, json};

use super::blocking::blocking;
use super::check::{self, MAX_PER_CALL};
use super::error::LocalInstallError;
use super::fetch::{MAX_INLINE_CHARS, Offer};
use super::flow::{Destination, InstallReport, install_offer};
use super::install::{InstallOptions, Written};
use super::installed_here::InstalledHere;
use super::known_installs::{self, KnownInstall};
use super::machine::{Machine, ProjectFolders};
use super::notices::Notices;
use super::registry_client::RegistryClient;
use crate::answer_size::{cut, keep_first};

/// Paths that an answer lists of one skill, and the characters of them, of notes, and of skills.
const MAX_PATHS: usize = 50;
const MAX_PATH_CHARS: usize = 40_000;
const MAX_NOTE_CHARS: usize = 20_000;
const MAX_CHECKED_CHARS: usize = 90_000;
/// Characters of the reason of a withdrawal.
const MAX_REASON_CHARS: usize = 2_500;
/// Skills that an answer lists, those that need something first.
const MAX_CHECKED: usize = 200;

/// What a process may do on this machine: write to the user's folders, and to these projects.
#[derive(Debug, Clone)]
pub struct LocalTools {
    home: Option<PathBuf>,
    projects: ProjectFolders,
    notices: Arc<Notices>,
}

/// A call of `install_skill` whose files this process will write.
#[derive(Debug, Clone)]
pub struct PreparedInstall {
    /// For the registry: the caller's, without files in the answer.
    pub arguments: Map<String, Value>,
    assistant: SkillAssistant,
    level: Level,
    machine: Machine,
}

/// A call of `check_installed` for what is on this machine.
#[derive(Debug, Clone)]
pub struct PreparedCheck {
    /// For the registry: the first skills.
    pub arguments: Map<String, Value>,
    found: Vec<InstalledHere>,
    /// Installs that are gone, which the registry is told.
    removed: Vec<KnownInstall>,
    machine: Machine,
}

impl LocalTools {
    /// The tools of this process.
    #[must_use]
    pub fn new(projects: ProjectFolders) -> Self {
        Self {
            home: Machine::of_environment(None).home,
            projects,
            notices: Arc::default(),
        }
    }

    /// A text that the next answer of a tool should carry, once: installed versions that were withdrawn.
    #[must_use]
    pub fn take_notice(&self) -> Option<String> {
        self.notices.take()
    }

    /// Whether it is time to call [`Self::check_withdrawn`]: at the first call, and then once an hour.
    #[must_use]
    pub fn is_check_due(&self) -> bool {
        self.notices.is_due()
    }

    /// Asks the registry whether installed versions were withdrawn.
    pub async fn check_withdrawn(&self, client: &impl RegistryClient) {
        self.notices.check(client, self.machine()).await;
    }

    /// The same with the project folders that the client named, unless the user allowed some.
    #[must_use]
    pub fn or_projects(&self, roots: Vec<PathBuf>) -> Self {
        let mut tools = self.clone();
        if tools.projects.0.is_empty() {
            tools.projects = ProjectFolders(roots);
        }
        tools
    }

    fn machine(&self) -> Machine {
        Machine {
            home: self.home.clone(),
            project: self.projects.0.first().cloned(),
        }
    }

    /// Whether a call is about a project, and no folder of one is allowed.
    #[must_use]
    pub fn needs_project(&self, arguments: &Map<String, Value>) -> bool {
        self.projects.0.is_empty() && level(arguments) == Level::Project
    }

    /// Whether this process writes the files of a call of `install_skill`, and how it asks the registry. `None` if the call must be
    /// answered by the registry alone: for a folder that is not allowed, an assistant without a skills folder, or a later page.
    #[must_use]
    pub fn prepare_install(&self, arguments: &Map<String, Value>) -> Option<PreparedInstall> {
        let assistant = arguments.get("assistant").and_then(Value::as_str)?;
        let assistant: SkillAssistant = assistant.parse().ok()?;
        let level = level(arguments);
        let machine = self.machine();
        let allowed = match level {
            Level::Project => machine.project.is_some(),
            Level::User => machine.home.is_some(),
        };
        let has_folder = assistant.folders(level).next().is_some();
        if !allowed || !has_folder || arguments.contains_key("cursor") || arguments.contains_key("max_chars")
        {
            return None;
        }
        let mut arguments = arguments.clone();
        arguments.insert("max_chars".to_owned(), json!(MAX_INLINE_CHARS));
        Some(PreparedInstall {
            arguments,
            assistant,
            level,
            machine,
        })
    }

    /// Reads what is installed, for a call of `check_installed` without arguments. `None` if the caller lists skills themselves.
    ///
    /// # Errors
    /// If a skills folder cannot be read.
    pub async fn prepare_check(
        &self,
        registry: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Option<PreparedCheck>, LocalInstallError> {
        if !arguments.is_empty() {
            return Ok(None);
        }
        let machine = self.machine();
        let scanned = machine.clone();
        let mut found = blocking(move || check::scan(&scanned)).await?;
        found.retain(|here| here.installed.marker.registry == registry);
        let first: Vec<&InstalledHere> = found.iter().take(MAX_PER_CALL).collect();
        let mut removed = known_installs::removed(&machine, registry).await;
        removed.truncate(MAX_PER_CALL - first.len());
        Ok(Some(PreparedCheck {
            arguments: check::arguments(&first, &removed),
            found,
            removed,
            machine,
        }))
    }
}

fn level(arguments: &Map<String, Value>) -> Level {
    match arguments.get("location").and_then(Value::as_str) {
        Some("user") => Level::User,
        Some(_) | None => Level::Project,
    }
}

impl PreparedInstall {
    /// Downloads, verifies and writes what the registry offered, confirms it, and returns the answer for the caller.
    ///
    /// # Errors
    /// If the files cannot be had or written. Nothing was written then, or the text says what.
    pub async fn complete(
        self,
        client: &impl RegistryClient,
        mut answer: Value,
    ) -> Result<Value, LocalInstallError> {
        let destination = Destination {
            machine: self.machine,
            assistants: vec![self.assistant],
            level: self.level,
            options: InstallOptions::default(),
            place: None,
        };
        let report = install_offer(client, Offer::read(&answer)?, &destination).await?;
        add(&mut answer, &report);
        Ok(answer)
    }
}

/// Replaces what a caller without these files would need by what was written.
fn add(answer: &mut Value, report: &InstallReport) {
    let Some(fields) = answer.as_object_mut() else {
        return;
    };
    for unneeded in ["command", "download", "files", "next_cursor"] {
        fields.remove(unneeded);
    }
    if let Some(first) = report.written.first() {
        fields.insert("folder".to_owned(), json!(first.folder));
    }
    let max_chars = MAX_PATH_CHARS / (2 * report.written.len().max(1));
    let shown = report.written.iter().map(|one| {
        let mut one = one.clone();
        for paths in [&mut one.kept, &mut one.backed_up] {
            paths.truncate(MAX_PATHS);
            keep_first(paths, max_chars);
        }
        json!(one)
    });
    fields.insert("written".to_owned(), shown.collect());
    if !report.notes.is_empty() {
        let mut notes = report.notes.clone();
        keep_first(&mut notes, MAX_NOTE_CHARS);
        fields.insert("notes".to_owned(), json!(notes));
    }
    let next_step = match &report.unconfirmed {
        None => next_step(&report.written),
        Some(error) => format!("The files are written, but the registry did not confirm it: {error}"),
    };
    fields.insert("next_step".to_owned(), json!(next_step));
}

fn next_step(written: &[Written]) -> String {
    let kept = written.iter().any(|one| !one.kept.is_empty());
    if kept {
        return "Installed, but the files in `kept` were edited here and stay as they are. Tell the user; `skillkeep add --force` \
                replaces them and keeps a backup."
            .to_owned();
    }
    "Installed, verified and confirmed. Use the skill, then report with record_usage whether it helped."
        .to_owned()
}

impl PreparedCheck {
    /// Adds to the registry's answer what this machine knows.
    ///
    /// # Errors
    /// If the registry does not answer for further skills, or its answer has another form.
    pub async fn complete(
        self,
        client: &impl RegistryClient,
        answer: Value,
    ) -> Result<Value, LocalInstallError> {
        let found: Vec<&InstalledHere> = self.found.iter().collect();
        let mut parts = found.chunks(MAX_PER_CALL);
        let first = parts.next().unwrap_or_default();
        let mut checked = check::merge(&self.machine, first, self.removed.len(), &answer)?;
        known_installs::forget(&self.machine, self.removed).await;
        for part in parts {
            let answer = client
                .call("check_installed", check::arguments(part, &[]))
                .await?;
            checked.extend(check::merge(&self.machine, part, 0, &answer)?);
        }
        let total = checked.len();
        checked.sort_by_key(|skill| skill.state == "current");
        checked.truncate(MAX_CHECKED);
        for skill in &mut checked {
            skill.reason = skill.reason.take().map(|reason| cut(&reason, MAX_REASON_CHARS));
            for paths in [&mut skill.changed, &mut skill.missing, &mut skill.unexpected] {
                paths.truncate(MAX_PATHS / 10);
            }
        }
        keep_first(&mut checked, MAX_CHECKED_CHARS);
        let needs = checked.iter().any(|skill| skill.state != "current");
        let next_step = match (total, needs) {
            (0, _) => {
                "Nothing is installed here. Find skills with search_skills, install them with install_skill."
            }
            (_, false) => "Nothing to do.",
            (_, true) => {
                "Do not use yanked or quarantined skills: install `update_to`, or ask the user to remove them. Install `update_to` of \
                 outdated ones. Ask the user before you replace drifted files."
            }
        };
        Ok(json!({"skills": checked, "installed": total, "next_step": next_step}))
    }
}
