//! The settings that all subcommands share, read once: from the command line, else from the environment.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A text that must not be logged or printed. Its `Debug` output is `hidden`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// The log filter without `--log`.
pub const DEFAULT_LOG: &str = "warn";

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Use this PostgreSQL database
    ///
    /// Without it, skillkeep runs an embedded PostgreSQL. Example: postgres://skillkeep_app:PASSWORD@db.example.com/skillkeep
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    pub database_url: Option<Secret>,
    /// Keep the embedded database in this folder
    ///
    /// Default: ~/.local/share/skillkeep; on macOS, ~/Library/Application Support/skillkeep.
    #[arg(long, env = "SKILLKEEP_DATA_DIR", global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Run PostgreSQL's programs in this folder
    ///
    /// The folder contains initdb and postgres. Default: search the PATH and the usual folders. Example:
    /// /usr/lib/postgresql/17/bin
    #[arg(long, env = "SKILLKEEP_PG_BIN", global = true, value_name = "FOLDER")]
    pub pg_bin: Option<PathBuf>,
    /// Sign published versions with the private keys in this folder
    ///
    /// One file for each tenant, TENANT.key, which other accounts cannot read. A registry with one tenant can have its key in
    /// the environment variable SKILLKEEP_SIGNING_KEY instead (PEM).
    #[arg(long, env = "SKILLKEEP_SIGNING_KEYS", global = true, value_name = "FOLDER")]
    pub signing_keys: Option<PathBuf>,
    /// Log messages of this level and above to stderr
    ///
    /// error, warn, info, debug or trace; or a filter, for example skillkeep=debug
    #[arg(
        long,
        env = "SKILLKEEP_LOG",
        default_value = DEFAULT_LOG,
        global = true,
        value_name = "FILTER"
    )]
    pub log: String,
    /// Choose the log format
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// Print times in UTC, not in the local time zone
    #[arg(long, global = true)]
    pub utc: bool,
}
