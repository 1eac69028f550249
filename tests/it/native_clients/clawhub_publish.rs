//! Publishing and withdrawing with the requests of the ClawHub client.

use agent_skills::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use skillkeep::tenancy::{ApiKey, Scope};

use super::Fixture;
use crate::methods::KeyLimits;
use crate::upload::stored_files;

const SKILL_MD: &str = "---\nname: new-skill\ndescription: Is published by another client.\n---\n# New\n";

/// The status and the text of an answer.
async fn send(
    fixture: &Fixture,
    key: &ApiKey,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> (StatusCode, String) {
    let url = format!("http://{}/api/v1/skills{path}", fixture.at);
    let request = reqwest::Client::new()
        .request(method, url)
        .bearer_auth(key.reveal());
    let response = request.body(body).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

async fn post(fixture: &Fixture, key: &ApiKey, path: &str, body: &Value) -> (StatusCode, String) {
    send(fixture, key, Method::POST, path, body.to_string().into_bytes()).await
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes)
        .to_string()
        .trim_start_matches("sha256:")
        .to_owned()
}

fn file(path: &str, bytes: &[u8]) -> Value {
    json!({
        "path": path, "size": bytes.len(), "sha256": sha256(bytes), "storageId": BASE64.encode(bytes), "uploadTicket": "none",
        "contentType": "text/markdown",
    })
}

fn new_version(version: &str, files: &[Value]) -> Value {
    json!({
        "slug": "new-skill", "displayName": "New Skill", "ownerHandle": "ada@example.com", "version": version, "changelog": "First.",
        "acceptLicenseTerms": true, "tags": ["latest"], "files": files,
    })
}

async fn events(fixture: &Fixture) -> Vec<(String, String)> {
    fixture.db.events(fixture.tenant).await
}

#[tokio::test(flavor = "multi_thread")]
async fn skill_is_published_as_the_client_sends_it() {
    let fixture = Fixture::new().await;
    let key = &fixture.key;
    let resolve = format!("/api/v1/resolve?slug=new-skill&hash={}", "0".repeat(64));
    let missing = fixture.with_key(Method::GET, key, &resolve).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    // The client looks for these words.
    assert!(missing.text().await.unwrap().starts_with("Skill not found. "));
    let contents: [(&str, &[u8]); 2] = [("SKILL.md", SKILL_MD.as_bytes()), ("data/a.bin", &[0, 255, 10])];
    let mut files = Vec::new();
    for (path, bytes) in contents {
        let ask =
            json!({"path": path, "size": bytes.len(), "sha256": sha256(bytes), "contentType": "text/plain"});
        let (status, answer) = post(&fixture, key, "/-/upload-url", &ask).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["uploadTicket"].is_string());
        let expected = format!("http://{}/api/v1/skills/-/upload", fixture.at);
        assert_eq!(answer["uploadUrl"], expected);
        let (status, stored) = send(&fixture, key, Method::POST, "/-/upload", bytes.to_vec()).await;
        assert_eq!(status, StatusCode::OK, "{stored}");
        let stored: Value = serde_json::from_str(&stored).unwrap();
        let mut sent = file(path, bytes);
        sent["storageId"] = stored["storageId"].clone();
        files.push(sent);
    }
    let (status, answer) = post(&fixture, key, "", &new_version("1.0.0", &files)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (
            &answer["ok"],
            &answer["publicationStatus"],
            &answer["slug"],
            &answer["version"]
        ),
        (
            &json!(true),
            &json!("published"),
            &json!("new-skill"),
            &json!("1.0.0")
        )
    );
    assert!(answer["skillId"].is_string() && answer["versionId"].is_string());
    let stored = stored_files(&fixture.db, "new-skill").await;
    let stored: Vec<_> = stored
        .iter()
        .map(|file| (file.path.as_str(), file.bytes.as_slice()))
        .collect();
    assert_eq!(stored, contents);
    let note: String = fixture
        .db
        .value("SELECT change_note FROM skill_versions v JOIN skills s ON s.id = v.skill_id WHERE s.slug = 'new-skill'")
        .await;
    assert_eq!(note, "First.");
    let published: i64 = fixture
        .db
        .value("SELECT count(*) FROM audit_logs WHERE action LIKE 'skill.publish%' OR action LIKE 'version.publish%'")
        .await;
    assert!(published >= 1);
    let names: Vec<String> = events(&fixture).await.into_iter().map(|(name, _)| name).collect();
    let file = ["clawhub/upload_url", "clawhub/upload"];
    let (first, last) = (["clawhub/resolve"], ["publish_skill"]);
    assert_eq!(names, [&first[..], &file[..], &file[..], &last[..]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_does_not_take_is_refused_and_recorded() {
    let fixture = Fixture::new().await;
    let key = &fixture.key;
    let skill_md = file("SKILL.md", SKILL_MD.as_bytes());
    let mut damaged = skill_md.clone();
    damaged["storageId"] = BASE64.encode(b"other").into();
    let with = |name: &str, value: Value| {
        let mut body = new_version("1.0.0", std::slice::from_ref(&skill_md));
        body[name] = value;
        body
    };
    let cases = [
        (new_version("1.0.0", &[damaged]), "damaged"),
        (
            new_version("1.0.0", &[file("notes.md", b"No skill.")]),
            "SKILL.md",
        ),
        (
            new_version("1.0.0", &[skill_md.clone(), file("../x", b"x")]),
            "path",
        ),
        (with("tags", json!(["beta"])), "tag"),
        (with("forkOf", json!({"slug": "one-file"})), "fork_skill"),
        (with("migrateOwner", json!(true)), "migrate-owner"),
        (json!({"slug": "new-skill"}), "clawhub"),
    ];
    let count = cases.len();
    for (body, expected) in cases {
        let (status, text) = post(&fixture, key, "", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        assert!(text.contains(expected) && !text.starts_with('{'), "{text}");
    }
    let found = events(&fixture).await;
    assert_eq!(found.len(), count);
    assert!(
        found
            .iter()
            .all(|(name, outcome)| name == "publish_skill" && outcome == "invalid_arguments")
    );
    let ask = json!({"path": "a.bin", "size": 17 << 20, "sha256": "0"});
    let (status, text) = post(&fixture, key, "/-/upload-url", &ask).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text.contains("16 MiB"), "{text}");
    let (status, text) = send(&fixture, key, Method::POST, "/-/upload", vec![0; (16 << 20) + 1]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text.contains("16 MiB"), "{text}");
    let skills: i64 = fixture
        .db
        .value("SELECT count(*) FROM skills WHERE slug = 'new-skill'")
        .await;
    assert_eq!(skills, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_without_the_scope_publishes_and_withdraws_nothing() {
    let fixture = Fixture::new().await;
    let limits = KeyLimits {
        scopes: &[Scope::SkillsRead, Scope::SkillsInstall],
        only_skills: None,
        only_tools: None,
    };
    let reader = limits.key(&fixture.db, fixture.tenant).await;
    let body = new_version("1.0.0", &[file("SKILL.md", SKILL_MD.as_bytes())]);
    let ask = json!({"path": "SKILL.md", "size": 1, "sha256": "0"});
    for (method, path, body) in [
        (Method::POST, "", &body),
        (Method::POST, "/-/upload-url", &ask),
        (Method::POST, "/-/upload", &ask),
        (Method::DELETE, "/one-file", &json!({})),
        (Method::DELETE, "/one-file/versions/1", &json!({})),
        (Method::POST, "/one-file/versions/1/restore", &json!({})),
        (Method::POST, "/one-file/undelete", &json!({})),
    ] {
        let (status, text) = send(&fixture, &reader, method, path, body.to_string().into_bytes()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {text}");
        assert!(text.contains("skills:publish"), "{path}: {text}");
    }
    let found = events(&fixture).await;
    assert_eq!(found.len(), 7);
    assert!(
        found.iter().all(|(_, outcome)| outcome == "missing_scope"),
        "{found:?}"
    );
    let withdrawn: i64 = fixture
        .db
        .value("SELECT count(*) FROM skill_versions WHERE status = 'yanked'")
        .await;
    assert_eq!(withdrawn, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn skill_is_withdrawn_and_a_version_is_restored() {
    let fixture = Fixture::new().await;
    let key = &fixture.key;
    let state = async || -> (String, Option<String>) {
        let row = "FROM skill_versions v JOIN skills s ON s.id = v.skill_id WHERE s.slug = 'one-file'";
        let state = fixture.db.value(&format!("SELECT v.status {row}")).await;
        (
            state,
            fixture.db.value(&format!("SELECT v.yank_reason {row}")).await,
        )
    };
    let delete = json!({"reason": "It is wrong."}).to_string().into_bytes();
    let (status, text) = send(&fixture, key, Method::DELETE, "/one-file", delete).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, r#"{"ok":true}"#));
    assert_eq!(
        state().await,
        ("yanked".to_owned(), Some("It is wrong.".to_owned()))
    );
    let (status, text) = post(&fixture, key, "/one-file/versions/1/restore", &json!({})).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, r#"{"ok":true}"#));
    assert_eq!(state().await.0, "published");
    let (status, text) = send(
        &fixture,
        key,
        Method::DELETE,
        "/one-file/versions/1",
        b"{}".to_vec(),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(state().await.0, "yanked");
    // A whole skill cannot be restored. The answer says what to do.
    let (status, text) = post(&fixture, key, "/one-file/undelete", &json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
    assert!(text.contains("version"), "{text}");
    let found = events(&fixture).await;
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|(name, _)| name == "yank_skill"), "{found:?}");
}
