//! The download route: the tenant is that of the API key; headers, path and query cannot change that.

use reqwest::StatusCode;
use skillkeep::isolation_probe::Fixtures;

use super::headers::HEADERS;
use crate::harness::TestDb;
use crate::helpers::table_checksums;
use crate::http_server::serve;

#[tokio::test(flavor = "multi_thread")]
async fn download_reaches_no_other_tenant() {
    let db = TestDb::new().await;
    let service = db.service();
    let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
    let (victim, attacker) = (&fixtures.victim, &fixtures.attacker);
    let slug: String = db
        .value(&format!(
            "SELECT slug FROM skills WHERE tenant_id = '{}' AND latest_version_id IS NOT NULL ORDER BY slug LIMIT 1",
            victim.tenant
        ))
        .await;
    let before = table_checksums(&db, victim.tenant).await;
    let at = serve(&service).await;
    let client = reqwest::Client::new();
    let get = |path: &str| client.get(format!("http://{at}/skills/{path}"));
    let own = get(&format!("{slug}/latest.zip")).bearer_auth(victim.key.reveal());
    assert_eq!(own.send().await.unwrap().status(), StatusCode::OK);
    let before_attacks = table_checksums(&db, victim.tenant).await;
    assert_ne!(before, before_attacks, "the download of the victim is recorded");
    let query = format!(
        "tenant={0}&tenant_id={0}&api_key={1}",
        victim.tenant,
        victim.key.reveal()
    );
    for path in [
        format!("{slug}/latest.zip"),
        format!("{slug}/1.0.zip?{query}"),
        format!("{}/../{slug}/latest.zip", victim.tenant),
        format!("{}%2F{slug}/latest.zip", victim.tenant),
    ] {
        for header in HEADERS {
            for value in [victim.tenant.to_string().as_str(), &victim.slug] {
                let request = get(&path)
                    .bearer_auth(attacker.key.reveal())
                    .header(header, value);
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), StatusCode::NOT_FOUND, "{header}: {path}");
                let text = response.text().await.unwrap();
                // The path names the slug itself.
                for secret in fixtures.secrets.iter().filter(|secret| !path.contains(*secret)) {
                    assert!(!text.contains(secret), "{header}: {text}");
                }
            }
        }
    }
    let two_keys = get(&format!("{slug}/latest.zip"))
        .bearer_auth(attacker.key.reveal())
        .header("x-api-key", victim.key.reveal());
    assert_eq!(two_keys.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(table_checksums(&db, victim.tenant).await, before_attacks);
}
