//! The sizes of what a model reads: the tool list, search answers, a file's text in pages, answers about hostile skills.

mod hostile;
mod texts;

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Client, TestDb};
use crate::import::{import, samples};
use crate::methods::client::{Transport, WireClient};

/// Bytes of the reply to `tools/list`, for a key that may call every tool.
const MAX_TOOL_LIST_BYTES: usize = 26_000;
/// Characters of the text of a search answer with ten hits.
const MAX_SEARCH_CHARS: usize = 3_000;

/// The text that a model reads.
async fn text(client: &Client, tool: &str, arguments: Value) -> String {
    let result = client.call(tool, arguments).await.unwrap();
    assert_ne!(result.is_error, Some(true), "{result:?}");
    assert_eq!(result.content.len(), 1, "{result:?}");
    result.content[0].as_text().unwrap().text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_list_fits_into_26_kilobytes() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let mut client = WireClient::connect(&db.service(), &key, Transport::InMemory).await;
    let list = client.ok("tools/list", json!({})).await;
    for tool in list["tools"].as_array().unwrap() {
        eprintln!(
            "{:<16} {:>6} bytes, of which input {:>5}, output {:>5}, description {:>4}",
            tool["name"].as_str().unwrap(),
            tool.to_string().len(),
            tool["inputSchema"].to_string().len(),
            tool["outputSchema"].to_string().len(),
            tool["description"].as_str().unwrap().len(),
        );
    }
    let bytes = list.to_string().len();
    eprintln!("tools/list       {bytes:>6} bytes");
    assert!(bytes <= MAX_TOOL_LIST_BYTES, "{bytes}");
}

