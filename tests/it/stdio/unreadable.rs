//! Lines that the server cannot read, and messages that its JSON parser would refuse: each request gets an answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;

use serde_json::{Value, json};

use super::{call, exchange, initialize, line, start};
use crate::harness::TestDb;

/// The answer to the request with this id.
fn answer(lines: &[Value], id: impl Into<Value>) -> &Value {
    let id = id.into();
    let mut answers = lines.iter().filter(|line| line.get("id") == Some(&id));
    let answer = answers
        .next()
        .unwrap_or_else(|| panic!("no answer to {id}: {lines:?}"));
    assert_eq!(answers.next(), None, "a second answer to {id}: {lines:?}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_line_is_answered_and_reported_without_its_content() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    for (unreadable, code) in [
        (&b"{not marzipan"[..], -32_700),
        (b"\xff\xfe marzipan", -32_700),
        (b"{\"jsonrpc\": \"2.0\", \"id\": 7, \"marzipan", -32_700),
        (b"7", -32_600),
        (
            b"[{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"marzipan\"}]",
            -32_600,
        ),
    ] {
        let input = [
            initialize(),
            unreadable.to_vec(),
            b"\n".to_vec(),
            call(2, "whoami", &json!({})),
        ]
        .concat();
        let output = exchange(start(&db, key.reveal(), "warn"), &input, 3);
        assert_eq!(output.code, 0, "{output:?}");
        let lines = output.json_lines();
        let error = answer(&lines, Value::Null);
        assert_eq!(error["error"]["code"], code, "{error}");
        assert!(answer(&lines, 2)["result"].is_object(), "{lines:?}");
        assert!(output.err.contains(&code.to_string()), "{output:?}");
        assert!(
            !output.err.contains("marzipan") && !output.out.contains("marzipan"),
            "{output:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_message_is_answered_with_its_own_id() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let invalid = b"{\"jsonrpc\": \"1.0\", \"id\": 2, \"method\": \"ping\"}\n\
        {\"jsonrpc\": \"2.0\", \"id\": \"three\"}\n\
        {\"jsonrpc\": \"2.0\", \"id\": 18446744073709551615, \"method\": \"ping\"}\n\
        {\"jsonrpc\": \"2.0\", \"id\": 5, \"method\": \"tools/call\", \"params\": {\"name\": \"whoami\", \"arguments\": {\"n\": 1e400}}}\n";
    // As some clients write it, with the id last.
    let long = format!(
        "{{\"method\": \"ping\", \"params\": {{\"x\": \"{}\"}}, \"jsonrpc\": \"2.0\", \"id\": 6}}\n",
        "x".repeat(17 << 20)
    );
    let input = [initialize(), invalid.to_vec(), long.into_bytes()].concat();
    let lines = exchange(start(&db, key.reveal(), "warn"), &input, 6).json_lines();
    for (id, code) in [
        (json!(2), -32_600),
        (json!("three"), -32_600),
        (json!(u64::MAX), -32_600),
        (json!(5), -32_602),
        (json!(6), -32_600),
    ] {
        assert_eq!(
            answer(&lines, id.clone())["error"]["code"],
            code,
            "{id}: {lines:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_surrogate_pair_is_answered_as_the_replacement_character() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let search = call(2, "search_skills", &json!({"query": "half HALF whole WHOLE"}));
    let search = String::from_utf8(search).unwrap();
    let search = search
        .replace("HALF", "\\ud83d")
        .replace("WHOLE", "\\ud83d\\ude00");
    let id = b"{\"jsonrpc\": \"2.0\", \"id\": \"\\udead\", \"method\": \"ping\"}\n";
    let input = [initialize(), search.into_bytes(), id.to_vec()].concat();
    let lines = exchange(start(&db, key.reveal(), "warn"), &input, 3).json_lines();
    assert_eq!(answer(&lines, 2)["result"]["isError"], false, "{lines:?}");
    assert!(answer(&lines, "\u{fffd}")["result"].is_object());
    let text: String = db
        .value("SELECT arguments->>'search_text' FROM usage_events")
        .await;
    assert_eq!(text, "half \u{fffd} whole \u{1f600}");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_line_without_line_feed_is_answered() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let mut input = [initialize(), call(2, "whoami", &json!({}))].concat();
    assert_eq!(input.pop(), Some(b'\n'));
    let output = exchange(start(&db, key.reveal(), "warn"), &input, 1);
    assert!(
        answer(&output.json_lines(), 2)["result"].is_object(),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn program_ends_when_the_client_reads_no_answers() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let mut child: Child = start(&db, key.reveal(), "warn");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&initialize()).unwrap();
    // More than a pipe and the queue hold.
    let list = |id: u32| line(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"}));
    for id in 2..100 {
        stdin.write_all(&list(id)).unwrap();
    }
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdin);
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let status = tokio::time::timeout(std::time::Duration::from_secs(60), ended).await;
    assert!(status.expect("the program does not end").unwrap().success());
    drop(stdout);
}

/// Starts a connection with this protocol version.
fn greet(version: &str) -> Vec<u8> {
    let initialize = String::from_utf8(initialize()).unwrap();
    initialize.replace("2025-11-25", version).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_of_version_2025_03_26_is_answered_with_one_array() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let batch = format!(
        "[{},{},{{\"jsonrpc\": \"2.0\", \"method\": \"notifications/unknown\"}},{{\"id\": 4}},{}]\n",
        text(call(2, "whoami", &json!({}))).trim(),
        text(call(3, "no_such_tool", &json!({}))).trim(),
        text(call(2, "whoami", &json!({}))).trim(),
    );
    let only_notifications = "[{\"jsonrpc\": \"2.0\", \"method\": \"notifications/unknown\"}]\n";
    let too_long = format!("[{}]\n", vec!["{}"; 33].join(","));
    let input = [
        greet("2025-03-26"),
        only_notifications.into(),
        batch.into_bytes(),
        too_long.into_bytes(),
        call(9, "whoami", &json!({})),
    ]
    .concat();
    let lines = exchange(start(&db, key.reveal(), "warn"), &input, 4).json_lines();
    assert_eq!(answer(&lines, Value::Null)["error"]["code"], -32_600);
    assert!(answer(&lines, 9)["result"].is_object());
    let array = lines.iter().find_map(Value::as_array).unwrap();
    let mut ids: Vec<(i64, bool)> = array
        .iter()
        .map(|answer| (answer["id"].as_i64().unwrap(), answer["error"].is_null()))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [(2, false), (2, true), (3, false), (4, false)], "{array:?}");
    assert_eq!(db.events(acme).await.len(), 3, "each call of a batch is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_field_in_arguments_is_refused_and_recorded() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let twice = call(2, "search_skills", &json!({"query": "a", "tag": "b"}));
    let twice = String::from_utf8(twice).unwrap().replace("\"tag\"", "\"query\"");
    let input = [initialize(), twice.into_bytes()].concat();
    let lines = exchange(start(&db, key.reveal(), "warn"), &input, 2).json_lines();
    let result = &answer(&lines, 2)["result"];
    assert_eq!(result["isError"], true, "{lines:?}");
    assert!(result.to_string().contains("occurs twice"), "{result}");
    let expected = ("search_skills".to_owned(), "invalid_arguments".to_owned());
    assert_eq!(db.events(acme).await, [expected]);
}
