//! `skillkeep connect`: writes the entry of skillkeep into the configuration file of an assistant.

mod args;
mod endpoint;

use std::path::{Path, PathBuf};

use assistants::{Assistant, ConfigDirs, ConfigFile, Endpoint, Entry, NextStep, Server, config_edit, entry};
use serde::Serialize;
use serde_json::Value;

pub(super) use self::args::ConnectArgs;

use super::output;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};

/// The name of this program in the names of backups, and in the entries of Goose.
const PROGRAM: &str = "skillkeep";

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum ConnectOutcome {
    Connected,
    Updated,
    AlreadyConnected,
    Removed,
    NotConnected,
}

pub(super) fn run(config: &Config, args: &ConnectArgs) -> Result<(), CliError> {
    match args.assistant {
        Some(assistant) => Edit::open(config, args, assistant)?.run(),
        None => list(config, args),
    }
}

/// One edit of the configuration file of one assistant.
struct Edit<'a> {
    config: &'a Config,
    args: &'a ConnectArgs,
    assistant: Assistant,
    file: ConfigFile,
}

impl<'a> Edit<'a> {
    fn open(config: &'a Config, args: &'a ConnectArgs, assistant: Assistant) -> Result<Self, CliError> {
        let file = ConfigFile::open(&config_path(assistant, args)?, PROGRAM)
            .map_err(|error| refused(assistant, &error.to_string()))?;
        Ok(Self {
            config,
            args,
            assistant,
            file,
        })
    }

    fn run(&self) -> Result<(), CliError> {
        let assistant = self.assistant;
        let document = self.with_path(config_edit::parse(assistant.format(), self.file.text()))?;
        let existing = entry::servers(&document, assistant.section())
            .and_then(|servers| servers.get(self.args.entry.as_str()));
        if self.args.remove {
            return self.remove(existing);
        }
        let endpoint = endpoint::choose(self.config, assistant, self.args, existing)?;
        self.connect(endpoint, existing)
    }

    /// Removes the entry, and its secrets from all backups.
    fn remove(&self, existing: Option<&Value>) -> Result<(), CliError> {
        if existing.is_none() {
            return self.report(ConnectOutcome::NotConnected, None);
        }
        let text = self.with_path(config_edit::remove_entry(
            self.assistant.format(),
            self.file.text(),
            self.assistant.section(),
            self.args.entry.as_str(),
            &endpoint::PROMPTS,
        ))?;
        let hide = |text: &str| endpoint::hide_secrets(text, existing);
        let backup = self.replace(&text, false, hide)?;
        self.file
            .rewrite_backups(hide)
            .map_err(|error| refused(self.assistant, &error.to_string()))?;
        self.report(ConnectOutcome::Removed, backup)
    }

    fn connect(&self, endpoint: Endpoint, existing: Option<&Value>) -> Result<(), CliError> {
        let (format, section, name) = (
            self.assistant.format(),
            self.assistant.section(),
            self.args.entry.as_str(),
        );
        let server = Server {
            name: PROGRAM,
            description: "Find, install and rate this company's skills",
            endpoint,
        };
        let secrets = server.endpoint.secrets();
        let wanted = Entry::new(self.assistant, &server);
        if self.args.print {
            let shown = wanted.with_settings_of(existing).redacted(secrets);
            let text = config_edit::render_standalone(format, section, name, &shown.value);
            return output::line(self.with_path(text)?.trim_end());
        }
        let outcome = match existing {
            Some(existing) if wanted.matches(existing) => {
                return self.report(ConnectOutcome::AlreadyConnected, None);
            }
            Some(_) => ConnectOutcome::Updated,
            None => ConnectOutcome::Connected,
        };
        let wanted = wanted.with_settings_of(existing);
        let text = self.with_path(config_edit::upsert_entry(
            format,
            self.file.text(),
            section,
            name,
            &wanted,
        ))?;
        let contains_secret = secrets.iter().any(|secret| secret.value.is_some());
        let backup = self.replace(&text, contains_secret, str::to_owned)?;
        self.report(outcome, backup)
    }

    fn replace(
        &self,
        text: &str,
        contains_secret: bool,
        kept: impl Fn(&str) -> String,
    ) -> Result<Option<PathBuf>, CliError> {
        self.file
            .replace(text, contains_secret, kept)
            .map_err(|error| refused(self.assistant, &error.to_string()))
    }

    /// Adds the path of the file to the error.
    fn with_path<T>(&self, result: Result<T, config_edit::EditError>) -> Result<T, CliError> {
        result.map_err(|error| {
            let path = self.file.path().display();
            refused(self.assistant, &format!("{path} was not changed: {error}"))
        })
    }

