//! `skillkeep bridge`: one assistant on a laptop, and a registry on a server.

use std::path::PathBuf;

use crate::bridge::{self, Remote, RemoteOptions};
use crate::config::Secret;
use crate::error::{CliError, CliErrorKind};
use crate::tenancy::ApiKey;

#[derive(Debug, clap::Args)]
pub(super) struct BridgeArgs {
    /// The registry's address, such as https://skills.example.com/mcp
    url: String,
    /// The API key
    #[arg(env = "SKILLKEEP_API_KEY", long, hide_env_values = true, value_name = "KEY")]
    api_key: Option<Secret>,
    /// Trust the certificates in this file (PEM) beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Let the key travel unencrypted to another machine
    #[arg(long)]
    allow_http: bool,
}

pub(super) async fn run(args: BridgeArgs) -> Result<(), CliError> {
    let usage = |words: String| CliError::new(CliErrorKind::Usage, words);
    let Some(text) = args.api_key.filter(|key| !key.reveal().is_empty()) else {
        return Err(usage(
            "SKILLKEEP_API_KEY is not set; put the key into the environment of the assistant's configuration"
                .to_owned(),
        ));
    };
    let key: ApiKey = text
        .reveal()
        .parse()
        .map_err(|error| usage(format!("SKILLKEEP_API_KEY is refused: {error}")))?;
    let options = RemoteOptions {
        url: &args.url,
        allow_http: args.allow_http,
        ca_file: args.ca_file.as_deref(),
    };
    let remote = Remote::new(&options, &key).map_err(|error| usage(error.to_string()))?;
    bridge::run(remote, tokio::io::stdin(), tokio::io::stdout()).await;
    Ok(())
}
