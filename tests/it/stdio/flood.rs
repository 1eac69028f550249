//! Thousands of messages over one pair of pipes, while tools panic and the database is slow.

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
/// Requests that may be without an answer at once.
const WINDOW: usize = 64;
/// How long stdout may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// The method and the parameters of the message with this number.
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

/// Whether the client takes the request back at once.
fn is_taken_back(number: i64) -> bool {
    number % 101 == 0
}

/// Says everything, never more than the window at once; a place is free again when an answer comes.
fn speak(mut stdin: ChildStdin, free: &Receiver<()>, messages: i64) -> ChildStdin {
    stdin.write_all(&initialize()).unwrap();
    for number in 2..messages + 2 {
        let (method, params) = request(number);
        let message = json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params});
        stdin.write_all(&line(&message)).unwrap();
        if is_taken_back(number) {
            let taken_back = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}});
            stdin.write_all(&line(&taken_back)).unwrap();
        } else {
            free.recv_timeout(PATIENCE).expect("stdout is silent");
        }
        if number % 500 == 0 {
            // No message at all, which is no reason to say anything else than messages.
            stdin
                .write_all(b"\n\xff\xfe no JSON \x00\n{\"jsonrpc\":\n")
                .unwrap();
        }
    }
    stdin
}

/// Reads whole lines until every number of a request that was not taken back has its answer.
fn listen(stdout: &mut ChildStdout, free: &SyncSender<()>, messages: i64) -> Vec<u8> {
    let (mut bytes, mut begin) = (Vec::new(), 0);
    let mut open: BTreeSet<i64> = (1..messages + 2)
        .filter(|number| !is_taken_back(*number))
        .collect();
    let mut chunk = vec![0; 1 << 16];
    while !open.is_empty() {
        let count = stdout.read(&mut chunk).unwrap();
        assert_ne!(count, 0, "stdout ended before {open:?} were answered");
        bytes.extend_from_slice(&chunk[..count]);
        while let Some(end) = bytes[begin..].iter().position(|byte| *byte == b'\n') {
            let said: Value = serde_json::from_slice(&bytes[begin..begin + end]).unwrap_or_default();
            begin += end + 1;
            if said["id"].as_i64().is_some_and(|id| open.remove(&id) && id > 1) {
                // The speaker may have said all that it had to say.
                let _nobody = free.try_send(());
            }
        }
    }
    bytes
}

/// Runs the program through the whole flood, and gives all that it wrote.
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
    let (freed, free) = sync_channel(WINDOW * 4);
    for _ in 0..WINDOW {
        freed.send(()).unwrap();
    }
    let speaker = std::thread::spawn(move || speak(stdin, &free, messages));
    let mut bytes = listen(&mut stdout, &freed, messages);
    drop(speaker.join().unwrap());
    stdout.read_to_end(&mut bytes).unwrap();
    let mut ran = CommandOutput::end(child);
    std::io::Seek::rewind(&mut log).unwrap();
    log.read_to_string(&mut ran.err).unwrap();
    (bytes, ran)
}

/// Every byte is part of a line that is JSON-RPC, and each request is answered once.
fn assert_only_json_rpc(bytes: &[u8], messages: i64) {
    assert_eq!(bytes.last(), Some(&b'\n'));
    let mut answers: BTreeMap<i64, u32> = BTreeMap::new();
    for said in bytes[..bytes.len() - 1].split(|byte| *byte == b'\n') {
        let shown = String::from_utf8_lossy(said);
        let message: Value = serde_json::from_slice(said).unwrap_or_else(|error| panic!("{error}: {shown}"));
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
            Some(id) => *answers.entry(id).or_default() += 1,
            None => assert!(message["error"].is_object(), "{shown}"),
        }
    }
    for number in 1..messages + 2 {
        let count = answers.remove(&number).unwrap_or_default();
        let is_right = count == 1 || (count == 0 && is_taken_back(number));
        assert!(is_right, "{number} was answered {count} times");
    }
    assert_eq!(answers, BTreeMap::new(), "answers to what nobody asked");
}

/// Each call of a tool is an event, whatever became of it.
async fn assert_recorded(db: &TestDb, messages: i64) {
    let mut asked: BTreeMap<String, i64> = BTreeMap::new();
    for number in 2..messages + 2 {
        let (method, params) = request(number);
        if method == "tools/call"
            && let Some(tool) = params["name"].as_str()
        {
            *asked.entry(tool.to_owned()).or_default() += 1;
        } else if matches!(method, "resources/read" | "prompts/get" | "skills/get") {
            *asked.entry(method.to_owned()).or_default() += 1;
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
    for (tool, count) in asked {
        assert_eq!(recorded.get(&tool), Some(&count), "{tool}: {recorded:?}");
    }
}

/// The log tells neither the key nor what was asked, said or found.
fn assert_discreet(log: &str, key: &str) {
    for secret in [key, "marzipan", "plum"] {
        let told = log.lines().find(|line| line.contains(secret));
        assert_eq!(told, None, "{secret} is in the log");
    }
}

async fn tenant(db: &TestDb) -> String {
    let acme = db.tenant("acme").await;
    db.skill(acme, "fill-pdf", "Fills in PDF forms.", &[]).await;
    db.full_key(acme).await.reveal().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_with_panics_and_a_slow_database_leave_stdout_clean() {
    let examples = std::env::current_exe().unwrap();
    let example: PathBuf = examples.ancestors().nth(2).unwrap().join("examples/faulty-stdio");
    assert!(
        example.is_file(),
        "{} is missing: run `cargo build --example faulty-stdio` first",
        example.display()
    );
    let db = TestDb::new().await;
    let key = tenant(&db).await;
    let product = program_as("skillkeep_app", &db, &[]);
    let mut command = Command::new(example);
    for (name, value) in product.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(Stdio::piped());
    let (bytes, ran) = flood(command, &key, MESSAGES);
    assert_eq!(ran.code, 0);
    assert_only_json_rpc(&bytes, MESSAGES);
    assert_recorded(&db, MESSAGES).await;
    let failed: i64 = db
        .value("SELECT count(*) FROM usage_events WHERE outcome = 'panicked'")
        .await;
    assert!(failed > 20, "only {failed} requests panicked");
    let told = ran.err.lines().filter(|line| line.contains("outcome=")).count();
    assert!(told > 7000, "only {told} calls were logged");
    assert!(ran.err.contains("panicked"), "no panic was logged");
    assert_discreet(&ran.err, &key);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_itself_keeps_stdout_clean() {
    let db = TestDb::new().await;
    let key = tenant(&db).await;
    let (bytes, ran) = flood(program_as("skillkeep_app", &db, &["stdio"]), &key, 600);
    assert_eq!(ran.code, 0);
    assert_only_json_rpc(&bytes, 600);
    assert_recorded(&db, 600).await;
    assert_discreet(&ran.err, &key);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_when_stdin_ends_are_recorded_and_the_end_is_a_good_one() {
    let db = TestDb::new().await;
    let key = tenant(&db).await;
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
    let ran = CommandOutput::end(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    let recorded: i64 = db
        .value("SELECT count(*) FROM usage_events WHERE tool = 'whoami'")
        .await;
    assert_eq!(recorded, 20);
}
