//! The registry of a command: a remote one, or that of this machine.

use serde_json::{Map, Value};

use super::usage;
use crate::bridge::Remote;
use crate::cli::api_key::{KeyArgs, Stdin};
use crate::cli::database::Database;
use crate::cli::local_registry::LocalServer;
use crate::cli::login::store;
use crate::cli::registry_args::RegistryArgs;
use crate::config::Config;
use crate::error::CliError;
use crate::local_install::{RegistryClient, ToolAnswer, ToolCallError};
use crate::server::local_registry_id;
use crate::tenancy::ApiKey;

/// Calls of one command are made one after the other; the server's checks use a second connection.
const CONNECTIONS: usize = 2;

#[derive(Debug, clap::Args)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    /// Use the registry of this machine
    ///
    /// Also if you are logged in to another one.
    #[arg(long, conflicts_with = "url")]
    local: bool,
    #[command(flatten)]
    key: KeyArgs,
}

/// A registry with the user's API key.
pub(super) struct Client {
    remote: Remote,
    id: String,
    local: Option<(LocalServer, Database)>,
}

impl ClientArgs {
    /// The registry of the command line, else that of the manifest, else the one that the user is logged in to, else that of this
    /// machine.
    pub(super) async fn connect(
        &self,
        config: &Config,
        of_manifest: Option<&str>,
    ) -> Result<Client, CliError> {
        let logins = store::Logins::read()?;
        let of_manifest = of_manifest.filter(|_| !self.local);
        let given = self
            .registry
            .url
            .as_deref()
            .or(of_manifest.filter(|url| !url.starts_with("local:")));
        let url = match given {
            Some(url) => Some(url.to_owned()),
            None if self.local || of_manifest.is_some() => None,
            None => logins.default_url().map(str::to_owned),
        };
        match url {
            Some(url) => {
                let key = self.key_for(&logins, &url)?;
                let remote = self.registry.remote(&url, &key)?;
                let id = remote.id();
                Ok(Client {
                    remote,
                    id,
                    local: None,
                })
            }
            None => self.connect_local(config).await,
        }
    }

    fn key_for(&self, logins: &store::Logins, url: &str) -> Result<ApiKey, CliError> {
        match self.key.given(Stdin::Free)? {
            Some(text) => crate::cli::api_key::parse(text.reveal()),
            None => match logins.key(url)? {
                Some(key) => Ok(key),
                None => Err(usage(format!(
                    "there is no API key for {url}: run `skillkeep login {url}`, or set SKILLKEEP_API_KEY"
                ))),
            },
        }
    }

    async fn connect_local(&self, config: &Config) -> Result<Client, CliError> {
        let key = self.key.required_for_call(Stdin::Free)?;
        let database = Database::open(config).await?;
        let server = match LocalServer::start(&database, CONNECTIONS).await {
            Ok(server) => server,
            Err(error) => {
                database.close().await;
                return Err(error);
            }
        };
        let remote = RegistryArgs::local().remote(&server.url(), &key)?;
        Ok(Client {
            remote,
            id: local_registry_id(&key),
            local: Some((server, database)),
        })
    }
}

impl Client {
    /// Stops what was started for the command.
    pub(super) async fn close(self) {
        if let Some((server, database)) = self.local {
            server.stop().await;
            database.close().await;
        }
    }
}

impl RegistryClient for Client {
    fn id(&self) -> String {
        self.id.clone()
    }

    async fn call(&self, tool: &str, arguments: Map<String, Value>) -> ToolAnswer {
        self.remote.call(tool, arguments).await
    }

    async fn download(&self, slug: &str, version: &str) -> Result<Vec<u8>, ToolCallError> {
        self.remote.download(slug, version).await
    }
}
