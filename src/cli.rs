//! The command line: one file for each subcommand.

mod api_key;
mod audit;
mod bridge;
mod call;
mod completions;
mod connect;
mod database;
mod deny;
mod disk;
mod distribute;
mod doctor;
mod duration;
mod embedded_errors;
mod embedding_args;
mod files;
mod group;
mod import;
mod installs;
mod key;
mod key_name;
mod limit_args;
mod local_registry;
mod local_tool_args;
mod login;
mod migrate;
mod new_key;
mod output;
mod postgres_supervisor;
mod publish;
mod quickstart;
mod registry_args;
mod scan;
mod search;
mod serve;
mod settings;
mod share;
mod signing_key;
mod signing_keys;
mod skill;
mod stdio;
mod tenant;
mod tenant_arg;
mod test;
mod usage;
mod user;
mod visible_password;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{Config, DEFAULT_LOG};
use crate::error::{CliError, CliErrorKind};
use crate::shown_text::visible_lines;
use crate::telemetry;

/// Serve a private registry of Agent Skills over MCP
#[derive(Debug, Parser)]
#[command(name = "skillkeep", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 success, 1 problem found, 2 wrong usage, 3 not found, 4 conflict or not permitted, \
                  5 database or registry unavailable, 6 schema version mismatch, 70 internal error."
)]
pub struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up skillkeep on this machine and make a first call
    ///
    /// Creates a tenant, imports the sample skills, creates an API key and calls a tool with it.
    Quickstart(quickstart::QuickstartArgs),
    /// Serve assistants over HTTP
    ///
    /// Example: skillkeep serve --listen 0.0.0.0:8787 --allow-host skills.example.com
    Serve(serve::ServeArgs),
    /// Serve one assistant over stdin and stdout
    ///
    /// Assistants start it themselves: `skillkeep connect` writes their configuration. Example:
    /// SKILLKEEP_API_KEY=skeep_... skillkeep stdio
    Stdio(stdio::StdioArgs),
    /// Connect one assistant over stdio to a remote registry
    ///
    /// Needs no database. Example: SKILLKEEP_API_KEY=skeep_... skillkeep bridge https://skills.example.com
    Bridge(bridge::BridgeArgs),
    /// Install skills on this machine
    ///
    /// Writes them where assistants look for skills, verified byte for byte, and records them in skillkeep.toml and
    /// skillkeep.lock. Example: skillkeep add fill-pdf@^1.2 --for claude-code
    Add(disk::AddArgs),
    /// Remove installed skills
    ///
    /// Files that you edited stay. Example: skillkeep remove fill-pdf
    Remove(disk::RemoveArgs),
    /// List installed skills
    List(disk::ListArgs),
    /// Update installed skills to the newest version that is wanted
    ///
    /// Files that you edited stay. Example: skillkeep update --dry-run
    Update(disk::UpdateArgs),
    /// Show outdated and withdrawn skills
    ///
    /// Exits with 1 if there are any.
    Outdated(disk::OutdatedArgs),
    /// Find edited files of installed skills
    ///
    /// Compares each file with what was installed, and needs no network. Exits with 1 if files were edited, removed or added.
    Verify(disk::VerifyArgs),
    /// Make the disk be as skillkeep.toml says
    ///
    /// Installs, updates and removes skills, in the versions of skillkeep.lock. Exits with 1 if an installed version was withdrawn, or with --frozen if the two files do not fit. Example: skillkeep
    /// sync --frozen
    Sync(disk::SyncArgs),
    /// Show why a skill is installed and which copies there are
    Why(disk::WhyArgs),
    /// Go back to the version that was installed before, and pin it
    Rollback(disk::RollbackArgs),
    /// Keep the installed version when other skills are updated
    Pin(disk::PinArgs),
    /// Accept the keys with which a registry signs skills
    ///
    /// Installing stops when a registry signs with a key that is new to you. Example: skillkeep trust --yes
    Trust(disk::TrustArgs),
    /// Keep the API key of a registry
    ///
    /// The commands that install skills then use it. Reads the API key from stdin, a file or SKILLKEEP_API_KEY. Example: skillkeep login https://skills.example.com
    /// --api-key-file key.txt
    Login(login::LoginArgs),
    /// Forget the API key of a registry
    Logout(login::LogoutArgs),
    /// Call a tool and print its result as JSON
    ///
    /// Calls the registry of this machine or, with --url, a remote one, as an assistant does. Exit codes: 0 success, 1 tool
    /// error, 2 invalid arguments, 3 not found, 4 not permitted, 5 no answer. Example: skillkeep call search_skills
    /// '{"query": "release notes"}'
    Call(call::CallArgs),
    /// Run scripted tool calls and compare their results
    ///
    /// Uses a throw-away database, or with --url an existing registry. Exits with 1 if a step fails, with 2 if a file is
    /// invalid. Example: skillkeep test tests/stories/review.yaml --transport all
    Test(test::TestArgs),
    /// Add skillkeep to the configuration of an assistant
    ///
    /// Everything else in the file stays as it is, and a backup is kept. Example: skillkeep connect claude-code
    Connect(connect::ConnectArgs),
    /// Bring the database schema up to date
    ///
    /// Run it after each upgrade, as the owner of the schema. The embedded database needs no migrate command.
    Migrate(migrate::MigrateArgs),
    /// Create, list, change, suspend, export and erase tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Create, list, suspend and resume users of a tenant
    #[command(subcommand)]
    User(user::UserCommand),
    /// Create, list, limit, inspect, revoke and rotate API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Create, list and revoke secret paths to skills
    ///
    /// For clients that can send no API key in a header. Example: skillkeep share create --key laptop --expires 30d
    #[command(subcommand)]
    Share(share::ShareCommand),
    /// Import all skills of a folder or an archive
    ///
    /// Safe to repeat: a changed skill gets a new version, an unchanged one is skipped. Example: skillkeep import
    /// ~/skills --tenant acme
    Import(import::ImportArgs),
    /// Publish one skill from a folder or an archive
    ///
    /// Publishes in the local database, or with --url in a remote registry. Equal files are published once. Example:
    /// skillkeep publish ~/skills/fill-pdf --note "Handles forms with checkboxes"
    Publish(publish::PublishArgs),
    /// List, search, fork, withdraw and remove skills
    #[command(subcommand)]
    Skill(skill::SkillCommand),
    /// Read and change the settings of a tenant
    #[command(subcommand)]
    Settings(settings::SettingsCommand),
    /// Create, list, retire and export the keys that sign versions
    #[command(subcommand)]
    SigningKey(signing_key::SigningKeyCommand),
    /// Show who has which version of a skill
    #[command(subcommand)]
    Installs(installs::InstallsCommand),
    /// Withdraw a version and say whom that reaches
    ///
    /// The next check of each copy states the reason. Example: skillkeep recall fill-pdf 1.2 --reason "it deletes drafts"
    Recall(installs::RecallArgs),
    /// Give users the skills that they should have
    ///
    /// Without --group to all users, without --version always in the latest version. Example: skillkeep distribute fill-pdf
    /// --group sales
    Distribute(distribute::DistributeArgs),
    /// Create, fill and list groups of users
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Show, check and rebuild the search index; measure the search
    #[command(subcommand)]
    Search(search::SearchCommand),
    /// Deny files and versions by their digests
    #[command(subcommand)]
    Deny(deny::DenyCommand),
    /// Look for malicious and risky content in skills
    ///
    /// Needs no database and no network, and executes nothing. Exit codes: 0 no finding of the severity of --fail-on or worse, 1
    /// such findings, 2 wrong usage or not everything scanned. Example: skillkeep scan ~/skills --format sarif
    Scan(scan::ScanArgs),
    /// Report, list and delete usage events
    Usage(usage::UsageArgs),
    /// Read and verify the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check tenant isolation, then try to break it
    ///
    /// Run it after each upgrade and before serving. Exits with 1 if it finds a problem. Example: skillkeep doctor --quick
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    ///
    /// Example: skillkeep completions bash > ~/.local/share/bash-completion/completions/skillkeep
    Completions(completions::CompletionsArgs),
    /// Supervise the embedded PostgreSQL (started by skillkeep itself)
    #[command(name = "postgres-supervise", hide = true)]
    PostgresSupervise,
    /// Use the embedded PostgreSQL until stdin ends, and nothing else
    #[command(name = "postgres-hold", hide = true)]
    PostgresHold,
}