    fn report(&self, outcome: ConnectOutcome, backup: Option<PathBuf>) -> Result<(), CliError> {
        let (title, name) = (self.assistant.title(), self.args.entry.as_str());
        let path = self.file.path().display().to_string();
        if self.config.json {
            return output::json(&serde_json::json!({
                "client": title,
                "entry": name,
                "file": path,
                "outcome": outcome,
                "backup": backup.map(|path| path.display().to_string()),
            }));
        }
        let message = match outcome {
            ConnectOutcome::Connected => format!("{title} is connected: added entry `{name}` to {path}."),
            ConnectOutcome::Updated => format!("{title} is connected: updated entry `{name}` in {path}."),
            ConnectOutcome::AlreadyConnected => {
                format!("{title} is already connected: entry `{name}` in {path} is up to date.")
            }
            ConnectOutcome::Removed => {
                format!("{title} is disconnected: removed entry `{name}` from {path}.")
            }
            ConnectOutcome::NotConnected => {
                format!("{title} is not connected: no entry `{name}` in {path}.")
            }
        };
        output::line(&message)?;
        if let Some(backup) = backup {
            output::line(&format!("Backup of the previous file: {}", backup.display()))?;
        }
        match outcome {
            ConnectOutcome::Connected | ConnectOutcome::Updated | ConnectOutcome::AlreadyConnected => {
                output::line(next_step(self.assistant))
            }
            ConnectOutcome::Removed | ConnectOutcome::NotConnected => Ok(()),
        }
    }
}

fn next_step(assistant: Assistant) -> &'static str {
    match assistant.next_step() {
        NextStep::SetEnvironment => "Start it with SKILLKEEP_API_KEY set in its environment.",
        NextStep::AnswerPrompt => {
            "VS Code asks for the API key when it starts the server for the first time."
        }
        NextStep::Restart => "Quit the assistant and start it again.",
    }
}

fn refused(assistant: Assistant, reason: &str) -> CliError {
    CliError::new(CliErrorKind::Refused, format!("{}: {reason}", assistant.title()))
}

fn usage(message: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Usage, message)
}

fn config_path(assistant: Assistant, args: &ConnectArgs) -> Result<PathBuf, CliError> {
    if let Some(file) = &args.config_file {
        return Ok(file.clone());
    }
    if !args.project {
        let dirs = ConfigDirs::from_variables(|name| std::env::var_os(name))
            .ok_or_else(|| usage("HOME is not set; set it, or name the file with --config-file"))?;
        return Ok(assistant.user_file(&dirs));
    }
    let folder = std::env::current_dir()
        .map_err(|error| usage(format!("the current folder cannot be read: {error}")))?;
    assistant.project_file(&folder).ok_or_else(|| {
        usage(format!(
            "{} has no configuration files of projects; leave out --project",
            assistant.title()
        ))
    })
}

/// A row of the list of assistants.
#[derive(Debug, Serialize)]
struct ConnectionState {
    name: &'static str,
    client: &'static str,
    file: String,
    state: &'static str,
}

fn list(config: &Config, args: &ConnectArgs) -> Result<(), CliError> {
    if args.remove || args.print || args.url.is_some() || args.config_file.is_some() {
        return Err(usage(
            "the assistant is missing; `skillkeep connect` lists the assistants",
        ));
    }
    let mut rows = Vec::new();
    for assistant in Assistant::ALL {
        // With --project, an assistant without configuration files of projects is left out.
        let Ok(path) = config_path(assistant, args) else {
            continue;
        };
        rows.push(ConnectionState {
            name: assistant.name(),
            client: assistant.title(),
            state: connection_state(assistant, &path, args.entry.as_str()),
            file: path.display().to_string(),
        });
    }
    if config.json {
        return rows.iter().try_for_each(output::json);
    }
    let rows = rows
        .into_iter()
        .map(|row| {
            vec![
                row.name.to_owned(),
                row.client.to_owned(),
                row.state.to_owned(),
                row.file,
            ]
        })
        .collect();
    output::table(&["name", "assistant", "state", "file"], rows, "HOME is not set.")
}

fn connection_state(assistant: Assistant, path: &Path, entry: &str) -> &'static str {
    let Ok(file) = ConfigFile::open(path, PROGRAM) else {
        return "unreadable";
    };
    if !file.exists() {
        return "no file";
    }
    match config_edit::parse(assistant.format(), file.text()) {
        Err(_) => "unreadable",
        Ok(document) => match entry::servers(&document, assistant.section()) {
            Some(servers) if servers.contains_key(entry) => "connected",
            Some(_) | None => "not connected",
        },
    }
}
