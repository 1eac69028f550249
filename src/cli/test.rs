//! `skillkeep test`: runs files of scripted tool calls and reports what differs.

mod output_format;
mod throw_away;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::api_key;
use super::registry_args::{RegistryArgs, TransportName};
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::scripted::{RunReport, Runner, TestFile, TestUser, to_junit};
use output_format::Format;

/// The longest test file, in bytes.
const MAX_FILE: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// Test files in YAML, described in docs/scripted-tests.md
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Use this transport
    ///
    /// `all` runs each file over each transport. Default: stdio; with --url, http.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<TransportChoice>,
    /// Print a table, TAP or JSON
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TransportChoice {
    /// stdin and stdout of `skillkeep stdio`; with --url, of `skillkeep bridge`
    Stdio,
    /// Streamable HTTP
    Http,
    /// HTTP+SSE of MCP 2024-11-05
    Sse,
    /// All of them, one after another
    All,
}

impl TransportChoice {
    fn names(self) -> Vec<TransportName> {
        match self {
            Self::Stdio => vec![TransportName::Stdio],
            Self::Http => vec![TransportName::Http],
            Self::Sse => vec![TransportName::Sse],
            Self::All => TransportName::ALL.to_vec(),
        }
    }
}

pub(super) async fn run(config: &Config, args: TestArgs) -> Result<(), CliError> {
    // All files first: a mistake in the last one is told before the first one runs.
    let files: Vec<TestFile> = args
        .files
        .iter()
        .map(|path| read(path))
        .collect::<Result<_, _>>()?;
    let runs = match &args.registry.url {
        Some(url) => {
            let transports = args.transport.unwrap_or(TransportChoice::Http).names();
            run_remote(&args.registry, url, &files, &transports).await?
        }
        None => {
            let transports = args.transport.unwrap_or(TransportChoice::Stdio).names();
            throw_away::run(config, &files, &transports).await?
        }
    };
    let format = if config.json { Format::Json } else { args.format };
    output_format::print(format, &runs)?;
    if let Some(path) = &args.junit {
        write_junit(path, &runs)?;
    }
    let failed: usize = runs.iter().map(RunReport::failed).sum();
    if failed == 0 {
        return Ok(());
    }
    let total: usize = runs.iter().map(|run| run.steps.len()).sum();
    let message = format!("{failed} of {total} steps failed");
    Err(CliError::new(CliErrorKind::Findings, message))
}

fn read(path: &Path) -> Result<TestFile, CliError> {
    let usage = |message: String| CliError::new(CliErrorKind::Usage, message);
    let shown = path.display();
    let size = std::fs::metadata(path)
        .map_err(|error| usage(format!("cannot read {shown}: {error}")))?
        .len();
    if size > MAX_FILE {
        return Err(usage(format!("{shown} is longer than {} MiB", MAX_FILE >> 20)));
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| usage(format!("cannot read {shown}: {error}")))?;
    TestFile::parse(&shown.to_string(), &text).map_err(|error| usage(error.to_string()))
}

async fn run_remote(
    registry: &RegistryArgs,
    url: &str,
    files: &[TestFile],
    transports: &[TransportName],
) -> Result<Vec<RunReport>, CliError> {
    let mut runs = Vec::new();
    for file in files {
        let users = keys_from_environment(file)?;
        for transport in transports {
            // Wrong options are told before the first call.
            for user in users.values() {
                registry.endpoint(url, *transport, user.key())?;
            }
            let endpoint = |key: &_| {
                registry
                    .endpoint(url, *transport, key)
                    .map_err(|error| error.to_string())
            };
            let runner = Runner::new(file, &users, endpoint, None);
            runs.push(runner.run(transport.as_str()).await);
        }
    }
    Ok(runs)
}

/// Reads each user's key from `SKILLKEEP_API_KEY_<USER>`, with the name in capitals and `_` for `-`.
fn keys_from_environment(file: &TestFile) -> Result<BTreeMap<String, TestUser>, CliError> {
    let mut users = BTreeMap::new();
    for name in file.users() {
        let variable = format!("{}_{}", api_key::VARIABLE, name.to_uppercase().replace('-', "_"));
        let text = std::env::var(&variable).map_err(|_| {
            CliError::new(
                CliErrorKind::Usage,
                format!("{variable} is not set; with --url it holds the API key of the user {name}"),
            )
        })?;
        let key = text.parse().map_err(|error| {
            CliError::new(CliErrorKind::Usage, format!("{variable} is not valid: {error}"))
        })?;
        users.insert(name.to_owned(), TestUser::existing(key));
    }
    Ok(users)
}

fn write_junit(path: &Path, runs: &[RunReport]) -> Result<(), CliError> {
    let failed = |error: String| {
        let message = format!("cannot write the JUnit report to {}: {error}", path.display());
        CliError::new(CliErrorKind::Internal, message)
    };
    let xml = to_junit(runs).map_err(failed)?;
    std::fs::write(path, xml).map_err(|error| failed(error.to_string()))
}
