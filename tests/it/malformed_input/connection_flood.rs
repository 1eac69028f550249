//! One tenant with thousands of connections to the program, and the memory that they take.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;

use futures::StreamExt as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use skillkeep::tenancy::ApiKey;

use super::{assert_rejected, malformed_messages};
use crate::command::program_as;
use crate::harness::TestDb;
use crate::http_server::{Agent, assert_call_succeeds, call};

/// Streams that the tenant tries to open.
const STREAMS: usize = 2000;
/// Streams that it may have open.
const MAX_STREAMS: usize = 1900;

/// The program as a server in its own process.
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
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("skillkeep serves http://")
            .and_then(|rest| rest.strip_suffix("/mcp\n"))
            .unwrap_or_else(|| panic!("{line}"));
        Self {
            at: address.parse().unwrap(),
            child,
        }
    }

    /// Resident memory, in MiB.
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
        let output = std::process::Command::new("ps")
            .args(["-o", "rss=", "-p", &id])
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
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

/// This process needs a file descriptor for the client's end of every connection.
fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_streams_of_one_tenant_do_not_affect_others() {
    raise_descriptor_limit();
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    // One key gets half of the streams.
    let keys = [db.full_key(acme).await, db.full_key(acme).await];
    let key = &keys[0];
    let other = db.full_key(db.tenant("globex").await).await;
    let program = Program::start(&db, &["--sse-per-tenant", &MAX_STREAMS.to_string()]);
    assert_call_succeeds(program.at, &other).await;
    let before = program.memory();
    let client = reqwest::Client::new();
    let opened: Vec<_> = futures::stream::iter(0..STREAMS)
        .map(|number| Agent::open(&client, program.at, &keys[number % 2]))
        .buffer_unordered(64)
        .collect()
        .await;
    let (streams, rejected): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    let mut rejections = BTreeMap::<_, usize>::new();
    for rejection in rejected {
        let rejection = rejection.err().unwrap();
        let (status, has_retry_after) = (
            rejection.status().as_u16(),
            rejection.headers().contains_key("retry-after"),
        );
        *rejections
            .entry((status, has_retry_after, rejection.text().await.unwrap()))
            .or_default() += 1;
    }
    assert!(
        rejections
            .keys()
            .all(|(status, has_retry_after, _)| (*status, *has_retry_after) == (429, true)),
        "{rejections:?}"
    );
    assert_eq!(
        (streams.len(), rejections.values().sum::<usize>()),
        (MAX_STREAMS, STREAMS - MAX_STREAMS),
        "{rejections:?}"
    );
    assert_call_succeeds(program.at, &other).await;
    // The tenant with the streams can still call: streams do not count as calls.
    assert_call_succeeds(program.at, key).await;
    let mut agent = Agent::greet(program.at, &other).await;
    assert!(agent.ask(&call(1, "whoami", &json!({}))).await["result"].is_object());
    let grown = program.memory().saturating_sub(before);
    eprintln!("{MAX_STREAMS} idle streams took {grown} MiB");
    assert!(grown < 200, "{MAX_STREAMS} idle streams took {grown} MiB");
    drop(streams);
    assert_call_succeeds(program.at, &other).await;
}

async fn send_malformed_messages(at: SocketAddr, key: &ApiKey) {
    let url = format!("http://{at}/mcp");
    futures::stream::iter((0..4).flat_map(|_| malformed_messages()))
        .for_each_concurrent(16, |malformed| assert_rejected(&url, key, malformed))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_deep_messages_are_freed() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let program = Program::start(&db, &[]);
    // After the first round the allocator has the memory that it keeps.
    send_malformed_messages(program.at, &key).await;
    let before = program.memory();
    for _ in 0..4 {
        send_malformed_messages(program.at, &key).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let grown = program.memory().saturating_sub(before);
    eprintln!("four more rounds of malformed messages took {grown} MiB");
    assert!(
        grown < 64,
        "four more rounds of malformed messages took {grown} MiB"
    );
    assert_call_succeeds(program.at, &key).await;
}
