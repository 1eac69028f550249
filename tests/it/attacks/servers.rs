//! Every way into a registry, by transport: the real program in each, with its log at its loudest.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;

use serde_json::Value;
use skillkeep::isolation_probe::{ClientError, Fixtures, InMemoryClient, ProbeClient};
use skillkeep::server::{CallService, ProtocolProfile, TransportKind};
use skillkeep::tenancy::ApiKey;

use super::clients::{Http, Lines, Sse};
use crate::command::{program, program_as};
use crate::harness::TestDb;

/// One way in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) name: &'static str,
    protocol_profile: ProtocolProfile,
    means: Means,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Means {
    /// The server's handler over a pipe, without a program.
    Memory,
    /// `skillkeep stdio`.
    Stdio,
    /// `skillkeep serve`, a request at a time.
    Requests,
    /// `skillkeep bridge` to `skillkeep serve`.
    Bridge,
    /// `skillkeep serve`, with an event stream.
    Stream,
}

const fn way(name: &'static str, protocol_profile: ProtocolProfile, means: Means) -> Way {
    Way {
        name,
        protocol_profile,
        means,
    }
}

/// The ways into a transport. One that is added does not compile without an attack.
pub(super) fn of(transport: TransportKind) -> Vec<Way> {
    match transport {
        TransportKind::Stdio => vec![
            way("pipe, older", ProtocolProfile::LegacyStateful, Means::Memory),
            way("pipe, newest", ProtocolProfile::Current, Means::Memory),
            way("stdio, older", ProtocolProfile::LegacyStateful, Means::Stdio),
            way("stdio, newest", ProtocolProfile::Current, Means::Stdio),
        ],
        TransportKind::Http => vec![
            way("http, older", ProtocolProfile::LegacyStateless, Means::Requests),
            way("http, newest", ProtocolProfile::Current, Means::Requests),
            way("bridge, older", ProtocolProfile::LegacyStateless, Means::Bridge),
            way("bridge, newest", ProtocolProfile::Current, Means::Bridge),
        ],
        TransportKind::Sse => vec![way("sse", ProtocolProfile::LegacyStateful, Means::Stream)],
    }
}

impl Way {
    /// Whether it is so fast that everything can be asked.
    pub(super) fn is_fast(self) -> bool {
        self.means == Means::Memory
    }

    /// Whether one is told over it what one did not ask for.
    pub(super) fn can_hear(self) -> bool {
        self.protocol_profile != ProtocolProfile::LegacyStateless
    }
}

/// A database with the three tenants, and a server for those who need one.
pub(super) struct Place {
    pub(super) db: TestDb,
    pub(super) world: Fixtures,
    service: Arc<CallService>,
    logs: tempfile::TempDir,
    server: Option<(Child, SocketAddr)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.server {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

impl Place {
    pub(super) async fn new(way: Way) -> Self {
        let db = TestDb::new().await;
        let service = db.service();
        let world = Fixtures::create(&db.admin, &service).await.unwrap();
        let mut place = Self {
            db,
            world,
            service,
            logs: tempfile::tempdir().unwrap(),
            server: None,
        };
        match way.means {
            Means::Memory | Means::Stdio => {}
            Means::Requests | Means::Bridge | Means::Stream => place.serve().await,
        }
        place
    }

    async fn serve(&mut self) {
        let mut command = program_as("skillkeep_app", &self.db, &["serve", "--listen", "127.0.0.1:0"]);
        command.env("SKILLKEEP_LOG", "trace").stderr(self.log());
        let child = command.spawn().unwrap();
        // From here on it is ended whatever happens; where it listens is said in its log.
        let at = &mut self
            .server
            .insert((child, SocketAddr::from(([127, 0, 0, 1], 0))))
            .1;
        let log = self.logs.path().join("log");
        for _ in 0..600 {
            let said = std::fs::read_to_string(&log).unwrap();
            let address = said.lines().find_map(|line| {
                line.strip_prefix("skillkeep serves http://")?
                    .strip_suffix("/mcp")
            });
            if let Some(address) = address {
                *at = address.parse().unwrap();
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the server does not say where it listens");
    }

    fn log_path(&self) -> PathBuf {
        self.logs.path().join("log")
    }

    fn log(&self) -> File {
        let mut options = File::options();
        options.create(true).append(true);
        options.open(self.log_path()).unwrap()
    }

    /// A connection of this key's.
    pub(super) async fn connect(&self, way: Way, key: &ApiKey) -> Speaker {
        let at = || self.server.as_ref().unwrap().1;
        let start = async |mut command: std::process::Command| {
            command
                .env("SKILLKEEP_API_KEY", key.reveal())
                .env("SKILLKEEP_LOG", "trace");
            Speaker::Lines(Box::new(
                Lines::start(command, self.log(), way.protocol_profile).await,
            ))
        };
        match way.means {
            Means::Memory if way.protocol_profile == ProtocolProfile::Current => {
                Speaker::InMemoryClient(InMemoryClient::connect_newest(&self.service, key.clone()))
            }
            Means::Memory => {
                Speaker::InMemoryClient(InMemoryClient::connect(&self.service, key.clone()).await.unwrap())
            }
            Means::Stdio => start(program_as("skillkeep_app", &self.db, &["stdio"])).await,
            Means::Bridge => start(program(&["bridge", &format!("http://{}", at())])).await,
            Means::Requests => Speaker::Http(Http::new(at(), key, way.protocol_profile)),
            Means::Stream => Speaker::Sse(Box::new(Sse::greet(at(), key).await)),
        }
    }

    /// What the programs logged; nothing where there is no program.
    pub(super) fn said(&self) -> Option<String> {
        std::fs::read_to_string(self.log_path()).ok()
    }
}

/// Whoever speaks.
pub(super) enum Speaker {
    InMemoryClient(InMemoryClient),
    Http(Http),
    Sse(Box<Sse>),
    Lines(Box<Lines>),
}

impl Speaker {
    /// Hangs up; a program must end well.
    pub(super) async fn end(self) {
        match self {
            Self::Lines(lines) => lines.end().await,
            Self::InMemoryClient(_) | Self::Http(_) | Self::Sse(_) => {}
        }
    }

    /// The next message that nobody asked for.
    pub(super) async fn hear(&mut self) -> Value {
        match self {
            Self::InMemoryClient(pipe) => pipe.hear().await.unwrap(),
            Self::Http(http) => http.hear().await,
            Self::Sse(sse) => sse.agent.answer().await,
            Self::Lines(lines) => lines.hear().await,
        }
    }
}

impl ProbeClient for Speaker {
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        match self {
            Self::InMemoryClient(pipe) => pipe.ask(method, params).await,
            Self::Http(http) => http.ask(method, params).await,
            Self::Sse(sse) => sse.ask(method, params).await,
            Self::Lines(lines) => lines.ask(method, params).await,
        }
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        match self {
            Self::InMemoryClient(pipe) => pipe.protocol_profile(),
            Self::Http(http) => http.protocol_profile(),
            Self::Sse(sse) => sse.protocol_profile(),
            Self::Lines(lines) => lines.protocol_profile(),
        }
    }
}
