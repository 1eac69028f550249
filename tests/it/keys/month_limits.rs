//! Limits per month where several processes share a database, and where clocks were wrong.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};
use skillkeep::tenancy::ApiKey;

use super::limits::{limit_tenant, outcomes, per_month};
use crate::command::program_as;
use crate::harness::{Client, TestDb};

/// A `skillkeep stdio` process.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(db: &TestDb, key: &ApiKey) -> Self {
        let mut command = program_as("skillkeep_app", db, &["stdio"]);
        command
            .env("SKILLKEEP_API_KEY", key.reveal())
            .stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self { child, out };
        process.ask(
            "initialize",
            &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "limits", "version": "1"}}),
        );
        process.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        process
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Makes a call. Returns whether it was admitted.
    fn call(&mut self) -> bool {
        let answer = self.ask("tools/call", &json!({"name": "whoami", "arguments": {}}));
        let text = answer["result"].to_string();
        let is_admitted = answer["result"]["isError"] == false;
        assert!(is_admitted || text.contains("calls per month"), "{answer}");
        is_admitted
    }
}

/// A process counts the calls of the others too, although it counted them when it was started.
#[tokio::test(flavor = "multi_thread")]
async fn month_limit_holds_across_stdio_processes() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", per_month(10)).await;
    let mut processes: Vec<Process> = (0..3).map(|_| Process::start(&db, &key)).collect();
    let admitted = tokio::task::spawn_blocking(move || {
        let calls = (0..8)
            .flat_map(|_| 0..3)
            .map(|process: usize| processes[process].call());
        let calls: Vec<bool> = calls.collect();
        (calls.iter().take_while(|admitted| **admitted).count(), calls)
    });
    let (first, calls) = admitted.await.unwrap();
    assert_eq!(first, 10, "{calls:?}");
    assert_eq!(outcomes(&db, tenant, "ok").await, 10, "{calls:?}");
}

/// A process that counted before the others called.
#[tokio::test(flavor = "multi_thread")]
async fn idle_process_counts_again_before_the_last_calls() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", per_month(60)).await;
    let (mut idle, mut busy) = (Process::start(&db, &key), Process::start(&db, &key));
    let admitted = tokio::task::spawn_blocking(move || {
        assert!(idle.call());
        let by_busy = (0..70).filter(|_| busy.call()).count();
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        (by_busy, (0..5).filter(|_| idle.call()).count())
    });
    assert_eq!(admitted.await.unwrap(), (59, 0));
}

/// Each process has one call in flight, so each but one may admit a call that the others have not seen.
#[tokio::test(flavor = "multi_thread")]
async fn processes_at_the_same_time_exceed_the_limit_by_their_running_calls_at_most() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", per_month(30)).await;
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let mut process = Process::start(&db, &key);
            std::thread::spawn(move || (0..30).filter(|_| process.call()).count())
        })
        .collect();
    let admitted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!((30..=32).contains(&admitted), "{admitted}");
    assert_eq!(outcomes(&db, tenant, "ok").await, admitted);
}

/// A clock that was ahead for an hour leaves events of later months.
#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_wrong_clock_do_not_use_the_limit_of_this_month() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", per_month(2)).await;
    let later = format!(
        "INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
         SELECT t.id, usage_partition_bound(now() + interval '62 days' + n * interval '1 ms'), t.id, t.id, 'x', 'ok', 1, 'stdio'
         FROM tenants t, generate_series(1, 5) n WHERE t.id = '{tenant}'"
    );
    db.superuser().await.batch_execute(&later).await.unwrap();
    let client = Client::connect(&db.service(), &key).await;
    for _ in 0..2 {
        client.ok("whoami", json!({})).await;
    }
    let refused = client.error("whoami", json!({})).await;
    assert!(refused.contains("2 calls per month"), "{refused}");
}
