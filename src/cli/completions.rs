//! `skillkeep completions`: a completion script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, output};
use crate::error::{CliError, CliErrorKind};

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "skillkeep", &mut script);
    let script = String::from_utf8(script)
        .map_err(|_| CliError::new(CliErrorKind::Internal, "the completion script is not text"))?;
    output::line(script.trim_end())
}
