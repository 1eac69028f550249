//! How a client is to reach the registry: which program it starts, or which address it speaks to.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ConnectArgs, usage};
use crate::bridge;
use crate::config::{Config, Secret};
use crate::error::CliError;
use crate::tenancy::ApiKey;
use assistants::entry::{DATABASE, Endpoint, KEY, Variable};
use assistants::{Assistant, ConnectVia};

/// The way that the arguments ask for, or the best that this client has.
pub(super) fn choose(
    config: &Config,
    client: Assistant,
    args: &ConnectArgs,
    there: Option<&Value>,
) -> Result<Endpoint, CliError> {
    let transport = args.transport.unwrap_or(match &args.url {
        None => ConnectVia::Stdio,
        Some(_) if client.speaks(ConnectVia::Http) => ConnectVia::Http,
        Some(_) => ConnectVia::Bridge,
    });
    if !client.speaks(transport) {
        return Err(usage(format!(
            "{} cannot speak this transport; leave --transport out, or choose bridge",
            client.title()
        )));
    }
    let address = || {
        let Some(url) = &args.url else {
            return Err(usage(
                "this transport needs the registry's address: --url https://…",
            ));
        };
        bridge::address(url, args.allow_http).map_err(|error| usage(error.to_string()))
    };
    match transport {
        ConnectVia::Http => Ok(Endpoint::Http(address()?)),
        ConnectVia::Sse => {
            let address = address()?;
            let sse = address.strip_suffix("/mcp").map(|base| format!("{base}/sse"));
            Ok(Endpoint::Sse(sse.unwrap_or(address)))
        }
        ConnectVia::Bridge => {
            let mut arguments = vec!["bridge".to_owned(), address()?];
            if let Some(file) = &args.ca_file {
                arguments.extend(["--ca-file".to_owned(), absolute(file)?]);
            }
            if args.allow_http {
                arguments.push("--allow-http".to_owned());
            }
            program(client, args, arguments, &[(KEY, args.api_key.as_ref())], there)
        }
        ConnectVia::Stdio => {
            if args.url.is_some() {
                return Err(usage(
                    "stdio opens the database of this machine; leave --url or --transport out",
                ));
            }
            let mut arguments = vec!["stdio".to_owned()];
            for (option, folder) in [("--data-dir", &config.data_dir), ("--pg-bin", &config.pg_bin)] {
                if let Some(folder) = folder.as_ref().filter(|_| !args.project) {
                    arguments.extend([option.to_owned(), absolute(folder)?]);
                }
            }
            let mut secrets = vec![(KEY, args.api_key.as_ref())];
            if config.database_url.is_some() {
                secrets.push((DATABASE, config.database_url.as_ref()));
            }
            program(client, args, arguments, &secrets, there)
        }
    }
}

fn absolute(path: &Path) -> Result<String, CliError> {
    let path = std::path::absolute(path)
        .map_err(|error| usage(format!("{} is no path: {error}", path.display())))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| usage(format!("{} is not UTF-8 text", PathBuf::from(path).display())))
}

fn program(
    client: Assistant,
    args: &ConnectArgs,
    arguments: Vec<String>,
    secrets: &[(&'static str, Option<&Secret>)],
    there: Option<&Value>,
) -> Result<Endpoint, CliError> {
    let command = if args.project {
        // Everybody who works on the project has it in another place.
        "skillkeep".to_owned()
    } else {
        let program = std::env::current_exe()
            .map_err(|error| usage(format!("the path of this program is unknown: {error}")))?;
        absolute(&program)?
    };
    let mut variables = Vec::new();
    for (name, given) in secrets {
        let text = if client.keeps_secrets_out() {
            None
        } else {
            Some(secret_text(client, name, *given, there)?)
        };
        variables.push(Variable { name, text });
    }
    Ok(Endpoint::Program {
        command,
        arguments,
        secrets: variables,
    })
}

/// The secret for a client that has to be told it, or the one that it has been told before.
fn secret_text(
    client: Assistant,
    name: &str,
    given: Option<&Secret>,
    there: Option<&Value>,
) -> Result<String, CliError> {
    let given = given.map(Secret::reveal).filter(|text| !text.is_empty());
    let told = there
        .and_then(|entry| entry.get("env")?.get(name)?.as_str())
        .filter(|text| !text.is_empty());
    let Some(text) = given.or(told) else {
        return Err(usage(format!(
            "{} cannot read the environment, so its file has to hold the key: run this again with {name} set",
            client.title()
        )));
    };
    if name == KEY
        && let Err(error) = text.parse::<ApiKey>()
    {
        return Err(usage(format!("{KEY} is refused: {error}")));
    }
    Ok(text.to_owned())
}
