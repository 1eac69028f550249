//! `skillkeep completions`: prints a completion script for a shell.

use clap_complete::Shell;

use super::output;
use crate::error::{CliError, CliErrorKind};

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Shell to complete commands for
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs, mut command: clap::Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "skillkeep", &mut script);
    let script = String::from_utf8(script)
        .map_err(|_| CliError::new(CliErrorKind::Internal, "the completion script is not UTF-8 text"))?;
    output::line(script.trim_end())
}
