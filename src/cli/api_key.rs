//! The API key of the commands that act as a client: from a file, or from `SKILLKEEP_API_KEY`.
//!
//! Never an argument: every account of the machine sees the arguments of all processes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::config::Secret;
use crate::error::{CliError, CliErrorKind};
use crate::tenancy::ApiKey;

/// The environment variable that holds the API key.
pub(super) const VARIABLE: &str = "SKILLKEEP_API_KEY";

/// Maximum size of a file with an API key in bytes: the key and white space.
const MAX_FILE_BYTES: u64 = 4096;

#[derive(Debug, clap::Args)]
pub(super) struct KeyArgs {
    /// Read the API key from this file; - reads stdin
    ///
    /// Default: the environment variable SKILLKEEP_API_KEY. The file must belong to you or root, and other accounts must not be able
    /// to read it.
    #[arg(long, env = "SKILLKEEP_API_KEY_FILE", value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

/// Whether a command leaves stdin to the API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stdin {
    Free,
    /// The command reads something else from stdin.
    Used,
}

impl KeyArgs {
    /// The key's text, without white space around it. `None` if there is none.
    pub(super) fn given(&self, stdin: Stdin) -> Result<Option<Secret>, CliError> {
        let text = match &self.api_key_file {
            None => std::env::var(VARIABLE).unwrap_or_default(),
            Some(path) if path == Path::new("-") => {
                if stdin == Stdin::Used {
                    return Err(usage(
                        "stdin is not free for the API key; use a file or the environment variable",
                    ));
                }
                read(io::stdin().lock(), "stdin")?
            }
            Some(path) => read(open(path)?, &path.display().to_string())?,
        };
        let text = text.trim();
        Ok((!text.is_empty()).then(|| Secret::from(text.to_owned())))
    }

    /// The API key that an assistant's configuration starts the command with.
    pub(super) fn required(&self) -> Result<ApiKey, CliError> {
        match self.given(Stdin::Used)? {
            Some(text) => parse(text.reveal()),
            None => Err(usage(format!(
                "{VARIABLE} is not set; set it in the environment of the assistant's configuration, or use --api-key-file"
            ))),
        }
    }

    /// The API key of a command that a person runs.
    pub(super) fn required_for_call(&self, stdin: Stdin) -> Result<ApiKey, CliError> {
        match self.given(stdin)? {
            Some(text) => parse(text.reveal()),
            None => Err(usage(format!(
                "{VARIABLE} is not set; `skillkeep key create --user EMAIL` prints a key, set it in the environment, or use --api-key-file"
            ))),
        }
    }
}

/// The key of another service, without white space around it: from a file that no other account can read, or from an environment
/// variable.
pub(super) fn of_service(file: Option<&Path>, variable: &str) -> Result<Option<Secret>, CliError> {
    let text = match file {
        None => std::env::var(variable).unwrap_or_default(),
        Some(path) => read(open(path)?, &path.display().to_string())?,
    };
    let text = text.trim();
    Ok((!text.is_empty()).then(|| Secret::from(text.to_owned())))
}

pub(super) fn parse(text: &str) -> Result<ApiKey, CliError> {
    text.parse::<ApiKey>()
        .map_err(|error| usage(format!("{VARIABLE} is not valid: {error}")))
}

/// Opens a file that no other account can read or replace the content of. A pipe, as from `<(command)`, is accepted too.
fn open(path: &Path) -> Result<File, CliError> {
    let shown = path.display();
    let failed = |error: io::Error| usage(format!("the API key file {shown} cannot be read: {error}"));
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() && !found.file_type().is_fifo() {
        return Err(usage(format!("the API key file {shown} is not a file")));
    }
    let own = Uid::effective().as_raw();
    if found.uid() != own && found.uid() != 0 {
        return Err(refused(format!(
            "the API key file {shown} belongs to the account with uid {}; make it yours",
            found.uid()
        )));
    }
    if found.mode() & 0o027 != 0 {
        return Err(refused(format!(
            "other accounts can read or change the API key file {shown} (mode {:o}); run `chmod 600` on it, and create another key \
             if others could read this one",
            found.mode() & 0o7777
        )));
    }
    Ok(file)
}

fn read(input: impl Read, name: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let read = input.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| usage(format!("the API key cannot be read from {name}: {error}")))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(usage(format!("{name} holds more than an API key")));
    }
    Ok(text)
}

fn usage(message: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Usage, message)
}

fn refused(message: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Refused, message)
}
