//! The command line: one file for each subcommand.

mod audit;
mod bridge;
mod completions;
mod connect;
mod database;
mod doctor;
mod embedded_errors;
mod import;
mod key;
mod limit_args;
mod migrate;
mod output;
mod postgres_supervisor;
mod quickstart;
mod serve;
mod stdio;
mod tenant;
mod usage;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::telemetry;

/// A private registry of Agent Skills for AI assistants, served over the Model Context Protocol
#[derive(Debug, Parser)]
#[command(
    name = "skillkeep",
    version,
    about,
    propagate_version = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit codes: 0 well, 1 something wrong was found, 2 wrong usage, 3 not found, 4 refused, \
                        5 database unavailable, 6 wrong schema, 70 internal error."
)]
pub struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set everything up on this machine and make a first tool call
    Quickstart(quickstart::QuickstartArgs),
    /// Serve assistants over HTTP
    Serve(serve::ServeArgs),
    /// Serve one assistant over stdin and stdout, with the key in SKILLKEEP_API_KEY
    Stdio(stdio::StdioArgs),
    /// Pass one assistant's messages on to a registry far away, with the key in SKILLKEEP_API_KEY
    Bridge(bridge::BridgeArgs),
    /// Write skillkeep into the configuration of an assistant, or take it out again
    Connect(connect::ConnectArgs),
    /// Bring the database's schema up to date
    Migrate(migrate::MigrateArgs),
    /// Create, list, change, suspend, resume, export and erase tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Create, list, suspend and resume a tenant's users
    #[command(subcommand)]
    User(user::UserCommand),
    /// Create, list, limit, inspect, revoke and rotate API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Import every skill below a folder
    Import(import::ImportArgs),
    /// Show who uses what
    Usage(usage::UsageArgs),
    /// Read and verify the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check the database's walls between tenants, and try to break them
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Supervise the embedded PostgreSQL (started by skillkeep itself)
    #[command(name = "postgres-supervise", hide = true)]
    PostgresSupervise,
    /// Use the embedded PostgreSQL until stdin ends, and nothing else
    #[command(name = "postgres-hold", hide = true)]
    PostgresHold,
}

/// Reads the command line, runs it, and answers with the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let Cli { config, command } = cli;
    if let Command::PostgresSupervise = command {
        // No runtime and no logging: it outlives everything that could read either.
        return postgres_supervisor::run(config);
    }
    telemetry::start(&config.log, config.log_format)
        .map_err(|words| CliError::new(CliErrorKind::Usage, words))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(CliErrorKind::Internal, format!("no threads to run on: {error}")))?;
    let outcome = runtime.block_on(dispatch(&config, command));
    // A thread that still reads stdin would otherwise hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(config: &Config, command: Command) -> Result<(), CliError> {
    match command {
        Command::Quickstart(args) => quickstart::run(config, args).await,
        Command::Serve(args) => serve::run(config, args).await,
        Command::Stdio(args) => stdio::run(config, args).await,
        Command::Bridge(args) => bridge::run(args).await,
        Command::Connect(args) => connect::run(config, &args),
        Command::Migrate(args) => migrate::run(config, args).await,
        Command::Tenant(command) => tenant::run(config, command).await,
        Command::User(command) => user::run(config, command).await,
        Command::Key(command) => key::run(config, command).await,
        Command::Import(args) => import::run(config, args).await,
        Command::Usage(args) => usage::run(config, args).await,
        Command::Audit(command) => audit::run(config, command).await,
        Command::Doctor(args) => doctor::run(config, args).await,
        Command::Completions(args) => completions::run(args),
        Command::PostgresSupervise => postgres_supervisor::run(config.clone()),
        Command::PostgresHold => postgres_supervisor::hold(config),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
