//! The upload route: an archive goes to the tenant of the API key; headers, query and files cannot change that.

use agent_skills::{SkillFile, SkillPath, write_zip};
use reqwest::StatusCode;
use serde_json::Value;
use skillkeep::isolation_probe::Fixtures;

use super::headers::HEADERS;
use crate::harness::TestDb;
use crate::helpers::table_checksums;
use crate::http_server::serve;

#[tokio::test(flavor = "multi_thread")]
async fn upload_reaches_no_other_tenant() {
    let db = TestDb::new().await;
    let service = db.service();
    let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
    let slug: String = db
        .value(&format!(
            "SELECT slug FROM skills WHERE tenant_id = '{}' ORDER BY slug LIMIT 1",
            fixtures.victim.tenant
        ))
        .await;
    let skill_md = format!("---\nname: {slug}\ndescription: Other files.\n---\nOther files.\n");
    let archive = write_zip(&[SkillFile {
        path: SkillPath::skill_md(),
        bytes: skill_md.into_bytes(),
        is_executable: false,
    }])
    .unwrap();
    let before = table_checksums(&db, fixtures.victim.tenant).await;
    let at = serve(&service).await;
    let client = reqwest::Client::new();
    let upload = |query: String| {
        client
            .post(format!("http://{at}/skills?{query}"))
            .bearer_auth(fixtures.attacker.key.reveal())
            .body(archive.clone())
    };
    let victim = &fixtures.victim;
    for query in ["tenant", "tenant_id", "api_key", "user", "owner"] {
        let request = upload(format!("{query}={}", victim.tenant));
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{query}"
        );
    }
    for header in HEADERS {
        for value in [
            victim.tenant.to_string().as_str(),
            &victim.slug,
            victim.key.reveal(),
        ] {
            let response = upload(format!("skill={slug}"))
                .header(header, value)
                .send()
                .await
                .unwrap();
            let text = response.text().await.unwrap();
            // The archive names the slug itself.
            for secret in fixtures.secrets.iter().filter(|secret| **secret != slug) {
                assert!(!text.contains(secret), "{header}: {text}");
            }
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert!(
                answer["error"].is_object() || answer["skill"] == slug,
                "{header}: {answer}"
            );
        }
    }
    // Another key beside the caller's is refused, and no key at all.
    let two_keys = upload(String::new()).header("x-api-key", victim.key.reveal());
    assert_eq!(two_keys.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(table_checksums(&db, victim.tenant).await, before);
}
