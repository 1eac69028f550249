//! The marketplace for Claude Code: every plugin has the digest that it lists, and contains exactly the skill.

use agent_skills::{Digest, SkillFile, read_archive_files};
use reqwest::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use skillkeep::tenancy::{ApiKey, Scope};

use super::Fixture;
use crate::command::admin;
use crate::harness::Client;
use crate::http_server::serve;
use crate::methods::KeyLimits;
use crate::upload::stored_files;

const MARKETPLACE: &str = "/claude-code/marketplace.json";

async fn marketplace(fixture: &Fixture, key: &ApiKey) -> Value {
    let response = fixture.with_key(Method::GET, key, MARKETPLACE).await;
    let (status, body) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn plugins(marketplace: &Value) -> Vec<(&str, &str)> {
    let plugins = marketplace["plugins"].as_array().unwrap();
    plugins
        .iter()
        .map(|plugin| {
            (
                plugin["name"].as_str().unwrap(),
                plugin["version"].as_str().unwrap(),
            )
        })
        .collect()
}

/// Fetches the archive of an entry with a key, and checks its digest.
async fn fetch(fixture: &Fixture, key: &ApiKey, entry: &Value) -> Vec<u8> {
    let url = entry["source"]["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", fixture.at)).unwrap();
    let response = fixture.with_key(Method::GET, key, path).await;
    assert_eq!(response.status(), StatusCode::OK, "{url}");
    let bytes = response.bytes().await.unwrap();
    assert_eq!(
        Digest::of(&bytes).to_string(),
        format!("sha256:{}", entry["source"]["sha256"].as_str().unwrap()),
        "{entry}"
    );
    bytes.to_vec()
}

