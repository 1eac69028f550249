//! Secret paths: what they open, how they end, and that a wrong one says nothing.

use reqwest::header::REFERRER_POLICY;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use skillkeep::tenancy::{ApiKey, Scope};

use super::{Fixture, names};
use crate::command::{CommandOutput, admin, program_as};
use crate::methods::KeyLimits;

const INDEX: &str = "/.well-known/agent-skills/index.json";

async fn status(fixture: &Fixture, secret: &str) -> StatusCode {
    fixture.open(&format!("{secret}{INDEX}")).await.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_path_opens_only_the_skills_of_path_and_key() {
    let fixture = Fixture::new().await;
    fixture.db.skill(fixture.tenant, "third", "Another.", &[]).await;
    let secret = fixture.share(&["--only-skills", "one-file,third"]);
    let index = fixture.json(&format!("{secret}{INDEX}")).await;
    assert_eq!(names(&index), ["one-file", "third"]);
    let hidden = fixture
        .open(&format!("{secret}/skills/many-files/latest.zip"))
        .await;
    assert_eq!(hidden.status(), StatusCode::NOT_FOUND);
    let limited = KeyLimits {
        scopes: &Scope::ALL,
        only_skills: Some(&["third", "many-files"]),
        only_tools: None,
    };
    limited.key(&fixture.db, fixture.tenant).await;
    let create = [
        "share",
        "create",
        "--key",
        "limited",
        "--tenant",
        "acme",
        "--only-skills",
        "one-file,third",
    ];
    let secret = admin(&fixture.db, &create).out.trim().to_owned();
    assert_eq!(names(&fixture.json(&format!("{secret}{INDEX}")).await), ["third"]);
    // The rights of the key without `skills:install` open nothing.
    let (user, _) = fixture
        .db
        .key(fixture.tenant, "bea@example.com", &[Scope::UsageRead])
        .await;
    fixture
        .db
        .superuser()
        .await
        .execute(
            "UPDATE api_keys SET name = 'reporter' WHERE user_id = $1",
            &[user.as_uuid()],
        )
        .await
        .unwrap();
    let create = ["share", "create", "--key", "reporter", "--tenant", "acme"];
    let secret = admin(&fixture.db, &create).out.trim().to_owned();
    assert_eq!(status(&fixture, &secret).await, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_path_reads_and_does_nothing_else() {
    let fixture = Fixture::new().await;
    let secret = fixture.share(&[]);
    let text = secret.trim_start_matches("/d/");
    for path in ["/mcp", "/skills", "/sse", "/healthz"] {
        let url = format!("http://{}{secret}{path}", fixture.at);
        let response = reqwest::Client::new().post(url).body("{}").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let url = format!("http://{}{secret}{INDEX}", fixture.at);
    let posted = reqwest::Client::new().post(url).body("{}").send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    // It is no API key, and an API key is no secret path.
    for path in ["/mcp", INDEX] {
        let url = format!("http://{}{path}", fixture.at);
        let response = reqwest::Client::new()
            .get(url)
            .bearer_auth(text)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let as_path = format!("/d/{}", fixture.key.reveal());
    assert_eq!(status(&fixture, &as_path).await, StatusCode::NOT_FOUND);
    assert_eq!(fixture.db.events(fixture.tenant).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_and_wrong_secret_paths_get_one_answer() {
    let fixture = Fixture::new().await;
    let globex = fixture.db.tenant("globex").await;
    let forged = |tenant| {
        format!(
            "/d/{}",
            ApiKey::generate_secret_path(tenant, &mut rand::rng()).reveal()
        )
    };
    let mut bodies = Vec::new();
    let mut refused = async |secret: &str| {
        let response = fixture.open(&format!("{secret}{INDEX}")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{secret}");
        assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
        bodies.push(response.text().await.unwrap());
    };
    for secret in [forged(fixture.tenant), forged(globex), "/d/nothing".to_owned()] {
        refused(&secret).await;
    }
    for (end, restore) in [
        (
            "UPDATE secret_paths SET revoked_at = now()",
            "UPDATE secret_paths SET revoked_at = NULL",
        ),
        (
            "UPDATE secret_paths SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'",
            "UPDATE secret_paths SET expires_at = now() + interval '1 day'",
        ),
        (
            "UPDATE api_keys SET revoked_at = now()",
            "UPDATE api_keys SET revoked_at = NULL",
        ),
        (
            "UPDATE api_keys SET expires_at = now()",
            "UPDATE api_keys SET expires_at = NULL",
        ),
        (
            "UPDATE users SET status = 'suspended'",
            "UPDATE users SET status = 'active'",
        ),
        (
            "UPDATE tenants SET status = 'suspended'",
            "UPDATE tenants SET status = 'active'",
        ),
    ] {
        let secret = fixture.share(&[]);
        let superuser = fixture.db.superuser().await;
        superuser.batch_execute(end).await.unwrap();
        refused(&secret).await;
        superuser.batch_execute(restore).await.unwrap();
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn path_that_was_open_is_refused_from_the_next_call_after_its_end() {
    let fixture = Fixture::new().await;
    for end in [
        "UPDATE secret_paths SET revoked_at = now()",
        "UPDATE api_keys SET revoked_at = now()",
    ] {
        let secret = fixture.share(&[]);
        assert_eq!(status(&fixture, &secret).await, StatusCode::OK);
        fixture.db.superuser().await.batch_execute(end).await.unwrap();
        // The check before the call may be three seconds old. The one in its transaction decides.
        let refused = status(&fixture, &secret).await;
        assert!(
            [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND].contains(&refused),
            "{end}: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessed_secrets_are_throttled_and_audited_like_keys() {
    let fixture = Fixture::new().await;
    let secret = fixture.share(&[]);
    let mut statuses = Vec::new();
    for _ in 0..40 {
        let forged = ApiKey::generate_secret_path(fixture.tenant, &mut rand::rng());
        statuses.push(status(&fixture, &format!("/d/{}", forged.reveal())).await);
    }
    assert_eq!(statuses[0], StatusCode::NOT_FOUND);
    assert_eq!(
        statuses.last(),
        Some(&StatusCode::TOO_MANY_REQUESTS),
        "{statuses:?}"
    );
    // A valid one is not known yet, so it waits as well, as a key does.
    assert_eq!(status(&fixture, &secret).await, StatusCode::TOO_MANY_REQUESTS);
    fixture.service.drain().await;
    let denials: i64 = fixture
        .db
        .value("SELECT count(*) FROM audit_logs WHERE action LIKE 'denied.%'")
        .await;
    assert!(denials > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_shown_once_and_stored_nowhere() {
    let fixture = Fixture::new().await;
    let secret = fixture.share(&["--name", "laptop", "--expires", "90d"]);
    let text = secret.trim_start_matches("/d/");
    let stored: i64 = fixture
        .db
        .value(&format!(
            "SELECT count(*) FROM secret_paths WHERE secret_hash = sha256('{text}') AND expires_at <= now() + interval '90 days'"
        ))
        .await;
    assert_eq!(stored, 1);
    assert_eq!(status(&fixture, &secret).await, StatusCode::OK);
    let listed = admin(&fixture.db, &["share", "list", "--tenant", "acme", "--json"]);
    assert!(!listed.out.contains(&text[30..]));
    let listed = listed.json();
    assert_eq!(
        (
            &listed[0]["name"],
            &listed[0]["state"],
            &listed[0]["api_key_name"]
        ),
        (&json!("laptop"), &json!("active"), &json!("test"))
    );
    let rows: Value = fixture
        .db
        .value("SELECT jsonb_build_array((SELECT jsonb_agg(a) FROM audit_logs a), (SELECT jsonb_agg(e) FROM usage_events e))")
        .await;
    assert!(!rows.to_string().contains(&text[30..]));
    let create = [
        "share",
        "create",
        "--key",
        "test",
        "--tenant",
        "acme",
        "--expires",
        "91d",
    ];
    let refused = CommandOutput::of(&mut program_as("skillkeep_admin", &fixture.db, &create));
    assert_eq!(refused.code, 2, "{refused:?}");
    // The server cannot create paths or make them last longer.
    for statement in [
        "UPDATE secret_paths SET expires_at = expires_at",
        "UPDATE secret_paths SET revoked_at = NULL",
        "INSERT INTO secret_paths SELECT * FROM secret_paths",
        "DELETE FROM secret_paths",
    ] {
        let superuser = fixture.db.superuser().await;
        superuser.batch_execute("SET ROLE skillkeep_app").await.unwrap();
        assert!(superuser.batch_execute(statement).await.is_err(), "{statement}");
    }
    admin(&fixture.db, &["share", "revoke", "laptop", "--tenant", "acme"]);
    let listed = admin(&fixture.db, &["share", "list", "--tenant", "acme", "--json"]).json();
    assert_eq!(listed[0]["state"], "revoked");
    let response = fixture.with_key(Method::GET, &fixture.key, INDEX).await;
    assert_eq!(response.status(), StatusCode::OK);
}
