//! `skillkeep connect`: writes the entry that an assistant needs into that assistant's own configuration.

mod endpoint;

use std::path::PathBuf;
use std::str::FromStr;

use assistants::{config_edit, entry};
use clap::ValueEnum as _;
use serde::Serialize;

use super::output;
use crate::config::{Config, Secret};
use crate::error::{CliError, CliErrorKind};
use assistants::ConfigFile;
use assistants::{Assistant, ConfigDirs, ConnectVia};
use assistants::{Endpoint, Entry};

#[derive(Debug, clap::Args)]
pub(super) struct ConnectArgs {
    /// The assistant; left out, all are listed with where they stand
    #[arg(value_enum)]
    name: Option<Assistant>,
    /// The address of a registry far away, such as https://skills.example.com; left out, the one on this machine
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How the assistant reaches the registry; left out, the best that it can
    #[arg(long, value_enum)]
    transport: Option<ConnectVia>,
    /// The name of the entry
    #[arg(long, default_value = "skillkeep", value_name = "NAME")]
    entry: EntryName,
    /// Write the configuration of the project in this folder instead of your own
    #[arg(long)]
    project: bool,
    /// Write this file instead of the assistant's usual one
    #[arg(long, value_name = "FILE", conflicts_with = "project")]
    config_file: Option<PathBuf>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    print: bool,
    /// Take the entry out again
    #[arg(long, conflicts_with_all = ["print", "url", "transport"])]
    remove: bool,
    /// Trust the certificates in this file (PEM) beside the system's (bridge only)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Let the key travel unencrypted to another machine
    #[arg(long)]
    allow_http: bool,
    /// The API key, for an assistant whose file cannot name a variable of the environment
    #[arg(env = "SKILLKEEP_API_KEY", long, hide_env_values = true, value_name = "KEY")]
    api_key: Option<Secret>,
}

/// The name of an entry: what every client accepts, and no file's language needs to quote.
#[derive(Debug, Clone)]
struct EntryName(String);

impl FromStr for EntryName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.len() <= 64
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("a name begins with a letter and has letters, digits, - and _, 64 at most".to_owned())
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum ConnectOutcome {
    Connected,
    Updated,
    AlreadyConnected,
    Removed,
    NotConnected,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    client: &'static str,
    entry: &'a str,
    file: String,
    outcome: ConnectOutcome,
    backup: Option<String>,
}

pub(super) fn run(config: &Config, args: &ConnectArgs) -> Result<(), CliError> {
    let Some(client) = args.name else {
        return list(config, args);
    };
    let opened = ConfigFile::open(&path(client, args)?).map_err(|error| refused(client, &error))?;
    let unread = |error: &config_edit::EditError| {
        refused(
            client,
            &format!("{} is left as it is: {error}", opened.path().display()),
        )
    };
    let document = config_edit::read(client.format(), opened.text()).map_err(|error| unread(&error))?;
    let there = entry::servers(&document, client.section()).and_then(|servers| servers.get(&args.entry.0));
    if args.remove {
        let Some(_) = there else {
            return report(config, client, args, &opened, ConnectOutcome::NotConnected, None);
        };
        let after = config_edit::take(client.format(), opened.text(), client.section(), &args.entry.0)
            .map_err(|error| unread(&error))?;
        let backup = opened
            .replace(&after, false)
            .map_err(|error| refused(client, &error))?;
        return report(config, client, args, &opened, ConnectOutcome::Removed, backup);
    }
    let reach = endpoint::choose(config, client, args, there)?;
    let secrets = match &reach {
        Endpoint::Program { secrets, .. } => secrets.as_slice(),
        Endpoint::Http(_) | Endpoint::Sse(_) => &[],
    };
    let wanted = Entry::new(client, &reach);
    if args.print {
        let shown = wanted.keeping(there).shown(secrets);
        let text = config_edit::alone(client.format(), client.section(), &args.entry.0, &shown.node);
        return output::line(text.map_err(|error| unread(&error))?.trim_end());
    }
    if there.is_some_and(|there| wanted.is(there)) {
        return report(
            config,
            client,
            args,
            &opened,
            ConnectOutcome::AlreadyConnected,
            None,
        );
    }
    let outcome = if there.is_some() {
        ConnectOutcome::Updated
    } else {
        ConnectOutcome::Connected
    };
    let holds_secret = secrets.iter().any(|secret| secret.text.is_some());
    let after = config_edit::put(
        client.format(),
        opened.text(),
        client.section(),
        &args.entry.0,
        &wanted.keeping(there),
    )
    .map_err(|error| unread(&error))?;
    let backup = opened
        .replace(&after, holds_secret)
        .map_err(|error| refused(client, &error))?;
    report(config, client, args, &opened, outcome, backup)
}