async fn stored_digests(fixture: &Fixture) -> i64 {
    fixture.db.value("SELECT count(*) FROM plugin_digests").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plugin_has_its_digest_and_contains_the_skill() {
    let fixture = Fixture::new().await;
    let found = marketplace(&fixture, &fixture.key).await;
    assert_eq!(found["name"], "skillkeep-acme");
    assert!(!found["owner"]["name"].as_str().unwrap().is_empty());
    assert_eq!(plugins(&found), [("many-files", "1"), ("one-file", "1")]);
    for entry in found["plugins"].as_array().unwrap() {
        let slug = entry["name"].as_str().unwrap();
        let files = read_archive_files(&fetch(&fixture, &fixture.key, entry).await).unwrap();
        let (manifest, skill): (Vec<SkillFile>, Vec<SkillFile>) = files
            .into_iter()
            .partition(|file| file.path.as_str() == ".claude-plugin/plugin.json");
        let manifest: Value = serde_json::from_slice(&manifest[0].bytes).unwrap();
        assert_eq!(manifest, json!({"name": slug, "version": "1"}));
        let below = format!("skills/{slug}/");
        let found: Vec<_> = skill
            .iter()
            .map(|file| {
                (
                    file.path.as_str().strip_prefix(&below).unwrap(),
                    &file.bytes,
                    file.is_executable,
                )
            })
            .collect();
        let stored = stored_files(&fixture.db, slug).await;
        let expected: Vec<_> = stored
            .iter()
            .map(|file| (file.path.as_str(), &file.bytes, file.is_executable))
            .collect();
        assert_eq!(found, expected);
    }
    let events = fixture.db.events(fixture.tenant).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "claude-code/marketplace",
            "claude-code/plugin",
            "claude-code/plugin"
        ]
    );
    assert!(events.iter().all(|(_, outcome)| outcome == "ok"));
    let subjects: i64 = fixture
        .db
        .value("SELECT count(DISTINCT version_id) FROM usage_events WHERE tool = 'claude-code/plugin'")
        .await;
    assert_eq!(subjects, 2);
    // Computed once. Another process lists the same.
    assert_eq!(stored_digests(&fixture).await, 2);
    let other = serve(&fixture.db.service()).await;
    let url = format!("http://{other}{MARKETPLACE}");
    let request = reqwest::Client::new().get(url).bearer_auth(fixture.key.reveal());
    let again: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    let digests = |found: &Value| -> Vec<Value> {
        let plugins = found["plugins"].as_array().unwrap().iter();
        plugins.map(|plugin| plugin["source"]["sha256"].clone()).collect()
    };
    assert_eq!(digests(&again), digests(&found));
    assert_eq!(stored_digests(&fixture).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_marketplace_and_plugin_are_not_sent_again() {
    let fixture = Fixture::new().await;
    let found = marketplace(&fixture, &fixture.key).await;
    let archive = found["plugins"][0]["source"]["url"].as_str().unwrap().to_owned();
    for url in [format!("http://{}{MARKETPLACE}", fixture.at), archive] {
        let get = || {
            reqwest::Client::new()
                .get(&url)
                .header("x-api-key", fixture.key.reveal())
        };
        let first = get().send().await.unwrap();
        assert_eq!(first.headers()[CACHE_CONTROL], "private, no-cache", "{url}");
        let tag = first.headers()[ETAG].clone();
        assert!(!first.bytes().await.unwrap().is_empty());
        let again = get().header(IF_NONE_MATCH, tag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{url}");
        assert!(again.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_follow_what_is_published_renamed_and_withdrawn() {
    let fixture = Fixture::new().await;
    let key = &fixture.key;
    let first = marketplace(&fixture, key).await;
    let before = fetch(&fixture, key, &first["plugins"][1]).await;
    let client = Client::connect(&fixture.service, key).await;
    let text = "---\nname: one-file\ndescription: Describes itself anew.\n---\n# Changed\n";
    client
        .ok(
            "publish_skill",
            json!({"skill": "one-file", "files": [{"path": "SKILL.md", "text": text}]}),
        )
        .await;
    let second = marketplace(&fixture, key).await;
    assert_eq!(plugins(&second), [("many-files", "1"), ("one-file", "2")]);
    assert_eq!(second["plugins"][1]["description"], "Describes itself anew.");
    fetch(&fixture, key, &second["plugins"][1]).await;
    // The older version is still what the first answer promised.
    assert_eq!(fetch(&fixture, key, &first["plugins"][1]).await, before);
    let rename = [
        "skill",
        "rename",
        "many-files",
        "--to",
        "all-files",
        "--tenant",
        "acme",
    ];
    let renamed = admin(&fixture.db, &rename);
    assert_eq!(renamed.code, 0, "{renamed:?}");
    client
        .ok(
            "yank_skill",
            json!({"skill": "one-file", "all": true, "reason": "It is wrong."}),
        )
        .await;
    let third = marketplace(&fixture, key).await;
    assert_eq!(plugins(&third), [("all-files", "1")]);
    fetch(&fixture, key, &third["plugins"][0]).await;
    let gone = fixture
        .with_key(Method::GET, key, "/claude-code/one-file/2.zip")
        .await;
    assert_eq!(gone.status(), StatusCode::GONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_plugin_is_missing() {
    let fixture = Fixture::new().await;
    let limits = KeyLimits {
        scopes: &[Scope::SkillsRead, Scope::SkillsInstall],
        only_skills: Some(&["one-file"]),
        only_tools: None,
    };
    let limited = limits.key(&fixture.db, fixture.tenant).await;
    let found = marketplace(&fixture, &limited).await;
    assert_eq!(plugins(&found), [("one-file", "1")]);
    fetch(&fixture, &limited, &found["plugins"][0]).await;
    let mut bodies = Vec::new();
    for slug in ["many-files", "zzzz-xyzzy"] {
        let path = format!("/claude-code/{slug}/1.zip");
        let response = fixture.with_key(Method::GET, &limited, &path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        bodies.push(response.text().await.unwrap().replace(slug, "SLUG"));
    }
    assert_eq!(bodies[0], bodies[1]);
    let (_, reader) = fixture
        .db
        .key(fixture.tenant, "bea@example.com", &[Scope::SkillsRead])
        .await;
    for path in [MARKETPLACE, "/claude-code/one-file/1.zip"] {
        let refused = fixture.with_key(Method::GET, &reader, path).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(
            fixture.open(path).await.status(),
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_path_leads_to_archives_below_it() {
    let fixture = Fixture::new().await;
    let secret = fixture.share(&["--only-skills", "one-file"]);
    let found = fixture.json(&format!("{secret}{MARKETPLACE}")).await;
    assert_eq!(plugins(&found), [("one-file", "1")]);
    let url = found["plugins"][0]["source"]["url"].as_str().unwrap();
    assert_eq!(
        url,
        format!("http://{}{secret}/claude-code/one-file/1.zip", fixture.at)
    );
    let bytes = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    let digest = Digest::of(&bytes).to_string();
    assert_eq!(
        digest.strip_prefix("sha256:"),
        found["plugins"][0]["source"]["sha256"].as_str()
    );
}
