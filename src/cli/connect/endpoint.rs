//! Chooses how an assistant reaches the registry: the program that it starts, or the URL that it calls.

use std::path::{Path, PathBuf};

use assistants::{Assistant, Endpoint, Prompt, SecretVariable, Transport};
use serde_json::Value;

use super::args::{ConnectArgs, ConnectVia};
use crate::bridge;
use crate::cli::api_key::{self, Stdin};
use crate::config::{Config, Secret};
use crate::error::{CliError, CliErrorKind};
use crate::tenancy::mask_keys;

const API_KEY: SecretVariable = SecretVariable {
    name: api_key::VARIABLE,
    prompt: API_KEY_PROMPT,
    value: None,
};

const API_KEY_PROMPT: Prompt = Prompt {
    id: "skillkeep-api-key",
    description: "The API key of skillkeep",
};

const DATABASE_URL: SecretVariable = SecretVariable {
    name: "DATABASE_URL",
    prompt: DATABASE_URL_PROMPT,
    value: None,
};

const DATABASE_URL_PROMPT: Prompt = Prompt {
    id: "skillkeep-database-url",
    description: "The address of skillkeep's database",
};

/// Every prompt that an entry of skillkeep may refer to.
pub(super) const PROMPTS: [Prompt; 2] = [API_KEY_PROMPT, DATABASE_URL_PROMPT];

/// Returns the endpoint that the arguments ask for, or the assistant's best one. `existing` is the entry that the file
/// has under the same name.
pub(super) fn choose(
    config: &Config,
    assistant: Assistant,
    args: &ConnectArgs,
    existing: Option<&Value>,
) -> Result<Endpoint, CliError> {
    let via = args.transport.unwrap_or(match &args.url {
        None => ConnectVia::Stdio,
        Some(_) if assistant.supports(Transport::StreamableHttp) => ConnectVia::Http,
        Some(_) => ConnectVia::Bridge,
    });
    let transport = match via {
        ConnectVia::Stdio | ConnectVia::Bridge => Transport::Stdio,
        ConnectVia::Http => Transport::StreamableHttp,
        ConnectVia::Sse => Transport::HttpSse,
    };
    if !assistant.supports(transport) {
        return Err(usage(format!(
            "{} does not support this transport; leave out --transport, or use --transport bridge",
            assistant.title()
        )));
    }
    match via {
        ConnectVia::Http => Ok(Endpoint::Http {
            url: remote_url(args)?,
            token: API_KEY,
        }),
        ConnectVia::Sse => {
            let url = remote_url(args)?;
            let sse = url.strip_suffix("/mcp").map(|base| format!("{base}/sse"));
            Ok(Endpoint::Sse {
                url: sse.unwrap_or(url),
                token: API_KEY,
            })
        }
        ConnectVia::Bridge => {
            let key = given_key(assistant, args)?;
            let secrets = [(API_KEY, key.as_ref())];
            program(assistant, args, bridge_arguments(args)?, secrets, existing)
        }
        ConnectVia::Stdio => {
            let arguments = stdio_arguments(config, args)?;
            let database_url = config.database_url.as_ref();
            let key = given_key(assistant, args)?;
            let secrets = std::iter::once((API_KEY, key.as_ref()))
                .chain(database_url.map(|url| (DATABASE_URL, Some(url))));
            program(assistant, args, arguments, secrets, existing)
        }
    }
}

fn remote_url(args: &ConnectArgs) -> Result<String, CliError> {
    let Some(url) = &args.url else {
        return Err(usage(
            "this transport needs the registry's address; add --url, for example --url https://skills.example.com",
        ));
    };
    bridge::normalize_url(url, args.allow_http).map_err(|error| usage(error.to_string()))
}

fn bridge_arguments(args: &ConnectArgs) -> Result<Vec<String>, CliError> {
    let mut arguments = vec!["bridge".to_owned(), remote_url(args)?];
    if let Some(file) = &args.ca_file {
        arguments.extend(["--ca-file".to_owned(), absolute(file)?]);
    }
    if args.allow_http {
        arguments.push("--allow-http".to_owned());
    }
    Ok(arguments)
}

fn stdio_arguments(config: &Config, args: &ConnectArgs) -> Result<Vec<String>, CliError> {
    if args.url.is_some() {
        return Err(usage(
            "--transport stdio uses the database of this machine; leave out --url or --transport",
        ));
    }
    let mut arguments = vec!["stdio".to_owned()];
    for (option, folder) in [("--data-dir", &config.data_dir), ("--pg-bin", &config.pg_bin)] {
        if let Some(folder) = folder.as_ref().filter(|_| !args.project) {
            arguments.extend([option.to_owned(), absolute(folder)?]);
        }
    }
    Ok(arguments)
}

fn program<'a>(
    assistant: Assistant,
    args: &ConnectArgs,
    arguments: Vec<String>,
    secrets: impl IntoIterator<Item = (SecretVariable, Option<&'a Secret>)>,
    existing: Option<&Value>,
) -> Result<Endpoint, CliError> {
    let command = if args.project {
        // The other members of the project have the program under another path.
        "skillkeep".to_owned()
    } else {
        let program = std::env::current_exe()
            .map_err(|error| usage(format!("cannot determine the path of this program: {error}")))?;
        absolute(&program)?
    };
    let mut variables = Vec::new();
    for (mut variable, given) in secrets {
        if !assistant.supports_secret_references() {
            variable.value = Some(secret_value(assistant, variable.name, given, existing)?);
        }
        variables.push(variable);
    }
    Ok(Endpoint::Program {
        command,
        arguments,
        secrets: variables,
    })
}

/// Reads the API key, unless the assistant takes it from the environment.
fn given_key(assistant: Assistant, args: &ConnectArgs) -> Result<Option<Secret>, CliError> {
    if assistant.supports_secret_references() {
        return Ok(None);
    }
    args.key.given(Stdin::Free)
}

/// Returns the secret to write into the file: the given one, or the one that the file has already.
fn secret_value(
    assistant: Assistant,
    name: &str,
    given: Option<&Secret>,
    existing: Option<&Value>,
) -> Result<String, CliError> {
    let given = given.map(Secret::reveal).filter(|text| !text.is_empty());
    let stored = existing
        .and_then(|entry| entry.get("env")?.get(name)?.as_str())
        .filter(|text| !text.is_empty());
    let Some(text) = given.or(stored) else {
        return Err(usage(format!(
            "{} cannot read the environment, so the secret must be in its file; run this command again with {name} set",
            assistant.title()
        )));
    };
    if name == API_KEY.name {
        api_key::parse(text)?;
    }
    Ok(text.to_owned())
}

/// The text of a configuration file without the secrets of the entry `existing`, and without any API key.
pub(super) fn hide_secrets(text: &str, existing: Option<&Value>) -> String {
    let variables = existing.and_then(|entry| entry.get("env"));
    let secrets = [API_KEY.name, DATABASE_URL.name]
        .into_iter()
        .filter_map(|name| variables?.get(name)?.as_str())
        .filter(|secret| !secret.is_empty() && !secret.starts_with("${"));
    let mut hidden = text.to_owned();
    for secret in secrets {
        hidden = hidden.replace(secret, "(removed)");
    }
    mask_keys(&hidden).into_owned()
}

fn absolute(path: &Path) -> Result<String, CliError> {
    let path = std::path::absolute(path)
        .map_err(|error| usage(format!("{} is not a valid path: {error}", path.display())))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| usage(format!("{} is not UTF-8 text", PathBuf::from(path).display())))
}

fn usage(message: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Usage, message)
}
