//! `POST /skills`: archives are published as the tool `publish_skill` does, and every upload leaves one event.

mod interrupted;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_skills::limits::MAX_ARCHIVE_BYTES;
use agent_skills::{SkillFile, SkillPath, write_zip};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::server::CallService;
use skillkeep::tenancy::{ApiKey, Scope};

use crate::harness::{Client, TestDb};
use crate::http_server::serve;

pub(crate) const SKILL_MD: &str = "---\nname: fold-map\ndescription: Folds a map.\n---\nFold it.\n";

/// The files of a skill: text, an executable script and bytes that are no text.
pub(crate) fn files() -> Vec<SkillFile> {
    let file = |path: &str, bytes: &[u8], is_executable| SkillFile {
        path: SkillPath::parse(path).unwrap(),
        bytes: bytes.to_vec(),
        is_executable,
    };
    vec![
        file("SKILL.md", SKILL_MD.as_bytes(), false),
        file("assets/map.bin", &[0, 255, 13, 10, 0x80], false),
        file("scripts/fold.sh", b"#!/bin/sh\necho folded\n", true),
    ]
}

pub(crate) fn zip() -> Vec<u8> {
    write_zip(&files()).unwrap()
}

pub(crate) fn tar_gz() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.bytes.len() as u64);
        header.set_mode(if file.is_executable { 0o755 } else { 0o644 });
        let path = format!("fold-map/{}", file.path);
        archive
            .append_data(&mut header, path, file.bytes.as_slice())
            .unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&archive.into_inner().unwrap()).unwrap();
    encoder.finish().unwrap()
}

/// A zip archive with an entry that leads out of the skill.
pub(crate) fn hostile_zip() -> Vec<u8> {
    let mut files = files();
    files[1].path = SkillPath::parse("xx/escaped").unwrap();
    let mut bytes = write_zip(&files).unwrap();
    // Both headers name it. Names have no checksum.
    let positions: Vec<usize> = bytes
        .windows(10)
        .enumerate()
        .filter_map(|(at, window)| (window == b"xx/escaped").then_some(at))
        .collect();
    assert_eq!(positions.len(), 2);
    for at in positions {
        bytes[at..at + 2].copy_from_slice(b"..");
    }
    bytes
}

/// Path, bytes and mode of every stored file of a tenant's skill.
pub(crate) async fn stored_files(db: &TestDb, slug: &str) -> Vec<SkillFile> {
    let query = "SELECT f.path, b.bytes, f.mode FROM skills s JOIN skill_versions v ON v.skill_id = s.id \
                 JOIN skill_files f ON f.version_id = v.id JOIN blobs b ON b.tenant_id = f.tenant_id AND b.digest = f.digest \
                 WHERE s.slug = $1 ORDER BY f.path COLLATE \"C\"";
    let rows = db.superuser().await.query(query, &[&slug]).await.unwrap();
    rows.iter()
        .map(|row| SkillFile {
            path: SkillPath::parse(row.get(0)).unwrap(),
            bytes: row.get(1),
            is_executable: row.get::<_, &str>(2) == "executable",
        })
        .collect()
}

struct Fixture {
    db: TestDb,
    service: Arc<CallService>,
    at: SocketAddr,
    tenant: TenantId,
    key: ApiKey,
}

