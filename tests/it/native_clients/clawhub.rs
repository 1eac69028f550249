//! The routes of the ClawHub client.

use agent_skills::{Digest, read_skill_archive};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use skillkeep::tenancy::{ApiKey, Scope};

use super::Fixture;
use crate::harness::Client;
use crate::methods::KeyLimits;
use crate::upload::stored_files;

async fn get(fixture: &Fixture, path: &str) -> Value {
    let response = fixture.with_key(Method::GET, &fixture.key, path).await;
    let (status, body) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The text of the error that a request must get.
async fn refused(fixture: &Fixture, key: &ApiKey, path: &str, status: StatusCode) -> String {
    let response = fixture.with_key(Method::GET, key, path).await;
    let found = response.status();
    let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{path}: {text}");
    assert_eq!(content_type, "text/plain; charset=utf-8", "{path}");
    assert!(!text.starts_with('{'), "{text}");
    text
}

/// As the client computes it: sorted by `localeCompare`, in which `data` precedes `SKILL.md`.
async fn fingerprint(fixture: &Fixture) -> String {
    let mut files = stored_files(&fixture.db, "many-files").await;
    files.sort_by_key(|file| file.path.as_str().to_lowercase());
    let lines: Vec<String> = files
        .iter()
        .map(|file| {
            let digest = file.digest().to_string();
            format!("{}:{}", file.path, digest.trim_start_matches("sha256:"))
        })
        .collect();
    let digest = Digest::of(lines.join("\n").as_bytes()).to_string();
    digest.trim_start_matches("sha256:").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn client_finds_and_downloads_skills() {
    let fixture = Fixture::new().await;
    let base = fixture.json("/.well-known/clawhub.json").await;
    assert_eq!(base["apiBase"], format!("http://{}", fixture.at));
    let whoami = get(&fixture, "/api/v1/whoami").await;
    assert_eq!(whoami["user"]["handle"], "ada@example.com");
    let found = get(&fixture, "/api/v1/search?q=has%20many%20files&limit=5").await;
    assert_eq!(found["results"][0]["slug"], "many-files", "{found}");
    assert!(found["results"][0]["score"].as_f64().unwrap() > 0.0);
    let first = get(&fixture, "/api/v1/skills?limit=1").await;
    assert_eq!(
        (&first["items"][0]["slug"], &first["nextCursor"]),
        (&json!("many-files"), &json!("many-files"))
    );
    let second = get(&fixture, "/api/v1/skills?limit=1&cursor=many-files").await;
    assert_eq!(
        (&second["items"][0]["slug"], &second["nextCursor"]),
        (&json!("one-file"), &Value::Null)
    );
    let prefixed = get(&fixture, "/api/v1/skills?prefix=one").await;
    assert_eq!(prefixed["items"].as_array().unwrap().len(), 1, "{prefixed}");
    let skill = get(&fixture, "/api/v1/skills/many-files").await;
    assert_eq!(skill["skill"]["summary"], "Has many files.");
    let version = skill["latestVersion"]["version"].as_str().unwrap().to_owned();
    let listed = get(&fixture, "/api/v1/skills/many-files/versions").await;
    assert_eq!(listed["items"][0]["version"], version);
    let one = get(&fixture, &format!("/api/v1/skills/many-files/versions/{version}")).await;
    assert_eq!(one["version"]["version"], version);
    let hash = fingerprint(&fixture).await;
    let resolved = get(&fixture, &format!("/api/v1/resolve?slug=many-files&hash={hash}")).await;
    assert_eq!(resolved["match"]["version"], version, "{resolved}");
    let changed = get(
        &fixture,
        &format!("/api/v1/resolve?slug=many-files&hash={}", "0".repeat(64)),
    )
    .await;
    assert_eq!(
        (&changed["match"], &changed["latestVersion"]["version"]),
        (&Value::Null, &json!(version))
    );
    for query in [format!("version={version}"), "tag=latest".to_owned()] {
        let path = format!("/api/v1/download?slug=many-files&{query}");
        let response = fixture.with_key(Method::GET, &fixture.key, &path).await;
        let bytes = response.bytes().await.unwrap();
        let unpacked = read_skill_archive(&bytes, Some("many-files.zip")).unwrap();
        assert_eq!(unpacked.files, stored_files(&fixture.db, "many-files").await);
    }
    let events = fixture.db.events(fixture.tenant).await;
    assert_eq!(events.len(), 12, "{events:?}");
    assert!(events.iter().all(|(_, outcome)| outcome == "ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_plain_text_and_removed_skills_are_gone() {
    let fixture = Fixture::new().await;
    let key = &fixture.key;
    for path in [
        "skills/none",
        "skills/none/versions",
        "download?slug=none",
        "resolve?slug=none&hash=1",
    ] {
        let text = refused(&fixture, key, &format!("/api/v1/{path}"), StatusCode::NOT_FOUND).await;
        assert!(text.contains("\"none\""), "{text}");
    }
    let unknown = ApiKey::generate(fixture.tenant, &mut rand::rng());
    refused(&fixture, &unknown, "/api/v1/whoami", StatusCode::UNAUTHORIZED).await;
    let client = Client::connect(&fixture.service, key).await;
    client
        .ok(
            "yank_skill",
            json!({"skill": "one-file", "all": true, "reason": "It is wrong."}),
        )
        .await;
    for path in [
        "skills/one-file",
        "skills/one-file/versions",
        "download?slug=one-file",
    ] {
        let text = refused(&fixture, key, &format!("/api/v1/{path}"), StatusCode::GONE).await;
        assert!(text.contains("It is wrong."), "{text}");
    }
    let listed = get(&fixture, "/api/v1/skills").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limited_key_finds_only_its_skills() {
    let fixture = Fixture::new().await;
    let limited = KeyLimits {
        scopes: &[Scope::SkillsRead, Scope::SkillsInstall],
        only_skills: Some(&["one-file"]),
        only_tools: None,
    };
    let limited = limited.key(&fixture.db, fixture.tenant).await;
    for path in ["search?q=files", "skills", "skills?prefix=m"] {
        let response = fixture
            .with_key(Method::GET, &limited, &format!("/api/v1/{path}"))
            .await;
        let text = response.text().await.unwrap();
        assert!(!text.contains("many-files"), "{path}: {text}");
    }
    let hash = fingerprint(&fixture).await;
    for path in [
        "skills/many-files".to_owned(),
        "skills/many-files/versions".to_owned(),
        "skills/many-files/versions/1".to_owned(),
        format!("resolve?slug=many-files&hash={hash}"),
        "download?slug=many-files".to_owned(),
    ] {
        let path = format!("/api/v1/{path}");
        let hidden = refused(&fixture, &limited, &path, StatusCode::NOT_FOUND).await;
        let missing = path.replace("many-files", "zzzz-xyzzy");
        let missing = refused(&fixture, &limited, &missing, StatusCode::NOT_FOUND).await;
        assert_eq!(hidden.replace("many-files", "zzzz-xyzzy"), missing);
    }
    let (_, reporter) = fixture
        .db
        .key(fixture.tenant, "bea@example.com", &[Scope::UsageRead])
        .await;
    for path in [
        "search?q=files",
        "skills",
        "skills/one-file",
        "download?slug=one-file",
    ] {
        let path = format!("/api/v1/{path}");
        let text = refused(&fixture, &reporter, &path, StatusCode::FORBIDDEN).await;
        assert!(text.contains("scope"), "{text}");
    }
}
