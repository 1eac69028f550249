//! An MCP client that calls tools over stdio, Streamable HTTP or HTTP+SSE, for `skillkeep call` and `skillkeep test`.
//!
//! The two HTTP transports go through the bridge, so certificates, retries and errors are the bridge's.

mod outcome;
mod process;

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, JsonObject, ProtocolVersion,
    Tool,
};
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::{RoleClient, ServiceExt as _};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use self::outcome::{CallFailure, CallReply, Outcome};

use self::process::ServerProcess;
use crate::bridge::{self, Remote};

/// How long the bridge may take to finish after the client has left.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection or a call may take: longer than a bridge waits for an answer, or a process for a database.
const ANSWER_LIMIT: Duration = Duration::from_secs(330);
/// Bytes between client and bridge that wait to be read.
const BUFFER: usize = 1 << 20;
/// The version of MCP that HTTP+SSE belongs to.
const SSE_VERSION: ProtocolVersion = ProtocolVersion::V_2024_11_05;

/// How a client reaches the registry.
#[derive(Debug)]
pub enum Endpoint {
    /// A program that speaks MCP on its stdin and stdout: `skillkeep stdio` or `skillkeep bridge`.
    Process(Command),
    /// Streamable HTTP.
    Http(Remote),
    /// HTTP+SSE of MCP 2024-11-05.
    Sse(Remote),
}

/// A connected client of one API key.
pub struct ToolClient {
    service: RunningService<RoleClient, ClientConfig>,
    server: Server,
}

/// What serves the client on this machine.
enum Server {
    Process(ServerProcess),
    Bridge(JoinHandle<()>),
}

impl Server {
    async fn close(self) {
        match self {
            Self::Process(process) => process.close().await,
            Self::Bridge(mut task) => {
                if timeout(CLOSE_LIMIT, &mut task).await.is_err() {
                    task.abort();
                }
            }
        }
    }
}

impl ToolClient {
    /// Connects and completes the MCP handshake.
    ///
    /// # Errors
    /// If the registry cannot be reached or rejects the API key.
    pub async fn connect(endpoint: Endpoint) -> Result<Self, CallFailure> {
        match timeout(ANSWER_LIMIT, Self::connect_to(endpoint)).await {
            Ok(connected) => connected,
            Err(_) => Err(no_answer()),
        }
    }

    async fn connect_to(endpoint: Endpoint) -> Result<Self, CallFailure> {
        match endpoint {
            Endpoint::Process(command) => {
                let (process, streams) = ServerProcess::start(command)?;
                match client_info(ProtocolVersion::default()).serve(streams).await {
                    Ok(service) => Ok(Self {
                        service,
                        server: Server::Process(process),
                    }),
                    Err(error) => Err(process.failure(handshake_failure(error)).await),
                }
            }
            Endpoint::Http(remote) => {
                let (near, far) = tokio::io::duplex(BUFFER);
                let (input, output) = tokio::io::split(far);
                let task = tokio::spawn(bridge::run(remote, None, input, output));
                Self::over_bridge(near, task, ProtocolVersion::default()).await
            }
            Endpoint::Sse(remote) => {
                let (near, far) = tokio::io::duplex(BUFFER);
                let (input, output) = tokio::io::split(far);
                let task = tokio::spawn(bridge::run_over_sse(remote, input, output));
                Self::over_bridge(near, task, SSE_VERSION).await
            }
        }
    }

    async fn over_bridge(
        near: tokio::io::DuplexStream,
        task: JoinHandle<()>,
        version: ProtocolVersion,
    ) -> Result<Self, CallFailure> {
        let server = Server::Bridge(task);
        match client_info(version).serve(near).await {
            Ok(service) => Ok(Self { service, server }),
            Err(error) => {
                server.close().await;
                Err(handshake_failure(error))
            }
        }
    }

    /// The tools that the registry offers.
    ///
    /// # Errors
    /// If the registry does not answer or refuses.
    pub async fn tools(&self) -> Result<Vec<Tool>, CallFailure> {
        match timeout(ANSWER_LIMIT, self.service.list_all_tools()).await {
            Ok(listed) => listed.map_err(|error| service_failure(&error)),
            Err(_) => Err(no_answer()),
        }
    }

    /// Calls a tool. A call that the registry refuses is a reply, with its outcome.
    pub async fn call(&self, tool: &str, arguments: JsonObject) -> CallReply {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        match timeout(ANSWER_LIMIT, self.service.call_tool(request)).await {
            Ok(Ok(result)) => CallReply::from_result(result),
            Ok(Err(error)) => CallReply::from_failure(service_failure(&error)),
            Err(_) => CallReply::from_failure(no_answer()),
        }
    }

    /// Disconnects, and waits for the end of the process or bridge.
    pub async fn close(self) {
        if let Err(error) = self.service.cancel().await {
            tracing::warn!(%error, "the MCP client did not end in order");
        }
        self.server.close().await;
    }
}

fn client_info(version: ProtocolVersion) -> ClientConfig {
    let program = Implementation::new("skillkeep-call", env!("CARGO_PKG_VERSION"));
    ClientConfig::new(ClientCapabilities::default(), program).with_protocol_version(version)
}

fn no_answer() -> CallFailure {
    let message = format!(
        "the registry gave no answer in {} seconds",
        ANSWER_LIMIT.as_secs()
    );
    CallFailure::new(Outcome::Unreachable, message)
}

fn handshake_failure(error: ClientInitializeError) -> CallFailure {
    if let ClientInitializeError::JsonRpcError(error) = error {
        return CallFailure::from_error(&error);
    }
    let message = format!("no MCP connection to the registry: {error}");
    CallFailure::new(Outcome::Unreachable, message)
}

fn service_failure(error: &ServiceError) -> CallFailure {
    if let ServiceError::McpError(error) = error {
        return CallFailure::from_error(error);
    }
    let message = format!("the registry gave no answer: {error}");
    CallFailure::new(Outcome::Unreachable, message)
}
