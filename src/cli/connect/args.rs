//! The arguments of `skillkeep connect`.

use std::path::PathBuf;
use std::str::FromStr;

use assistants::Assistant;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use crate::cli::api_key::KeyArgs;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ConnectArgs {
    /// Assistant to configure; without it, list all assistants
    #[arg(value_parser = assistant_parser())]
    pub(super) assistant: Option<Assistant>,
    /// Connect to a remote registry
    ///
    /// Without it, connect to the registry on this machine. Example: https://skills.example.com
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Choose how the assistant reaches the registry
    ///
    /// Default: stdio without --url; with it, http, or bridge if the assistant has no HTTP.
    #[arg(long, value_enum)]
    pub(super) transport: Option<ConnectVia>,
    /// Name the entry in the configuration file
    #[arg(long, default_value = "skillkeep", value_name = "NAME")]
    pub(super) entry: EntryName,
    /// Configure the project in the current folder
    ///
    /// Without it, configure the assistant for yourself.
    #[arg(long)]
    pub(super) project: bool,
    /// Edit this file instead of the assistant's usual one
    #[arg(long, value_name = "FILE", conflicts_with = "project")]
    pub(super) config_file: Option<PathBuf>,
    /// Print the entry without writing it
    #[arg(long)]
    pub(super) print: bool,
    /// Remove the entry
    #[arg(long, conflicts_with_all = ["print", "url", "transport"])]
    pub(super) remove: bool,
    /// Trust also the certificates in this file (PEM)
    ///
    /// For --transport bridge only. The system's root certificates stay trusted. Example: --ca-file company-ca.pem
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Allow an http: address of another machine
    ///
    /// The API key then travels unencrypted. Default: only https:, and http: for this machine.
    #[arg(long)]
    pub(super) allow_http: bool,
    /// The key is only written to the file of an assistant that cannot read the environment: Claude Desktop.
    #[command(flatten)]
    pub(super) key: KeyArgs,
}

/// How the assistant reaches the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ConnectVia {
    /// Start `skillkeep stdio`, which opens the database itself
    Stdio,
    /// Start `skillkeep bridge`, which forwards to a remote registry
    Bridge,
    /// Use Streamable HTTP
    Http,
    /// Use HTTP+SSE, the transport of protocol version 2024-11-05
    Sse,
}

/// The name of an entry, which no configuration format has to quote.
#[derive(Debug, Clone)]
pub(super) struct EntryName(String);

impl EntryName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.len() <= 64
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected a letter, then letters, digits, `-` and `_`; at most 64 characters")
        }
    }
}

/// Lets clap show the names in help, completions and errors.
fn assistant_parser() -> impl clap::builder::TypedValueParser<Value = Assistant> {
    PossibleValuesParser::new(Assistant::ALL.map(Assistant::name)).try_map(|name| name.parse::<Assistant>())
}
