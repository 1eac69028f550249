//! Thousands of messages over stdio, while tools panic and the database is slow.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::{initialize, line};
use crate::command::{CommandOutput, program_as};
use crate::harness::TestDb;

const MESSAGES: i64 = 10_000;
/// Requests that may be pending at once.
const MAX_PENDING: usize = 64;
/// The longest time without output on stdout.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The method and the parameters of the request with this id.
fn request(number: i64) -> (&'static str, Value) {
    let tool = |name: &str, arguments: Value| ("tools/call", json!({"name": name, "arguments": arguments}));
    let uri = "skill://fill-pdf/1/fill-pdf/SKILL.md";
    match number % 20 {
        0 | 1 => tool("search_skills", json!({"query": format!("marzipan {number}")})),
        2 => tool("search_skills", json!({"query": 7})),
        3 => tool("get_skill", json!({"skill": "fill-pdf"})),
        4 => tool("get_skill", json!({"skill": "no-such-skill"})),
        5 => tool("install_skill", json!({"skill": "fill-pdf"})),
        6 => tool(
            "record_usage",
            json!({"skill": "fill-pdf", "outcome": "helped", "comment": "marzipan\u{0}\n\r\u{2028}"}),
        ),
        7 => tool("usage_report", json!({})),
        8 => tool("no_such_tool", json!({})),
        9 => ("tools/call", json!({"arguments": 7})),
        10 => ("resources/read", json!({"uri": uri})),
        11 => ("resources/read", json!({"uri": "skill://marzipan/1/x/SKILL.md"})),
        12 => ("prompts/get", json!({"name": "fill-pdf"})),
        13 => ("skills/get", json!({"uri": uri})),
        14 => (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "fill-pdf"}, "argument": {"name": "skill", "value": "f"}}),
        ),
        15 => ("tools/list", json!({})),
        16 => ("resources/list", json!({"cursor": "marzipan"})),
        17 => ("marzipan/method", json!({"deep": [[[[{"a": null}]]]]})),
        18 => ("ping", json!({})),
        _ => (
            "tools/call",
            json!({"name": "whoami", "arguments": {}, "_meta": {"progressToken": number}}),
        ),
    }
}

/// Whether the client cancels the request at once.
fn is_cancelled(number: i64) -> bool {
    number % 101 == 0
}

/// Writes all messages. Waits for a permit after each request, so that at most [`MAX_PENDING`] are pending.
fn write_messages(mut stdin: ChildStdin, permits: &Receiver<()>, messages: i64) -> ChildStdin {
    stdin.write_all(&initialize()).unwrap();
    for number in 2..messages + 2 {
        let (method, params) = request(number);
        let message = json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params});
        stdin.write_all(&line(&message)).unwrap();
        if is_cancelled(number) {
            let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}});
            stdin.write_all(&line(&cancel)).unwrap();
        } else {
            permits
                .recv_timeout(TIMEOUT)
                .expect("no response on stdout for 60 s");
        }
        if number % 500 == 0 {
            // Invalid lines: the server must still write JSON-RPC only.
            stdin
                .write_all(b"\n\xff\xfe no JSON \x00\n{\"jsonrpc\":\n")
                .unwrap();
        }
    }
    stdin
}

/// Reads lines until every request that was not cancelled has its response, and returns a permit for each.
fn read_responses(stdout: &mut ChildStdout, permits: &SyncSender<()>, messages: i64) -> Vec<u8> {
    let (mut bytes, mut line_start) = (Vec::new(), 0);
    let mut pending: BTreeSet<i64> = (1..messages + 2)
        .filter(|number| !is_cancelled(*number))
        .collect();
    let mut chunk = vec![0; 1 << 16];
    while !pending.is_empty() {
        let count = stdout.read(&mut chunk).unwrap();
        assert_ne!(count, 0, "stdout ended before {pending:?} were answered");
        bytes.extend_from_slice(&chunk[..count]);
        while let Some(end) = bytes[line_start..].iter().position(|byte| *byte == b'\n') {
            let message: Value =
                serde_json::from_slice(&bytes[line_start..line_start + end]).unwrap_or_default();
            line_start += end + 1;
            if message["id"]
                .as_i64()
                .is_some_and(|id| pending.remove(&id) && id > 1)
            {
                // The writer may have finished.
                let _closed = permits.try_send(());
            }
        }
    }
    bytes
}

