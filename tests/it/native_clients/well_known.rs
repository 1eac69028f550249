//! Agent Skills Discovery: every artifact has the digest that the index lists, and every fetch is recorded.

use agent_skills::{Digest, read_skill_archive};
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::{Fixture, names};
use crate::upload::stored_files;

const INDEX: &str = "/.well-known/agent-skills/index.json";
const FILE_INDEX: &str = "/.well-known/skills/index.json";

#[tokio::test(flavor = "multi_thread")]
async fn every_artifact_has_the_digest_of_the_index() {
    let fixture = Fixture::new().await;
    let secret = fixture.share(&[]);
    let index_url = format!("http://{}{secret}{INDEX}", fixture.at);
    let index = fixture.json(&format!("{secret}{INDEX}")).await;
    assert_eq!(
        index["$schema"],
        "https://schemas.agentskills.io/discovery/0.2.0/schema.json"
    );
    assert_eq!(names(&index), ["many-files", "one-file"]);
    for skill in index["skills"].as_array().unwrap() {
        let url = Url::parse(&index_url).unwrap();
        let url = url.join(skill["url"].as_str().unwrap()).unwrap();
        assert!(url.path().starts_with(&secret), "{url}");
        let response = reqwest::get(url).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{skill}");
        assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let bytes = response.bytes().await.unwrap();
        assert_eq!(skill["digest"], Digest::of(&bytes).to_string(), "{skill}");
        let stored = stored_files(&fixture.db, skill["name"].as_str().unwrap()).await;
        match (skill["name"].as_str().unwrap(), skill["type"].as_str().unwrap()) {
            ("one-file", "skill-md") => {
                assert_eq!(content_type, "text/markdown");
                assert_eq!(bytes, stored[0].bytes);
            }
            ("many-files", "archive") => {
                assert_eq!(content_type, "application/zip");
                let unpacked = read_skill_archive(&bytes, Some("many-files.zip")).unwrap();
                assert_eq!(unpacked.files, stored);
            }
            other => panic!("{other:?}"),
        }
    }
    let events = fixture.db.events(fixture.tenant).await;
    let expected = ["skills/index", "skills/download", "skills/file"];
    assert_eq!(events.len(), 3);
    for (name, (tool, outcome)) in expected.iter().zip(&events) {
        assert_eq!((*name, "ok"), (tool.as_str(), outcome.as_str()));
    }
    let count: i32 = fixture
        .db
        .value("SELECT result_count FROM usage_events WHERE tool = 'skills/index'")
        .await;
    assert_eq!(count, 2);
    // Computed once, and only for the archive.
    let known: i64 = fixture.db.value("SELECT count(*) FROM archive_digests").await;
    assert_eq!(known, 1);
}

/// Clients fetch all skills at the same time, and leave out what is refused without a word.
#[tokio::test(flavor = "multi_thread")]
async fn all_skills_are_fetched_at_the_same_time() {
    let fixture = Fixture::new().await;
    for number in 0..100 {
        let name = format!("skill-{number}");
        fixture
            .db
            .skill(
                fixture.tenant,
                &name,
                &format!("Number {number}."),
                &[("a.txt", b"a")],
            )
            .await;
    }
    let secret = fixture.share(&[]);
    let index = fixture.json(&format!("{secret}{INDEX}")).await;
    let fetched = names(&index).into_iter().map(|name| {
        let path = format!("{secret}/skills/{name}/latest.zip");
        let fixture = &fixture;
        async move { fixture.open(&path).await.status() }
    });
    let statuses = futures::future::join_all(fetched).await;
    assert_eq!(statuses, [StatusCode::OK; 102]);
}

#[tokio::test(flavor = "multi_thread")]
async fn index_changes_with_the_catalog_and_is_otherwise_not_sent_again() {
    let fixture = Fixture::new().await;
    let secret = fixture.share(&[]);
    for path in [INDEX, FILE_INDEX] {
        let path = format!("{secret}{path}");
        let first = fixture.open(&path).await;
        assert_eq!(first.headers()[CACHE_CONTROL], "private, no-cache");
        let tag = first.headers()[ETAG].clone();
        let again = || {
            let url = format!("http://{}{path}", fixture.at);
            reqwest::Client::new().get(url).header(IF_NONE_MATCH, &tag).send()
        };
        assert_eq!(again().await.unwrap().status(), StatusCode::NOT_MODIFIED);
        let (description, new) = (format!("New in {path}."), format!("new-{}", path.len()));
        fixture.db.skill(fixture.tenant, &new, &description, &[]).await;
        let changed = again().await.unwrap();
        assert_eq!(changed.status(), StatusCode::OK);
        let index: Value = serde_json::from_str(&changed.text().await.unwrap()).unwrap();
        assert!(names(&index).contains(&new.as_str()), "{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_lie_beside_the_index_of_files() {
    let fixture = Fixture::new().await;
    let secret = fixture.share(&[]);
    let index = fixture.json(&format!("{secret}{FILE_INDEX}")).await;
    assert_eq!(
        index["skills"][0],
        json!({
            "name": "many-files", "description": "Has many files.",
            "files": ["SKILL.md", "data/a.bin", "scripts/run.sh"],
        })
    );
    for file in stored_files(&fixture.db, "many-files").await {
        let path = format!("{secret}/.well-known/skills/many-files/{}", file.path);
        let response = fixture.open(&path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        assert!(["text/markdown", "application/octet-stream"].contains(&content_type.as_str()));
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.bytes().await.unwrap(), file.bytes);
    }
    for path in [
        "many-files/none.md",
        "none/SKILL.md",
        "many-files/..%2fSKILL.md",
        "many-files/a%00",
    ] {
        let response = fixture.open(&format!("{secret}/.well-known/skills/{path}")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_in_a_header_opens_the_same_and_no_key_opens_nothing() {
    let fixture = Fixture::new().await;
    let secret = fixture.share(&[]);
    for path in [
        INDEX,
        FILE_INDEX,
        "/skills/one-file/1/SKILL.md",
        "/skills/many-files/latest.zip",
    ] {
        let by_key = fixture.with_key(Method::GET, &fixture.key, path).await;
        assert_eq!(by_key.status(), StatusCode::OK, "{path}");
        let by_secret = fixture.open(&format!("{secret}{path}")).await;
        assert_eq!(by_secret.status(), StatusCode::OK, "{path}");
        assert_eq!(
            by_key.bytes().await.unwrap(),
            by_secret.bytes().await.unwrap(),
            "{path}"
        );
        assert_eq!(
            fixture.open(path).await.status(),
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        let head = fixture.with_key(Method::HEAD, &fixture.key, path).await;
        assert_eq!(head.status(), StatusCode::OK, "{path}");
    }
}