/// Whether a value has the form that an output schema states, and no field that it does not state.
fn assert_matches(schema: &Value, value: &Value, path: &str) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let expected = schema["type"].as_str().unwrap_or(kind);
    assert!(
        expected == kind || (expected == "number" && kind == "integer"),
        "{path}: {value} is no {expected}"
    );
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        assert_matches(&schema["items"], item, &format!("{path}[{index}]"));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(
            value.get(required.as_str().unwrap()).is_some(),
            "{path} lacks {required}"
        );
    }
    if let Some(any) = schema.get("additionalProperties") {
        for field in value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|_| any.is_object())
        {
            assert_matches(any, field.1, path);
        }
        return;
    }
    if schema.get("properties").is_none() {
        // The schemas of long outputs name the fields of the output itself only.
        assert!(path.contains(['.', '[']), "the schema of {path} names no fields");
        return;
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let property = &schema["properties"][name];
        assert!(property.is_object(), "{path}: the schema has no {name}");
        assert_matches(property, field, &format!("{path}.{name}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_match_their_schemas_and_name_next_step() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let long = "A line of a long file.\n".repeat(2_000);
    for text in ["Fills in PDF forms.", "Fills in PDF forms of any kind."] {
        db.skill(acme, "fill-pdf", text, &[("notes.txt", long.as_bytes())])
            .await;
    }
    let (service, key) = (db.service(), db.full_key(acme).await);
    let client = Client::connect(&service, &key).await;
    let mut wire = WireClient::connect(&service, &key, Transport::InMemory).await;
    let list = wire.ok("tools/list", json!({})).await;
    let old = json!({"skill": "fill-pdf", "version": "1", "assistant": "codex"});
    let install = client.ok("install_skill", old.clone()).await;
    let files: Vec<Value> = install["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| json!({"path": file["path"], "digest": file["digest"]}))
        .collect();
    let calls = [
        ("search_skills", json!({})),
        ("search_skills", json!({"query": "fill a pdf harpsichord"})),
        ("search_skills", json!({"query": "harpsichord"})),
        ("search_skills", json!({"query": "fil pdfs", "facets": true})),
        ("recommend_skills", json!({"text": "fill a pdf form"})),
        ("recommend_skills", json!({})),
        ("get_skill", json!({"skill": "fill-pdf"})),
        (
            "get_skill",
            json!({"skill": "fill-pdf", "version": "latest", "digests": true}),
        ),
        ("get_skill", json!({"skill": "fill-pdf", "file": "notes.txt"})),
        ("install_skill", old),
        (
            "confirm_install",
            json!({"install_id": install["install_id"], "files": files}),
        ),
        (
            "confirm_install",
            json!({"install_id": install["install_id"], "files": [files[0]]}),
        ),
        (
            "check_installed",
            json!({"installed": [{"skill": "fill-pdf", "version": "1", "files": files}, {"skill": "nothing"}]}),
        ),
        (
            "record_usage",
            json!({"skill": "fill-pdf", "outcome": "stale", "minutes_saved": 1}),
        ),
        ("usage_report", json!({"order": "users"})),
        ("whoami", json!({})),
    ];
    for (tool, arguments) in calls {
        let answer = client.ok(tool, arguments.clone()).await;
        let described = list["tools"].as_array().unwrap().iter();
        let described = described
            .clone()
            .find(|described| described["name"] == tool)
            .unwrap();
        assert_matches(&described["outputSchema"], &answer, tool);
        let next_step = answer["next_step"].as_str().unwrap_or_default();
        assert!(
            (15..200).contains(&next_step.len()),
            "{tool} {arguments}: {next_step:?}"
        );
        // Times have no fractions of a second.
        assert!(!answer.to_string().contains(".000"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_used_hits_fit_into_3000_characters() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    let sentence =
        "Fills in, merges, splits and signs \"PDF\" forms from spreadsheets, e-mails and databases. ";
    for number in 0..12 {
        let slug = format!("pdf-forms-of-the-department-{number}");
        let description = format!("'{} Number {number}.'", sentence.repeat(8).trim());
        db.skill(acme, &slug, &description, &[("scripts/fill.sh", b"#!/bin/sh\n")])
            .await;
        for outcome in ["helped", "failed"] {
            client
                .ok("record_usage", json!({"skill": slug, "outcome": outcome}))
                .await;
        }
    }
    for arguments in [
        json!({"query": "sign the PDF forms of the accounting department"}),
        json!({}),
    ] {
        let answer = text(&client, "search_skills", arguments).await;
        let json: Value = serde_json::from_str(&answer).unwrap();
        let hits = json["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 10);
        assert_eq!((&hits[0]["helped"], &hits[0]["files"]), (&json!(1), &json!(2)));
        assert!(
            hits[0]["description"].as_str().unwrap().chars().count() >= 60,
            "{answer}"
        );
        assert!(
            answer.chars().count() <= MAX_SEARCH_CHARS,
            "{}: {answer}",
            answer.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_file_is_read_in_pages() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let file: String = (0..4_000)
        .map(|line| format!("Line {line} of the ältest file.\n"))
        .collect();
    db.skill(
        acme,
        "long",
        "Has a long file.",
        &[("notes.txt", file.as_bytes())],
    )
    .await;
    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    let (mut read, mut arguments) = (String::new(), json!({"skill": "long", "file": "notes.txt"}));
    loop {
        let answer = client.ok("get_skill", arguments.clone()).await;
        let page = &answer["file"];
        let text = page["text"].as_str().unwrap();
        assert!(text.chars().count() <= 16_000 && text.ends_with('\n'));
        assert_eq!(page["total_chars"], file.chars().count());
        read.push_str(text);
        match page.get("next_offset") {
            Some(offset) => arguments["offset"] = offset.clone(),
            None => break,
        }
    }
    assert!(read == file);
    arguments["offset"] = json!(file.chars().count());
    let refused = client.error("get_skill", arguments).await;
    assert!(refused.contains("behind the end"), "{refused}");
}

/// Every 30th of the dev queries, or the words of the samples.
fn queries(corpus: Option<&Path>) -> Vec<String> {
    let Some(corpus) = corpus else {
        return ["flaky test", "incident report", "pull request review", "csv"]
            .map(str::to_owned)
            .to_vec();
    };
    let file = std::fs::File::open(corpus.join("queries-dev.jsonl.gz")).unwrap();
    let lines = std::io::BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines();
    let queries = lines.step_by(30).map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line["query"].as_str().unwrap().to_owned()
    });
    queries.collect()
}

/// `SKILLKEEP_CORPUS` names a folder with `skills-md.tar.gz` and `queries-dev.jsonl.gz`. Without it, the test uses the samples.
#[tokio::test(flavor = "multi_thread")]
async fn median_search_answer_fits_into_3000_characters() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let corpus = std::env::var_os("SKILLKEEP_CORPUS").map(PathBuf::from);
    let unpacked = tempfile::tempdir().unwrap();
    let root = match &corpus {
        Some(corpus) => {
            let file = std::fs::File::open(corpus.join("skills-md.tar.gz")).unwrap();
            let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
            archive.unpack(unpacked.path()).unwrap();
            unpacked.path().to_owned()
        }
        None => samples(),
    };
    import(&db, &root, &[]);
    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    // Without optimisation, the first searches time out while they build the index; each continues where the last one stopped.
    while client
        .call("search_skills", json!({"query": "x"}))
        .await
        .unwrap()
        .is_error
        == Some(true)
    {}
    let mut sizes = Vec::new();
    // Without optimisation, a search takes a second.
    let every = if cfg!(debug_assertions) { 4 } else { 1 };
    for query in queries(corpus.as_deref()).into_iter().step_by(every) {
        let answer = text(&client, "search_skills", json!({"query": query})).await;
        sizes.push(answer.chars().count());
        if sizes.len() == 1 {
            eprintln!("{answer}");
        }
    }
    sizes.sort_unstable();
    let (median, p90) = (sizes[sizes.len() / 2], sizes[sizes.len() * 9 / 10]);
    eprintln!(
        "search_skills: {} queries, median {median}, p90 {p90}, largest {}",
        sizes.len(),
        sizes[sizes.len() - 1]
    );
    assert!(median <= MAX_SEARCH_CHARS, "{median}");
}