/// Runs the program with this many messages. Returns the bytes of stdout; the output's `err` is the log.
fn flood(mut command: Command, key: &str, messages: i64) -> (Vec<u8>, CommandOutput) {
    let mut log = tempfile::tempfile().unwrap();
    let mut child: Child = command
        .env("SKILLKEEP_API_KEY", key)
        .env("SKILLKEEP_LOG", "trace")
        .stdin(Stdio::piped())
        .stderr(log.try_clone().unwrap())
        .spawn()
        .unwrap();
    let (stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (return_permit, permits) = sync_channel(MAX_PENDING * 4);
    for _ in 0..MAX_PENDING {
        return_permit.send(()).unwrap();
    }
    let writer = std::thread::spawn(move || write_messages(stdin, &permits, messages));
    let mut bytes = read_responses(&mut stdout, &return_permit, messages);
    drop(writer.join().unwrap());
    stdout.read_to_end(&mut bytes).unwrap();
    let mut output = CommandOutput::end(child);
    std::io::Seek::rewind(&mut log).unwrap();
    log.read_to_string(&mut output.err).unwrap();
    (bytes, output)
}

/// Asserts that every line is JSON-RPC and that each request has one response; a cancelled one may have none.
fn assert_only_json_rpc(bytes: &[u8], messages: i64) {
    assert_eq!(bytes.last(), Some(&b'\n'));
    let mut responses: BTreeMap<i64, u32> = BTreeMap::new();
    for line in bytes[..bytes.len() - 1].split(|byte| *byte == b'\n') {
        let shown = String::from_utf8_lossy(line);
        let message: Value = serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert_eq!(message["jsonrpc"], "2.0", "{shown}");
        if let Some(method) = message["method"].as_str() {
            assert!(method.starts_with("notifications/"), "{shown}");
            assert!(message.get("id").is_none(), "{shown}");
            continue;
        }
        assert!(
            message.get("result").is_some() != message.get("error").is_some(),
            "{shown}"
        );
        match message["id"].as_i64() {
            Some(id) => *responses.entry(id).or_default() += 1,
            None => assert!(message["error"].is_object(), "{shown}"),
        }
    }
    for number in 1..messages + 2 {
        let count = responses.remove(&number).unwrap_or_default();
        let is_expected = count == 1 || (count == 0 && is_cancelled(number));
        assert!(is_expected, "{number} was answered {count} times");
    }
    assert_eq!(responses, BTreeMap::new(), "responses without a request");
}

/// Asserts that each tool call and each read of a skill has one usage event, for every outcome.
async fn assert_recorded(db: &TestDb, messages: i64) {
    let mut sent: BTreeMap<String, i64> = BTreeMap::new();
    for number in 2..messages + 2 {
        let (method, params) = request(number);
        if method == "tools/call"
            && let Some(tool) = params["name"].as_str()
        {
            *sent.entry(tool.to_owned()).or_default() += 1;
        } else if matches!(method, "resources/read" | "prompts/get" | "skills/get") {
            *sent.entry(method.to_owned()).or_default() += 1;
        }
    }
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT tool, count(*) AS calls FROM usage_events GROUP BY tool",
            &[],
        )
        .await
        .unwrap();
    let recorded: BTreeMap<String, i64> = rows
        .iter()
        .map(|row| (row.get("tool"), row.get("calls")))
        .collect();
    for (tool, count) in sent {
        assert_eq!(recorded.get(&tool), Some(&count), "{tool}: {recorded:?}");
    }
}

/// Asserts that the log holds neither the API key nor texts of requests and responses.
fn assert_log_has_no_secrets(log: &str, key: &str) {
    for secret in [key, "marzipan", "plum"] {
        let leak = log.lines().find(|line| line.contains(secret));
        assert_eq!(leak, None, "{secret} is in the log");
    }
}

/// Makes a tenant with a skill. Returns an API key of it.
async fn tenant_key(db: &TestDb) -> String {
    let acme = db.tenant("acme").await;
    db.skill(acme, "fill-pdf", "Fills in PDF forms.", &[]).await;
    db.full_key(acme).await.reveal().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_is_json_rpc_only_despite_panics_and_slow_database() {
    let examples = std::env::current_exe().unwrap();
    let example: PathBuf = examples.ancestors().nth(2).unwrap().join("examples/faulty-stdio");
    assert!(
        example.is_file(),
        "{} is missing: run `cargo build --all-features --example faulty-stdio` first",
        example.display()
    );
    let db = TestDb::new().await;
    let key = tenant_key(&db).await;
    let program = program_as("skillkeep_app", &db, &[]);
    let mut command = Command::new(example);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(Stdio::piped());
    let (bytes, output) = flood(command, &key, MESSAGES);
    assert_eq!(output.code, 0);
    assert_only_json_rpc(&bytes, MESSAGES);
    assert_recorded(&db, MESSAGES).await;
    let failed: i64 = db
        .value("SELECT count(*) FROM usage_events WHERE outcome = 'panicked'")
        .await;
    assert!(failed > 20, "only {failed} requests panicked");
    let logged = output
        .err
        .lines()
        .filter(|line| line.contains("outcome="))
        .count();
    assert!(logged > 7000, "only {logged} calls were logged");
    assert!(output.err.contains("panicked"), "no panic was logged");
    assert_log_has_no_secrets(&output.err, &key);
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_of_the_program_is_json_rpc_only() {
    let db = TestDb::new().await;
    let key = tenant_key(&db).await;
    let (bytes, output) = flood(program_as("skillkeep_app", &db, &["stdio"]), &key, 600);
    assert_eq!(output.code, 0);
    assert_only_json_rpc(&bytes, 600);
    assert_recorded(&db, 600).await;
    assert_log_has_no_secrets(&output.err, &key);
}

#[tokio::test(flavor = "multi_thread")]
async fn running_calls_are_recorded_and_exit_is_0_when_stdin_ends() {
    let db = TestDb::new().await;
    let key = tenant_key(&db).await;
    let mut command = program_as("skillkeep_app", &db, &["stdio"]);
    let mut child = command
        .env("SKILLKEEP_API_KEY", &key)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&initialize()).unwrap();
    for number in 2..22 {
        stdin
            .write_all(&super::call(number, "whoami", &json!({})))
            .unwrap();
    }
    drop(stdin);
    let output = CommandOutput::end(child);
    assert_eq!(output.code, 0, "{output:?}");
    let recorded: i64 = db
        .value("SELECT count(*) FROM usage_events WHERE tool = 'whoami'")
        .await;
    assert_eq!(recorded, 20);
}
