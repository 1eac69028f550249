//! `skillkeep login` and `logout`: keep the API key of a registry for the commands that install skills.

pub(super) mod store;

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use serde_json::Map;

use self::store::Logins;
use super::api_key::{self, KeyArgs, Stdin};
use super::output;
use super::registry_args::RegistryArgs;
use crate::error::{CliError, CliErrorKind};
use crate::local_install::{RegistryClient as _, ToolCallError};
use crate::tenancy::ApiKey;

#[derive(Debug, clap::Args)]
pub(super) struct LoginArgs {
    /// The registry, for example https://skills.example.com
    url: String,
    #[command(flatten)]
    key: KeyArgs,
    /// Keep the API key in a file, not in the system's keyring
    #[arg(long)]
    no_keyring: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How the registry is reached.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ConnectionArgs {
    /// Trust also the certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<std::path::PathBuf>,
    /// Allow an http: address of another machine
    ///
    /// The API key then travels unencrypted. Default: only https:, and http: for this machine.
    #[arg(long)]
    allow_http: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct LogoutArgs {
    /// The registry, as `skillkeep login` was given
    url: String,
}

/// Checks the key with the registry before it is kept.
pub(super) async fn login(args: LoginArgs) -> Result<(), CliError> {
    let key = match args.key.given(Stdin::Free)? {
        Some(text) => api_key::parse(text.reveal())?,
        None => asked()?,
    };
    let connection = RegistryArgs::remote_only(args.connection.ca_file, args.connection.allow_http);
    let remote = connection.remote(&args.url, &key)?;
    let answer = remote
        .call("whoami", Map::new())
        .await
        .map_err(|error| match error {
            ToolCallError::Refused { message, .. } => CliError::new(CliErrorKind::Refused, message),
            ToolCallError::Failed(message) => CliError::new(CliErrorKind::Unavailable, message),
        })?;
    let text = |name: &str| {
        answer
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap_or("?")
            .to_owned()
    };
    let mut logins = Logins::read()?;
    let place = logins.set(&remote.id(), &key, !args.no_keyring)?;
    output::line(&format!(
        "Logged in to {} as {} of {}. The API key is in {place}.",
        remote.id(),
        text("user"),
        text("tenant")
    ))
}

pub(super) fn logout(args: &LogoutArgs) -> Result<(), CliError> {
    let mut logins = Logins::read()?;
    if logins.remove(&args.url)? {
        return output::line(&format!("Logged out of {}.", args.url));
    }
    let message = format!("you are not logged in to {}", args.url);
    Err(CliError::new(CliErrorKind::NotFound, message))
}

/// Asks a person. The terminal does not show what they type only where it can be told so; else the key must be piped.
fn asked() -> Result<ApiKey, CliError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let message = "give the API key on stdin or in a file, so that it stays out of the terminal's history: `skillkeep login URL \
                       --api-key-file FILE`, or `pass show skillkeep | skillkeep login URL`";
        return Err(CliError::new(CliErrorKind::Usage, message));
    }
    let _flushed = std::io::stderr().flush();
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    read.map_err(|error| {
        CliError::new(
            CliErrorKind::Usage,
            format!("the API key cannot be read from stdin: {error}"),
        )
    })?;
    api_key::parse(line.trim())
}
