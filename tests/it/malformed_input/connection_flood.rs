//! One tenant with thousands of connections, against the real program.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;

use futures::StreamExt as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use skillkeep::tenancy::ApiKey;

use super::{assert_refused, wrongs};
use crate::command::program_as;
use crate::harness::TestDb;
use crate::http_server::{Agent, assert_served, call};

const STREAMS: usize = 2000;
const CAP: usize = 1900;

/// The real program as a server.
struct Program {
    child: Child,
    at: SocketAddr,
}

impl Program {
    fn start(db: &TestDb, arguments: &[&str]) -> Self {
        let mut child = program_as("skillkeep_app", db, &["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("skillkeep serves http://")
            .and_then(|rest| rest.strip_suffix("/mcp\n"))
            .unwrap_or_else(|| panic!("{line}"));
        Self {
            at: address.parse().unwrap(),
            child,
        }
    }

    /// Memory in use, in MiB.
    #[cfg(target_os = "linux")]
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    #[cfg(not(target_os = "linux"))]
    fn memory(&self) -> u64 {
        let id = self.child.id().to_string();
        let told = std::process::Command::new("ps")
            .args(["-o", "rss=", "-p", &id])
            .output()
            .unwrap();
        String::from_utf8(told.stdout)
            .unwrap()
            .trim()
            .parse::<u64>()
            .unwrap()
            / 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// This process holds the other end of every connection.
fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_idle_streams_of_one_tenant_harm_nobody() {
    raise_descriptor_limit();
    let db = TestDb::new().await;
    let crowd = db.full_key(db.tenant("acme").await).await;
    let other = db.full_key(db.tenant("globex").await).await;
    let program = Program::start(&db, &["--sse-per-tenant", &CAP.to_string()]);
    assert_served(program.at, &other).await;
    let before = program.memory();
    let client = reqwest::Client::new();
    let opened: Vec<_> = futures::stream::iter(0..STREAMS)
        .map(|_| Agent::open(&client, program.at, &crowd))
        .buffer_unordered(64)
        .collect()
        .await;
    let (streams, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    let mut told = BTreeMap::<_, usize>::new();
    for refusal in refused {
        let refusal = refusal.err().unwrap();
        let (status, waits) = (
            refusal.status().as_u16(),
            refusal.headers().contains_key("retry-after"),
        );
        *told
            .entry((status, waits, refusal.text().await.unwrap()))
            .or_default() += 1;
    }
    assert!(
        told.keys()
            .all(|(status, waits, _)| (*status, *waits) == (429, true)),
        "{told:?}"
    );
    assert_eq!(
        (streams.len(), told.values().sum::<usize>()),
        (CAP, STREAMS - CAP),
        "{told:?}"
    );
    assert_served(program.at, &other).await;
    // The crowd itself may go on calling: streams and calls are counted apart.
    assert_served(program.at, &crowd).await;
    let mut agent = Agent::greet(program.at, &other).await;
    assert!(agent.ask(&call(1, "whoami", &json!({}))).await["result"].is_object());
    let grown = program.memory().saturating_sub(before);
    eprintln!("{CAP} idle streams took {grown} MiB");
    assert!(grown < 200, "{CAP} idle streams took {grown} MiB");
    drop(streams);
    assert_served(program.at, &other).await;
}

async fn bad_messages(at: SocketAddr, key: &ApiKey) {
    let url = format!("http://{at}/mcp");
    futures::stream::iter((0..4).flat_map(|_| wrongs()))
        .for_each_concurrent(16, |wrong| assert_refused(&url, key, wrong))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_deep_messages_do_not_stay_in_memory() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let program = Program::start(&db, &[]);
    // The first round fills what an allocator keeps for itself.
    bad_messages(program.at, &key).await;
    let before = program.memory();
    for _ in 0..4 {
        bad_messages(program.at, &key).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let grown = program.memory().saturating_sub(before);
    eprintln!("four more rounds of bad messages took {grown} MiB");
    assert!(grown < 64, "four more rounds of bad messages took {grown} MiB");
    assert_served(program.at, &key).await;
}