impl Fixture {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let key = db.full_key(tenant).await;
        let service = db.service();
        let at = serve(&service).await;
        Self {
            db,
            service,
            at,
            tenant,
            key,
        }
    }

    fn post(&self, query: &str, body: Vec<u8>) -> RequestBuilder {
        reqwest::Client::new()
            .post(format!("http://{}/skills{query}", self.at))
            .bearer_auth(self.key.reveal())
            .header("user-agent", "packer/2.1")
            .body(body)
    }

    async fn skills(&self) -> i64 {
        self.db.value("SELECT count(*) FROM skills").await
    }

    /// Code and message of the error that an upload must get.
    async fn refused(&self, query: &str, body: Vec<u8>, status: StatusCode) -> (String, String) {
        let (found, answer) = answer(self.post(query, body)).await;
        assert_eq!(found, status, "{answer}");
        let text = |name: &str| answer["error"][name].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    (
        status,
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn archive_is_published_as_by_the_tool() {
    let fixture = Fixture::new().await;
    let query = "?name=other.zip&version=1.2.0&note=First%20%E2%9C%93&draft=false";
    let (status, published) = answer(fixture.post(query, zip())).await;
    assert_eq!(status, StatusCode::OK, "{published}");
    assert_eq!(published["outcome"], "created", "{published}");
    assert_eq!(
        (&published["skill"], &published["version"], &published["state"]),
        (&json!("fold-map"), &json!("1.2.0"), &json!("published"))
    );
    assert_eq!(
        published["notes"].as_array().map(Vec::len),
        Some(1),
        "{published}"
    );
    assert_eq!(stored_files(&fixture.db, "fold-map").await, files());
    // The same files in another archive, and in a call of the tool.
    let (status, again) = answer(fixture.post("?version=1.2.0", tar_gz())).await;
    assert_eq!(
        (status, &again["outcome"]),
        (StatusCode::OK, &json!("unchanged")),
        "{again}"
    );
    assert_eq!(
        (&again["digest"], &again["notes"]),
        (&published["digest"], &json!([]))
    );
    let sent: Vec<Value> = files()
        .iter()
        .map(|file| match std::str::from_utf8(&file.bytes) {
            Ok(text) => json!({"path": file.path, "text": text, "executable": file.is_executable}),
            Err(_) => json!({"path": file.path, "base64": "AP8NCoA="}),
        })
        .collect();
    let client = Client::connect(&fixture.service, &fixture.key).await;
    let by_tool = client
        .ok("publish_skill", json!({"files": sent, "version": "1.2.0"}))
        .await;
    assert_eq!(
        (&by_tool["outcome"], &by_tool["digest"]),
        (&json!("unchanged"), &published["digest"])
    );
    let sent = ("publish_skill".to_owned(), "ok".to_owned());
    assert_eq!(fixture.db.events(fixture.tenant).await, vec![sent; 3]);
    let recorded: Value = fixture
        .db
        .value("SELECT to_jsonb(e) FROM usage_events e ORDER BY id LIMIT 1")
        .await;
    assert_eq!(
        (
            &recorded["transport"],
            &recorded["client_name"],
            &recorded["client_version"]
        ),
        (&json!("http"), &json!("packer"), &json!("2.1"))
    );
    assert_eq!(recorded["arguments"]["sizes"]["files"], 3, "{recorded}");
    assert!(recorded["skill_id"].is_string() && !recorded.to_string().contains("First"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_archive_leaves_one_event_and_nothing_else() {
    let fixture = Fixture::new().await;
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let (code, message) = fixture.refused("", hostile_zip(), unprocessable).await;
    assert_eq!(code, "invalid_archive");
    assert!(message.contains("\"../escaped\""), "{message}");
    let mut truncated = zip();
    truncated.truncate(200);
    let empty_skill = write_zip(&[SkillFile {
        path: SkillPath::skill_md(),
        bytes: Vec::new(),
        is_executable: false,
    }]);
    for (query, body, code) in [
        ("", truncated, "invalid_archive"),
        ("", b"not an archive".to_vec(), "invalid_archive"),
        ("", Vec::new(), "invalid_archive"),
        ("?version=latest+build%21", zip(), "invalid_arguments"),
        ("?draft=perhaps", zip(), "invalid_arguments"),
        ("?tenant=other", zip(), "invalid_arguments"),
        ("?skill=No+Slug", zip(), "invalid_arguments"),
    ] {
        let (found, message) = fixture.refused(query, body, unprocessable).await;
        assert_eq!(found, code, "{query}: {message}");
    }
    let too_long = format!("?note={}", "x".repeat(2001));
    let (code, message) = fixture.refused(&too_long, zip(), unprocessable).await;
    assert!(
        code == "invalid_arguments" && message.contains("note"),
        "{code}: {message}"
    );
    // Read by the tool, so its refusal is the tool's.
    let (code, message) = fixture.refused("", empty_skill.unwrap(), unprocessable).await;
    assert!(
        code == "invalid_skill" && message.contains("SKILL.md is empty"),
        "{code}: {message}"
    );
    let large = vec![0; usize::try_from(MAX_ARCHIVE_BYTES).unwrap() + 1];
    let (code, _) = fixture.refused("", large, StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(code, "archive_too_large");
    let encoded = fixture.post("", zip()).header("content-encoding", "gzip");
    assert_eq!(answer(encoded).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let events = fixture.db.events(fixture.tenant).await;
    assert_eq!(events.len(), 12, "{events:?}");
    assert!(
        events
            .iter()
            .all(|(tool, outcome)| tool == "publish_skill" && outcome != "ok")
    );
    assert_eq!(fixture.skills().await, 0);
    assert_eq!(fixture.db.value::<i64>("SELECT count(*) FROM blobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_without_permission_learns_nothing_about_the_archive() {
    let fixture = Fixture::new().await;
    let reader = fixture
        .db
        .key(fixture.tenant, "bea@example.com", &[Scope::SkillsRead])
        .await
        .1;
    let upload = |key: &str, body: Vec<u8>| {
        reqwest::Client::new()
            .post(format!("http://{}/skills", fixture.at))
            .bearer_auth(key)
            .body(body)
    };
    for body in [zip(), hostile_zip()] {
        let (status, refused) = answer(upload(reader.reveal(), body)).await;
        assert_eq!(
            (status, &refused["error"]["code"]),
            (StatusCode::FORBIDDEN, &json!("missing_scope"))
        );
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("skills:publish") && !message.contains("escaped"),
            "{message}"
        );
    }
    let missing = ("publish_skill".to_owned(), "missing_scope".to_owned());
    assert_eq!(fixture.db.events(fixture.tenant).await, vec![missing; 2]);
    // Without a valid key, host or origin there is no caller, and so no event.
    let unknown = "skeep_000000000000000000000000000000000000000000000000000000000000";
    assert_eq!(answer(upload(unknown, zip())).await.0, StatusCode::UNAUTHORIZED);
    let without_key = reqwest::Client::new()
        .post(format!("http://{}/skills", fixture.at))
        .body(zip());
    assert_eq!(answer(without_key).await.0, StatusCode::UNAUTHORIZED);
    for (header, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let request = fixture.post("", zip()).header(header, value);
        assert_eq!(answer(request).await.0, StatusCode::FORBIDDEN, "{header}");
    }
    let got = reqwest::Client::new()
        .get(format!("http://{}/skills", fixture.at))
        .bearer_auth(fixture.key.reveal());
    assert_eq!(got.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(fixture.db.events(fixture.tenant).await.len(), 2);
    assert_eq!(fixture.skills().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn version_with_other_files_is_a_conflict() {
    let fixture = Fixture::new().await;
    let (status, _) = answer(fixture.post("?version=1.0.0", zip())).await;
    assert_eq!(status, StatusCode::OK);
    let mut changed = files();
    changed[1].bytes.push(1);
    let body = write_zip(&changed).unwrap();
    let (_, message) = fixture
        .refused("?version=1.0.0", body, StatusCode::CONFLICT)
        .await;
    assert!(message.contains("1.0.0"), "{message}");
    assert_eq!(stored_files(&fixture.db, "fold-map").await, files());
}

/// Waits until the tenant has this many events, and returns them.
async fn events_after(fixture: &Fixture, count: usize) -> Vec<(String, String)> {
    for _ in 0..200 {
        let events = fixture.db.events(fixture.tenant).await;
        if events.len() >= count {
            return events;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no {count} events within 10 seconds");
}
