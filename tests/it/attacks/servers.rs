//! Every route into a server, by transport. Where a program is part of the route, the real one runs, with its log at level `trace`.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;

use serde_json::Value;
use skillkeep::isolation_probe::{ClientError, Fixtures, InMemoryClient, ProbeClient};
use skillkeep::server::{CallService, ProtocolProfile, TransportKind};
use skillkeep::tenancy::ApiKey;

use super::clients::{HttpClient, ProcessClient, SseClient};
use crate::command::{program, program_as};
use crate::harness::TestDb;

#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) name: &'static str,
    protocol_profile: ProtocolProfile,
    kind: RouteKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum RouteKind {
    /// The server's handler over an in-memory stream, without a process.
    InMemory,
    /// `skillkeep stdio`.
    Stdio,
    /// `skillkeep serve`, one HTTP request at a time.
    Http,
    /// `skillkeep bridge` to `skillkeep serve`.
    Bridge,
    /// `skillkeep serve`, with an event stream.
    Sse,
}

const fn route(name: &'static str, protocol_profile: ProtocolProfile, kind: RouteKind) -> Route {
    Route {
        name,
        protocol_profile,
        kind,
    }
}

/// The routes of a transport. The match is exhaustive, so a new transport does not compile without its routes.
pub(super) fn routes(transport: TransportKind) -> Vec<Route> {
    use ProtocolProfile::{Current, LegacyStateful, LegacyStateless};
    match transport {
        TransportKind::Stdio => vec![
            route("memory, legacy", LegacyStateful, RouteKind::InMemory),
            route("memory, current", Current, RouteKind::InMemory),
            route("stdio, legacy", LegacyStateful, RouteKind::Stdio),
            route("stdio, current", Current, RouteKind::Stdio),
        ],
        TransportKind::Http => vec![
            route("http, legacy", LegacyStateless, RouteKind::Http),
            route("http, current", Current, RouteKind::Http),
            route("bridge, legacy", LegacyStateless, RouteKind::Bridge),
            route("bridge, current", Current, RouteKind::Bridge),
        ],
        TransportKind::Sse => vec![route("sse", LegacyStateful, RouteKind::Sse)],
    }
}

impl Route {
    /// Whether all attacks are sent over it by default.
    pub(super) fn is_fast(self) -> bool {
        self.kind == RouteKind::InMemory
    }

    pub(super) fn has_notifications(self) -> bool {
        self.protocol_profile != ProtocolProfile::LegacyStateless
    }
}

/// A database with the test tenants, and a server process if the route needs one.
pub(super) struct TestServer {
    pub(super) db: TestDb,
    pub(super) fixtures: Fixtures,
    service: Arc<CallService>,
    logs: tempfile::TempDir,
    server: Option<(Child, SocketAddr)>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.server {
            let _killed = child.kill();
            let _reaped = child.wait();
        }
    }
}

impl TestServer {
    pub(super) async fn new(route: Route) -> Self {
        let db = TestDb::new().await;
        let service = db.service();
        let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
        let mut server = Self {
            db,
            fixtures,
            service,
            logs: tempfile::tempdir().unwrap(),
            server: None,
        };
        match route.kind {
            RouteKind::InMemory | RouteKind::Stdio => {}
            RouteKind::Http | RouteKind::Bridge | RouteKind::Sse => server.start_process().await,
        }
        server
    }

    async fn start_process(&mut self) {
        let mut command = program_as("skillkeep_app", &self.db, &["serve", "--listen", "127.0.0.1:0"]);
        command.env("SKILLKEEP_LOG", "trace").stderr(self.open_log());
        let child = command.spawn().unwrap();
        // Stored before the wait, so that the process is killed if the wait fails. Its log says where it listens.
        let address = &mut self
            .server
            .insert((child, SocketAddr::from(([127, 0, 0, 1], 0))))
            .1;
        let log_path = self.logs.path().join("log");
        for _ in 0..1_200 {
            let log = std::fs::read_to_string(&log_path).unwrap();
            let found = log.lines().find_map(|line| {
                line.strip_prefix("skillkeep serves http://")?
                    .strip_suffix("/mcp")
            });
            if let Some(found) = found {
                *address = found.parse().unwrap();
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the server does not say where it listens");
    }

    fn log_path(&self) -> PathBuf {
        self.logs.path().join("log")
    }

    fn open_log(&self) -> File {
        let mut options = File::options();
        options.create(true).append(true);
        options.open(self.log_path()).unwrap()
    }

    pub(super) async fn connect(&self, route: Route, key: &ApiKey) -> RouteClient {
        let address = || self.server.as_ref().unwrap().1;
        let start = async |mut command: std::process::Command| {
            command
                .env("SKILLKEEP_API_KEY", key.reveal())
                .env("SKILLKEEP_LOG", "trace");
            let client = ProcessClient::start(command, self.open_log(), route.protocol_profile).await;
            RouteClient::Process(Box::new(client))
        };
        match route.kind {
            RouteKind::InMemory if route.protocol_profile == ProtocolProfile::Current => {
                RouteClient::InMemory(InMemoryClient::connect_current(&self.service, key.clone()))
            }
            RouteKind::InMemory => RouteClient::InMemory(
                InMemoryClient::connect_legacy(&self.service, key.clone())
                    .await
                    .unwrap(),
            ),
            RouteKind::Stdio => start(program_as("skillkeep_app", &self.db, &["stdio"])).await,
            RouteKind::Bridge => start(program(&["bridge", &format!("http://{}", address())])).await,
            RouteKind::Http => RouteClient::Http(HttpClient::new(address(), key, route.protocol_profile)),
            RouteKind::Sse => RouteClient::Sse(Box::new(SseClient::connect(address(), key).await)),
        }
    }

    /// The log of all processes; `None` if there was none.
    pub(super) fn read_log(&self) -> Option<String> {
        std::fs::read_to_string(self.log_path()).ok()
    }
}

/// The client for any route.
pub(super) enum RouteClient {
    InMemory(InMemoryClient),
    Http(HttpClient),
    Sse(Box<SseClient>),
    Process(Box<ProcessClient>),
}

impl RouteClient {
    /// Disconnects; a process must exit with code 0.
    pub(super) async fn close(self) {
        match self {
            Self::Process(client) => client.close().await,
            Self::InMemory(_) | Self::Http(_) | Self::Sse(_) => {}
        }
    }

    pub(super) async fn next_notification(&mut self) -> Value {
        match self {
            Self::InMemory(client) => client.next_notification().await.unwrap(),
            Self::Http(client) => client.next_notification().await,
            Self::Sse(client) => client.agent.answer().await,
            Self::Process(client) => client.next_notification().await,
        }
    }
}

impl ProbeClient for RouteClient {
    async fn request(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        match self {
            Self::InMemory(client) => client.request(method, params).await,
            Self::Http(client) => client.request(method, params).await,
            Self::Sse(client) => client.request(method, params).await,
            Self::Process(client) => client.request(method, params).await,
        }
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        match self {
            Self::InMemory(client) => client.protocol_profile(),
            Self::Http(client) => client.protocol_profile(),
            Self::Sse(client) => client.protocol_profile(),
            Self::Process(client) => client.protocol_profile(),
        }
    }
}
