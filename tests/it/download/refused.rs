//! Downloads that are refused: what does not exist, what is not published, and what the key may not install.

use reqwest::{Method, StatusCode};
use serde_json::json;
use skillkeep::tenancy::Scope;

use super::Fixture;
use crate::harness::Client;
use crate::methods::KeyLimits;
use crate::upload::files;

fn failed(outcome: &str, code: &str) -> (String, Option<String>, bool) {
    (outcome.to_owned(), Some(code.to_owned()), false)
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_skill_and_version_are_refused_in_the_words_of_get_skill() {
    let fixture = Fixture::new().await;
    fixture.publish("?version=1.0", &files()).await;
    let client = Client::connect(&fixture.service, &fixture.key).await;
    for (path, arguments) in [
        ("fold-mop/1.0", json!({"skill": "fold-mop", "version": "1.0"})),
        ("fold-map/9.9", json!({"skill": "fold-map", "version": "9.9"})),
        ("fold%2Fmap/latest", json!({"skill": "fold/map"})),
    ] {
        let path = format!("/skills/{path}.zip");
        let (code, message) = fixture.refused(&fixture.key, &path, StatusCode::NOT_FOUND).await;
        assert_eq!(
            (code.as_str(), message),
            ("not_found", client.error("get_skill", arguments).await)
        );
    }
    let long = "x".repeat(5000);
    for path in [
        "fold-map/1.0%00",
        "fold%00map/1.0",
        "fold-map/",
        &long,
        "..%2F..%2Fetc/passwd",
    ] {
        let path = format!("/skills/{path}.zip");
        let response = fixture.get(&path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let (code, _) = fixture
        .refused(&fixture.key, "/skills/fold-map/1.0.tar", StatusCode::NOT_FOUND)
        .await;
    assert_eq!(code, "not_found");
    let events = fixture.downloads().await;
    assert!(
        events
            .iter()
            .all(|event| *event == failed("tool_error", "not_found")),
        "{events:?}"
    );
    assert!(events.len() >= 6, "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn yanked_and_unpublished_versions_are_refused_with_the_reason() {
    let fixture = Fixture::new().await;
    fixture.publish("?version=1.0", &files()).await;
    let mut changed = files();
    changed[1].bytes.push(1);
    fixture.publish("?version=1.1&draft=true", &changed).await;
    let (_, other) = fixture
        .db
        .key(
            fixture.tenant,
            "bea@example.com",
            &[Scope::SkillsRead, Scope::SkillsInstall],
        )
        .await;
    let draft = "/skills/fold-map/1.1.zip";
    let (code, message) = fixture.refused(&fixture.key, draft, StatusCode::CONFLICT).await;
    assert_eq!(code, "not_published");
    assert!(message.contains("it is a draft"), "{message}");
    let (code, message) = fixture.refused(&other, draft, StatusCode::NOT_FOUND).await;
    assert!(code == "not_found" && !message.contains("draft"), "{message}");
    // The latest version is the published one.
    assert_eq!(
        fixture.get("/skills/fold-map/latest.zip").await.status(),
        StatusCode::OK
    );
    let quarantine = "UPDATE skill_versions SET quarantined = true WHERE version = '1.0'";
    fixture
        .db
        .superuser()
        .await
        .execute(quarantine, &[])
        .await
        .unwrap();
    let published = "/skills/fold-map/1.0.zip";
    let (_, message) = fixture
        .refused(&fixture.key, published, StatusCode::CONFLICT)
        .await;
    assert!(message.contains("quarantined"), "{message}");
    fixture.refused(&other, published, StatusCode::NOT_FOUND).await;
    let release = "UPDATE skill_versions SET quarantined = false";
    fixture.db.superuser().await.execute(release, &[]).await.unwrap();
    let client = Client::connect(&fixture.service, &fixture.key).await;
    client
        .ok(
            "yank_skill",
            json!({"skill": "fold-map", "version": "1.0", "reason": "It tears the map."}),
        )
        .await;
    for key in [&fixture.key, &other] {
        let (code, message) = fixture.refused(key, published, StatusCode::GONE).await;
        assert_eq!(code, "yanked");
        assert!(message.contains("It tears the map."), "{message}");
    }
    let codes: Vec<_> = fixture
        .downloads()
        .await
        .into_iter()
        .map(|event| event.1.unwrap_or_default())
        .collect();
    let expected = [
        "not_published",
        "not_found",
        "",
        "not_published",
        "not_found",
        "yanked",
        "yanked",
    ];
    assert_eq!(codes, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_downloads_only_what_it_may_install() {
    let fixture = Fixture::new().await;
    fixture.publish("?version=1.0", &files()).await;
    fixture
        .db
        .skill(fixture.tenant, "other-skill", "Another.", &[])
        .await;
    let path = "/skills/fold-map/1.0.zip";
    let limited = KeyLimits {
        scopes: &Scope::ALL,
        only_skills: Some(&["other-skill"]),
        only_tools: None,
    };
    let limited = limited.key(&fixture.db, fixture.tenant).await;
    let hidden = fixture.refused(&limited, path, StatusCode::NOT_FOUND).await;
    let missing = fixture
        .refused(&limited, "/skills/gold-cap/1.0.zip", StatusCode::NOT_FOUND)
        .await;
    assert_eq!(hidden.1.replace("fold-map", "gold-cap"), missing.1);
    let response = fixture
        .request(Method::GET, &limited, "/skills/other-skill/latest.zip")
        .send()
        .await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let (_, reader) = fixture
        .db
        .key(fixture.tenant, "bea@example.com", &[Scope::SkillsRead])
        .await;
    let (code, message) = fixture.refused(&reader, path, StatusCode::FORBIDDEN).await;
    assert_eq!(code, "missing_scope");
    assert!(message.contains("skills:install"), "{message}");
    let no_install = KeyLimits {
        scopes: &Scope::ALL,
        only_skills: None,
        only_tools: Some(&["get_skill"]),
    };
    let no_install = no_install.key(&fixture.db, fixture.tenant).await;
    let (code, _) = fixture.refused(&no_install, path, StatusCode::FORBIDDEN).await;
    assert_eq!(code, "missing_scope");
    let globex = fixture.db.tenant("globex").await;
    let foreign = fixture.db.full_key(globex).await;
    let theirs = fixture.refused(&foreign, path, StatusCode::NOT_FOUND).await;
    let missing = fixture
        .refused(&foreign, "/skills/gold-cap/1.0.zip", StatusCode::NOT_FOUND)
        .await;
    assert_eq!(theirs.1.replace("fold-map", "gold-cap"), missing.1);
    let events = fixture.downloads().await;
    assert_eq!(events.len(), 7, "{events:?}");
    // Without a valid key there is no caller, and so no event.
    let revoke = "UPDATE api_keys SET revoked_at = now()";
    fixture.db.superuser().await.execute(revoke, &[]).await.unwrap();
    let revoked = fixture
        .request(Method::GET, &fixture.key, path)
        .send()
        .await
        .unwrap();
    assert_eq!(revoked.status(), StatusCode::UNAUTHORIZED);
    let none = reqwest::get(format!("http://{}{path}", fixture.at))
        .await
        .unwrap();
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.downloads().await.len(), 7);
}
