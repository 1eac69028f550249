//! Leaked and guessed API keys: `key inspect`, throttling, and the audit entries of denied requests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::access::{Denial, DenialReason};
use skillkeep::db::TenantTx;
use skillkeep::ids::TenantId;
use skillkeep::tenancy::{ApiKey, KeyRejectionReason, Scope, api_keys};

use super::{alter, key_id};
use crate::command::{CommandOutput, admin, ended, program, program_as, say};
use crate::harness::{Client, TestDb};
use crate::http_server::{assert_call_succeeds, call, post, serve};

#[tokio::test(flavor = "multi_thread")]
async fn inspect_shows_the_owner_and_detects_typing_errors_offline() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (_, key) = db.key(tenant, "ada@example.com", &[Scope::SkillsRead]).await;
    let ran = admin(&db, &["key", "inspect", key.reveal()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in [
        "acme",
        "ada@example.com",
        "active",
        "skills:read",
        "skillkeep key revoke",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains(key.reveal()), "the key is not printed");
    alter(&db, &key, "revoked_at = now()").await;
    let shown: Value = admin(&db, &["key", "inspect", key.reveal(), "--json"]).json();
    assert_eq!(
        (&shown["tenant"], &shown["key"]["state"]),
        (&json!("acme"), &json!("revoked"))
    );
    for unknown in [
        ApiKey::generate(TenantId::new(), &mut rand::rng()),
        ApiKey::generate(tenant, &mut rand::rng()),
    ] {
        let ran = ended(&db, &["key", "inspect", unknown.reveal()]);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.err.contains("is not stored in this registry"), "{ran:?}");
    }
    // No database is reachable.
    let mut typo = key.reveal().to_owned();
    typo.replace_range(40..41, if &typo[40..41] == "x" { "y" } else { "x" });
    for (text, message) in [
        (typo.as_str(), "typing error"),
        ("hunter2", "not a skillkeep API key"),
    ] {
        let ran = CommandOutput::of(
            program(&["key", "inspect", text]).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        );
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(message) && !ran.err.contains(text), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_and_list_show_why_a_key_does_not_work() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let superuser = db.superuser().await;
    for (change, revert, state) in [
        (
            "UPDATE api_keys SET expires_at = now() - interval '1 second'",
            "UPDATE api_keys SET expires_at = NULL",
            "expired",
        ),
        (
            "UPDATE users SET status = 'suspended'",
            "UPDATE users SET status = 'active'",
            "suspended",
        ),
        (
            "UPDATE tenants SET status = 'suspended' WHERE slug = 'acme'",
            "UPDATE tenants SET status = 'active' WHERE slug = 'acme'",
            "tenant suspended",
        ),
    ] {
        superuser.batch_execute(change).await.unwrap();
        let mut child = program_as("skillkeep_admin", &db, &["key", "inspect", "--json"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // From stdin, because other users of the machine can see the command line.
        say(&mut child, key.reveal().as_bytes());
        drop(child.stdin.take());
        let ran = CommandOutput::end(child);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.json()["key"]["state"], state);
        let listed = admin(&db, &["key", "list", "--tenant", "acme"]);
        assert!(listed.out.contains(state), "{listed:?}");
        superuser.batch_execute(revert).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_throttled_and_a_valid_key_still_works() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let at = serve(&service).await;
    assert_call_succeeds(at, &key).await;
    let guess = async || {
        let guessed = ApiKey::generate(tenant, &mut rand::rng());
        post(at, &guessed, &call(1, "whoami", &json!({})))
            .send()
            .await
            .unwrap()
    };
    for _ in 0..20 {
        assert_eq!(guess().await.status(), StatusCode::UNAUTHORIZED);
    }
    let refused = guess().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u32 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    // A key that was valid before still works from the same address.
    assert_call_succeeds(at, &key).await;
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    assert_call_succeeds(at, &key).await;
    // The 20 denials are 2 entries: the first one, and a count of the others.
    service.drain().await;
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT actor_kind, actor, source, details FROM audit_logs
             WHERE action = 'denied.key' AND details->>'reason' <> 'not_tried' ORDER BY seq",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    let counts: Vec<Value> = rows
        .iter()
        .map(|row| row.get::<_, Value>(3)["count"].clone())
        .collect();
    assert_eq!(counts, [json!(1), json!(19)]);
    assert_eq!(rows[0].get::<_, String>(0), "system");
    assert_eq!(rows[0].get::<_, String>(2), "http 127.0.0.1");
    assert_eq!(rows[0].get::<_, Value>(3)["reason"], "unknown_key");
}

/// Action, subject, source and details of each denial in the audit log.
pub(super) async fn denials(db: &TestDb) -> Vec<(String, String, String, Value)> {
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT action, subject, source, details FROM audit_logs WHERE action LIKE 'denied.%' ORDER BY seq",
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

/// Makes a call with a key that was revoked, has expired, or whose user or tenant is suspended; returns the error messages.
async fn rejection_messages(
    db: &TestDb,
    service: &Arc<skillkeep::server::CallService>,
    tenant: TenantId,
) -> BTreeSet<String> {
    let mut messages = BTreeSet::new();
    for (number, (change, reason)) in [
        ("UPDATE api_keys SET revoked_at = now()", "revoked"),
        ("UPDATE api_keys SET expires_at = now()", "expired"),
        ("UPDATE users SET status = 'suspended'", "user_suspended"),
        ("UPDATE tenants SET status = 'suspended'", "tenant_suspended"),
    ]
    .into_iter()
    .enumerate()
    {
        let key = db
            .key(tenant, &format!("user-{number}@example.com"), &Scope::ALL)
            .await
            .1;
        let client = Client::connect(service, &key).await;
        client.ok("whoami", json!({})).await;
        let column = if reason == "tenant_suspended" {
            "id"
        } else {
            "tenant_id"
        };
        let change = format!("{change} WHERE {column} = '{tenant}'");
        db.superuser().await.batch_execute(&change).await.unwrap();
        let error = client.call("whoami", json!({})).await.unwrap_err();
        messages.insert(error.to_string());
        db.superuser()
            .await
            .batch_execute(
                "UPDATE api_keys SET revoked_at = NULL, expires_at = NULL; UPDATE users SET status = 'active';
                 UPDATE tenants SET status = 'active'",
            )
            .await
            .unwrap();
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_is_logged_with_its_reason_which_the_caller_cannot_see() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let service = db.service();
    let mut messages = rejection_messages(&db, &service, tenant).await;
    let restricted = db
        .key(tenant, "restricted@example.com", &[Scope::SkillsRead])
        .await
        .1;
    let restricted = Client::connect(&service, &restricted).await;
    let refused = restricted.error("usage_report", json!({})).await;
    assert!(refused.contains("lacks the scope usage:read"), "{refused}");
    restricted.error("usage_report", json!({})).await;
    // A tenant that does not exist has no audit log.
    let unknown = ApiKey::generate(TenantId::new(), &mut rand::rng());
    let error = Client::connect(&service, &unknown)
        .await
        .call("whoami", json!({}))
        .await
        .unwrap_err();
    messages.insert(error.to_string());
    assert_eq!(messages.len(), 1, "{messages:?}");
    service.drain().await;
    // Each connection also watches the catalog, in the background: on a busy machine that begins after its key was rejected.
    let mut denials = denials(&db).await;
    denials.retain(|(_, _, source, _)| source != "subscription");
    let reasons: Vec<&str> = denials
        .iter()
        .map(|(_, _, _, details)| details["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        [
            "revoked",
            "expired",
            "user_suspended",
            "tenant_suspended",
            "missing_scope",
            "missing_scope"
        ]
    );
    let (action, subject, source, details) = &denials[4];
    assert_eq!(
        (
            action.as_str(),
            subject.as_str(),
            source.as_str(),
            &details["count"]
        ),
        ("denied.scope", "usage_report", "stdio", &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_key_is_rejected_by_every_server_from_the_next_call() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let (first, second) = (db.service(), db.service());
    let replicas = [serve(&first).await, serve(&second).await];
    for at in replicas {
        assert_call_succeeds(at, &key).await;
    }
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    api_keys::revoke(&tx, key_id(&db, &key).await).await.unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    for at in replicas {
        // The authentication cache may still accept the key; the call's own authentication does not.
        let response = post(at, &key, &call(1, "whoami", &json!({})))
            .send()
            .await
            .unwrap();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["error"]["code"], -31_001, "{answer}");
        for list in ["tools/list", "resources/list", "prompts/list"] {
            let request = json!({"jsonrpc": "2.0", "id": 2, "method": list});
            let answer: Value = post(at, &key, &request)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            assert_eq!(answer["error"]["code"], -31_001, "{list}: {answer}");
        }
    }
    assert_eq!(db.events(tenant).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn last_use_of_a_key_is_shown_without_updating_its_row() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let before: String = db.value("SELECT xmin::text FROM api_keys").await;
    let listed = |column: &str| -> Value {
        let ran = admin(&db, &["key", "list", "--tenant", "acme", "--json"]);
        ran.json()[0][column].clone()
    };
    assert_eq!(listed("last_used_at"), Value::Null);
    Client::connect(&db.service(), &key)
        .await
        .ok("whoami", json!({}))
        .await;
    assert!(listed("last_used_at").is_string());
    assert_eq!(
        db.value::<String>("SELECT xmin::text FROM api_keys").await,
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_from_many_sources_are_aggregated() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let service = db.service();
    for number in 0..5_000 {
        service.access().denials().record(Denial {
            tenant,
            api_key: None,
            reason: DenialReason::Key(KeyRejectionReason::UnknownKey),
            what: String::new(),
            source: format!("http 2001:db8::{number:x}"),
        });
    }
    service.drain().await;
    let denials = denials(&db).await;
    assert!(denials.len() <= 102, "{}", denials.len());
    let counts = denials
        .iter()
        .map(|(_, _, _, details)| details["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 5_000, "none is lost");
    assert_eq!(
        denials
            .iter()
            .filter(|(_, _, source, _)| source == "many")
            .count(),
        2
    );
}
