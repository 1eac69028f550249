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
    /// PostgreSQL database, such as postgres://role:password@host/database [default: the embedded PostgreSQL]
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    pub database_url: Option<Secret>,
    /// Data folder of the embedded PostgreSQL
    #[arg(long, env = "SKILLKEEP_DATA_DIR", global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Folder with PostgreSQL's initdb and postgres, instead of searching for it
    #[arg(long, env = "SKILLKEEP_PG_BIN", global = true, value_name = "FOLDER")]
    pub pg_bin: Option<PathBuf>,
    /// Log level on stderr: error, warn, info, debug, trace, or a filter such as skillkeep=debug
    #[arg(
        long,
        env = "SKILLKEEP_LOG",
        default_value = "warn",
        global = true,
        value_name = "FILTER"
    )]
    pub log: String,
    /// Format of the log
    #[arg(long, value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}