/// Parses the command line, runs the command and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {}", visible_lines(&error.to_string())));
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let Cli { config, command } = cli;
    if config.utc {
        output::use_utc();
    }
    visible_password::check(std::env::args_os())?;
    if let Command::PostgresSupervise = command {
        // No runtime and no logging: the supervisor outlives the process whose stderr it inherits.
        return postgres_supervisor::run(config);
    }
    telemetry::start(log_filter(&config, &command), config.log_format)
        .map_err(|message| CliError::new(CliErrorKind::Usage, message))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Writing the answer of a large call keeps a thread busy for a second. The others must not wait for it.
        .worker_threads(cores + crate::server::LARGE_CALLS.total)
        .enable_all()
        .build()
        .map_err(|error| CliError::new(CliErrorKind::Internal, format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(dispatch(&config, command));
    // A thread that still waits for stdin would delay the exit.
    runtime.shutdown_background();
    outcome
}

/// The log filter. `call` and `test` report what the bridge would log; `doctor` ends its own connections in mid-request.
fn log_filter<'a>(config: &'a Config, command: &Command) -> &'a str {
    if config.log != DEFAULT_LOG {
        &config.log
    } else if matches!(command, Command::Call(_) | Command::Test(_)) {
        "warn,skillkeep::bridge=error"
    } else if matches!(command, Command::Doctor(_)) {
        "warn,rmcp::service=off"
    } else {
        &config.log
    }
}

