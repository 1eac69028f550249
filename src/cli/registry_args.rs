//! The options that select a registry and the transport to it.

use std::path::PathBuf;

use clap::ValueEnum;
use tokio::process::Command;

use super::api_key;
use super::local_registry::this_program;
use crate::bridge::{Remote, RemoteOptions};
use crate::error::{CliError, CliErrorKind};
use crate::tenancy::ApiKey;
use crate::tool_client::Endpoint;

/// A transport of MCP, as `--transport` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(super) enum TransportName {
    /// stdin and stdout of `skillkeep stdio`; with --url, of `skillkeep bridge`
    Stdio,
    /// Streamable HTTP
    Http,
    /// HTTP+SSE of MCP 2024-11-05
    Sse,
}

impl TransportName {
    pub(super) const ALL: [Self; 3] = [Self::Stdio, Self::Http, Self::Sse];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::Sse => "sse",
        }
    }
}

/// A remote registry.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RegistryArgs {
    /// Call this registry instead of the one on this machine
    ///
    /// Example: --url https://skills.example.com
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Trust also the certificates in this file (PEM)
    ///
    /// The system's root certificates stay trusted. Example: --ca-file company-ca.pem
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// Allow an http: address of another machine
    ///
    /// The API key then travels unencrypted. Default: only https:, and http: for this machine.
    #[arg(long, requires = "url")]
    allow_http: bool,
}

impl RegistryArgs {
    /// Options for a server of this process.
    pub(super) const fn local() -> Self {
        Self {
            url: None,
            ca_file: None,
            allow_http: false,
        }
    }

    /// Options for one remote registry.
    pub(super) const fn remote_only(ca_file: Option<PathBuf>, allow_http: bool) -> Self {
        Self {
            url: None,
            ca_file,
            allow_http,
        }
    }

    /// How to reach the registry at `url` with these options.
    pub(super) fn endpoint(
        &self,
        url: &str,
        transport: TransportName,
        key: &ApiKey,
    ) -> Result<Endpoint, CliError> {
        let remote = self.remote(url, key)?;
        match transport {
            TransportName::Stdio => self.bridge_command(url, key).map(Endpoint::Process),
            TransportName::Http => Ok(Endpoint::Http(remote)),
            TransportName::Sse => Ok(Endpoint::Sse(remote)),
        }
    }

    /// A client of the registry at `url` with these options.
    pub(super) fn remote(&self, url: &str, key: &ApiKey) -> Result<Remote, CliError> {
        let options = RemoteOptions {
            url,
            allow_http: self.allow_http,
            ca_file: self.ca_file.as_deref(),
        };
        Remote::new(&options, key.reveal())
            .map_err(|error| CliError::new(CliErrorKind::Usage, error.to_string()))
    }

    fn bridge_command(&self, url: &str, key: &ApiKey) -> Result<Command, CliError> {
        let mut command = Command::new(this_program()?);
        command
            .arg("bridge")
            .arg(url)
            .env(api_key::VARIABLE, key.reveal());
        if let Some(file) = &self.ca_file {
            command.arg("--ca-file").arg(file);
        }
        if self.allow_http {
            command.arg("--allow-http");
        }
        Ok(command)
    }
}
