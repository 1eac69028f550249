//! `skillkeep call`: calls one tool and prints its result.

mod tool_list;

use std::io::{IsTerminal as _, Read as _};

use rmcp::model::JsonObject;
use serde_json::Value;

use super::api_key::{KeyArgs, Stdin};
use super::database::Database;
use super::local_registry::{self, LocalServer, this_program};
use super::output;
use super::registry_args::{RegistryArgs, TransportName};
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::shown_text::visible_json;
use crate::tenancy::ApiKey;
use crate::tool_client::{CallReply, Endpoint, Outcome, ToolClient};

/// The longest arguments on stdin, in bytes: the longest message that a registry accepts over stdio.
const MAX_ARGUMENTS: u64 = 16 << 20;
/// One call needs one connection; the server's checks use a second.
const CONNECTIONS: usize = 2;

#[derive(Debug, clap::Args)]
pub(super) struct CallArgs {
    /// The tool to call; --list shows the tools
    #[arg(required_unless_present = "list")]
    tool: Option<String>,
    /// The tool's arguments as a JSON object; - reads stdin
    #[arg(default_value = "{}", value_name = "JSON", hide_default_value = true)]
    arguments: String,
    /// List the tools with their arguments
    #[arg(long, conflicts_with = "tool")]
    list: bool,
    /// Use this transport
    ///
    /// Default: stdio; with --url, http.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    transport: Option<TransportName>,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    key: KeyArgs,
}

pub(super) async fn run(config: &Config, args: CallArgs) -> Result<(), CliError> {
    let key = args.key.required_for_call(if args.arguments == "-" {
        Stdin::Used
    } else {
        Stdin::Free
    })?;
    let arguments = parse_arguments(&args.arguments)?;
    match (&args.registry.url, args.transport) {
        (Some(url), transport) => {
            let transport = transport.unwrap_or(TransportName::Http);
            let endpoint = args.registry.endpoint(url, transport, &key)?;
            call(config, endpoint, args.tool.as_deref(), arguments).await
        }
        (None, None | Some(TransportName::Stdio)) => {
            let command = local_registry::stdio_command(config, &this_program()?, &key);
            call(
                config,
                Endpoint::Process(command),
                args.tool.as_deref(),
                arguments,
            )
            .await
        }
        (None, Some(transport)) => {
            let database = Database::open(config).await?;
            let tool = args.tool.as_deref();
            let outcome = call_local_server(config, &database, transport, &key, tool, arguments).await;
            database.close().await;
            outcome
        }
    }
}

async fn call_local_server(
    config: &Config,
    database: &Database,
    transport: TransportName,
    key: &ApiKey,
    tool: Option<&str>,
    arguments: JsonObject,
) -> Result<(), CliError> {
    let server = LocalServer::start(database, CONNECTIONS).await?;
    let outcome = match RegistryArgs::local().endpoint(&server.url(), transport, key) {
        Ok(endpoint) => call(config, endpoint, tool, arguments).await,
        Err(error) => Err(error),
    };
    server.stop().await;
    outcome
}

/// Calls the tool, or lists the tools if there is none.
async fn call(
    config: &Config,
    endpoint: Endpoint,
    tool: Option<&str>,
    arguments: JsonObject,
) -> Result<(), CliError> {
    let client = ToolClient::connect(endpoint)
        .await
        .map_err(|failure| failed(&CallReply::from_failure(failure)))?;
    let outcome = match tool {
        Some(tool) => print_reply(config, &client.call(tool, arguments).await),
        None => match client.tools().await {
            Ok(tools) => tool_list::print(config, &tools),
            Err(failure) => Err(failed(&CallReply::from_failure(failure))),
        },
    };
    client.close().await;
    outcome
}

fn print_reply(config: &Config, reply: &CallReply) -> Result<(), CliError> {
    if reply.outcome != Outcome::Ok {
        return Err(failed(reply));
    }
    if config.json || !std::io::stdout().is_terminal() {
        return output::json(&reply.result);
    }
    let pretty = serde_json::to_string_pretty(&reply.result)
        .map_err(|error| CliError::new(CliErrorKind::Internal, format!("cannot write JSON: {error}")))?;
    output::line(&visible_json(&pretty))
}

/// The error of a call that did not succeed. The exit codes are those of the whole command line.
fn failed(reply: &CallReply) -> CliError {
    let kind = match reply.outcome {
        Outcome::ToolError if reply.error_code.as_deref() == Some("not_found") => CliErrorKind::NotFound,
        Outcome::ToolError => CliErrorKind::Findings,
        Outcome::InvalidArguments | Outcome::UnknownTool => CliErrorKind::Usage,
        Outcome::MissingScope | Outcome::OverLimit | Outcome::InvalidKey => CliErrorKind::Refused,
        Outcome::TimedOut | Outcome::Unreachable => CliErrorKind::Unavailable,
        Outcome::InternalError | Outcome::Ok => CliErrorKind::Internal,
    };
    CliError::new(kind, reply.error.clone())
}

fn parse_arguments(given: &str) -> Result<JsonObject, CliError> {
    let mut text = given.to_owned();
    if given == "-" {
        text.clear();
        std::io::stdin()
            .take(MAX_ARGUMENTS)
            .read_to_string(&mut text)
            .map_err(|error| {
                CliError::new(
                    CliErrorKind::Usage,
                    format!("cannot read the arguments from stdin: {error}"),
                )
            })?;
    }
    let usage = |message: String| CliError::new(CliErrorKind::Usage, message);
    match serde_json::from_str(&text) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Err(usage(
            "the arguments are no JSON object; write them as '{\"query\": \"release notes\"}'".to_owned(),
        )),
        Err(error) => Err(usage(format!(
            "the arguments are not valid JSON: {error}; write them as '{{\"query\": \"release notes\"}}'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_must_be_a_json_object() {
        assert_eq!(parse_arguments("{\"a\": 1}").unwrap().len(), 1);
        for (text, message) in [
            ("[1]", "no JSON object"),
            ("query", "not valid JSON"),
            ("", "not valid JSON"),
        ] {
            let error = parse_arguments(text).unwrap_err();
            assert_eq!(error.kind(), CliErrorKind::Usage);
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn every_outcome_has_its_exit_code() {
        let code = |outcome, error_code: Option<&str>| {
            let reply = CallReply {
                outcome,
                error_code: error_code.map(str::to_owned),
                result: Value::Null,
                error: "no".to_owned(),
            };
            failed(&reply).kind().exit_code()
        };
        assert_eq!(code(Outcome::ToolError, Some("yanked")), 1);
        assert_eq!(code(Outcome::ToolError, Some("not_found")), 3);
        let codes: Vec<u8> = Outcome::ALL.map(|outcome| code(outcome, None)).to_vec();
        assert_eq!(codes, [70, 1, 2, 2, 4, 4, 5, 70, 4, 5]);
    }
}
