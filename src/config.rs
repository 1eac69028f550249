//! The settings of a run: read once, from the command line and then the environment, and nowhere else.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A text that must not be shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one who needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
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

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings that every subcommand shares.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The PostgreSQL database, as postgres://role:password@host/database; left out, skillkeep runs its own
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    pub database_url: Option<Secret>,
    /// Where skillkeep keeps the database that it runs itself
    #[arg(long, env = "SKILLKEEP_DATA_DIR", global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// The folder that holds PostgreSQL's initdb and postgres, instead of searching for it
    #[arg(long, env = "SKILLKEEP_PG_BIN", global = true, value_name = "FOLDER")]
    pub pg_bin: Option<PathBuf>,
    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as skillkeep=debug
    #[arg(
        long,
        env = "SKILLKEEP_LOG",
        default_value = "warn",
        global = true,
        value_name = "FILTER"
    )]
    pub log: String,
    /// How log lines look
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// Answer with JSON for programs instead of tables for people
    #[arg(long, global = true)]
    pub json: bool,
}