async fn dispatch(config: &Config, command: Command) -> Result<(), CliError> {
    match command {
        Command::Quickstart(args) => quickstart::run(config, args).await,
        Command::Serve(args) => serve::run(config, args).await,
        Command::Stdio(args) => stdio::run(config, args).await,
        Command::Bridge(args) => bridge::run(args).await,
        Command::Add(args) => disk::add(config, args).await,
        Command::Remove(args) => disk::remove(&args),
        Command::List(args) => disk::list(&args),
        Command::Update(args) => disk::update(config, args).await,
        Command::Outdated(args) => disk::outdated(config, args).await,
        Command::Verify(args) => disk::verify(&args),
        Command::Sync(args) => disk::sync(config, args).await,
        Command::Why(args) => disk::why(&args),
        Command::Rollback(args) => disk::rollback(config, args).await,
        Command::Pin(args) => disk::pin(&args),
        Command::Trust(args) => disk::trust(config, args).await,
        Command::Login(args) => login::login(args).await,
        Command::Logout(args) => login::logout(&args),
        Command::Call(args) => call::run(config, args).await,
        Command::Test(args) => test::run(config, args).await,
        Command::Connect(args) => connect::run(config, &args),
        Command::Migrate(args) => migrate::run(config, args).await,
        Command::Tenant(command) => tenant::run(config, command).await,
        Command::User(command) => user::run(config, command).await,
        Command::Key(command) => key::run(config, command).await,
        Command::Share(command) => share::run(config, command).await,
        Command::Import(args) => import::run(config, args).await,
        Command::Publish(args) => publish::run(config, args).await,
        Command::Skill(command) => skill::run(config, command).await,
        Command::Settings(command) => settings::run(config, command).await,
        Command::SigningKey(command) => signing_key::run(config, command).await,
        Command::Installs(command) => installs::run(config, command).await,
        Command::Recall(args) => installs::recall(config, args).await,
        Command::Distribute(args) => distribute::run(config, args).await,
        Command::Group(command) => group::run(config, command).await,
        Command::Deny(command) => deny::run(config, command).await,
        Command::Search(command) => search::run(config, command).await,
        Command::Scan(args) => scan::run(config, &args),
        Command::Usage(args) => usage::run(config, args).await,
        Command::Audit(command) => audit::run(config, command).await,
        Command::Doctor(args) => doctor::run(config, args).await,
        Command::Completions(args) => completions::run(args, Cli::command()),
        Command::PostgresSupervise => postgres_supervisor::run(config.clone()),
        Command::PostgresHold => postgres_supervisor::hold(config),
    }
}