fn refused(client: Assistant, reason: &impl ToString) -> CliError {
    CliError::new(
        CliErrorKind::Refused,
        format!("{}: {}", client.title(), reason.to_string()),
    )
}

fn usage(words: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Usage, words)
}

fn places() -> Result<ConfigDirs, CliError> {
    ConfigDirs::from(|name| std::env::var_os(name))
        .ok_or_else(|| usage("HOME is not set; name the file with --config-file"))
}

fn path(client: Assistant, args: &ConnectArgs) -> Result<PathBuf, CliError> {
    if let Some(file) = &args.config_file {
        return Ok(file.clone());
    }
    if !args.project {
        return Ok(client.user_file(&places()?));
    }
    let folder = std::env::current_dir()
        .map_err(|error| usage(format!("the current folder cannot be read: {error}")))?;
    client
        .project_file(&folder)
        .ok_or_else(|| usage(format!("{} has no configuration of projects", client.title())))
}

fn report(
    config: &Config,
    client: Assistant,
    args: &ConnectArgs,
    file: &ConfigFile,
    outcome: ConnectOutcome,
    backup: Option<PathBuf>,
) -> Result<(), CliError> {
    let name = &args.entry.0;
    let path = file.path().display().to_string();
    if config.json {
        return output::json(&Report {
            client: client.title(),
            entry: name,
            file: path,
            outcome,
            backup: backup.map(|path| path.display().to_string()),
        });
    }
    let (words, connected) = match outcome {
        ConnectOutcome::Connected => ("is connected: the entry is in", true),
        ConnectOutcome::Updated => ("is connected: the entry was changed in", true),
        ConnectOutcome::AlreadyConnected => ("is connected already: the entry is in", true),
        ConnectOutcome::Removed => ("is no longer connected: the entry was taken out of", false),
        ConnectOutcome::NotConnected => ("is not connected: there is no such entry in", false),
    };
    output::line(&format!("{} {words} {path} as \"{name}\".", client.title()))?;
    if let Some(backup) = backup {
        output::line(&format!("The file as it was: {}", backup.display()))?;
    }
    if connected {
        output::line(client.next_step())?;
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct ConnectionState {
    name: String,
    client: &'static str,
    file: String,
    state: &'static str,
}

fn list(config: &Config, args: &ConnectArgs) -> Result<(), CliError> {
    if args.remove || args.print || args.url.is_some() || args.config_file.is_some() {
        return Err(usage("which assistant? Run skillkeep connect for the list"));
    }
    let mut standings = Vec::new();
    for client in Assistant::value_variants() {
        // Not every client has a configuration of projects; those that have none are no row of that list.
        let Ok(path) = path(*client, args) else {
            continue;
        };
        standings.push(ConnectionState {
            name: client
                .to_possible_value()
                .map_or_else(String::new, |value| value.get_name().to_owned()),
            client: client.title(),
            state: state(*client, &path, &args.entry.0),
            file: path.display().to_string(),
        });
    }
    if config.json {
        return standings.iter().try_for_each(output::json);
    }
    let rows = standings
        .into_iter()
        .map(|row| vec![row.name, row.client.to_owned(), row.state.to_owned(), row.file])
        .collect();
    output::table(&["name", "assistant", "state", "file"], rows, "HOME is not set.")
}

fn state(client: Assistant, path: &std::path::Path, name: &str) -> &'static str {
    let Ok(file) = ConfigFile::open(path) else {
        return "unreadable";
    };
    if !file.exists() {
        return "no file";
    }
    match config_edit::read(client.format(), file.text()) {
        Err(_) => "unreadable",
        Ok(document) => match entry::servers(&document, client.section()) {
            Some(servers) if servers.contains_key(name) => "connected",
            Some(_) | None => "not connected",
        },
    }
}
