//! `skillkeep bridge`: connects one assistant over stdio to a remote registry.

use std::path::PathBuf;

use super::api_key::KeyArgs;
use super::local_tool_args::LocalToolArgs;
use crate::bridge::{self, Remote, RemoteOptions};
use crate::error::{CliError, CliErrorKind};

#[derive(Debug, clap::Args)]
pub(super) struct BridgeArgs {
    /// Registry to forward to
    ///
    /// Example: https://skills.example.com
    url: String,
    #[command(flatten)]
    key: KeyArgs,
    /// Trust also the certificates in this file (PEM)
    ///
    /// The system's root certificates stay trusted. Example: --ca-file company-ca.pem
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Allow an http: address of another machine
    ///
    /// The API key then travels unencrypted. Default: only https:, and http: for this machine.
    #[arg(long)]
    allow_http: bool,
    #[command(flatten)]
    local: LocalToolArgs,
}

pub(super) async fn run(args: BridgeArgs) -> Result<(), CliError> {
    let key = args.key.required()?;
    let options = RemoteOptions {
        url: &args.url,
        allow_http: args.allow_http,
        ca_file: args.ca_file.as_deref(),
    };
    let remote = Remote::new(&options, key.reveal())
        .map_err(|error| CliError::new(CliErrorKind::Usage, error.to_string()))?;
    let tools = args.local.tools()?;
    bridge::run(remote, Some(tools), tokio::io::stdin(), tokio::io::stdout()).await;
    Ok(())
}
