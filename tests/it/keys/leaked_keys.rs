//! Keys that turn up where they should not be, keys that are tried, and what the audit log tells of those refused.

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
use crate::http_server::{assert_served, call, post, serve};

#[tokio::test(flavor = "multi_thread")]
async fn inspect_tells_whose_key_a_found_text_is_and_a_typing_error_without_a_database() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (_, key) = db.key(tenant, "ada@example.com", &[Scope::SkillsRead]).await;
    let ran = admin(&db, &["key", "inspect", key.reveal()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for told in [
        "acme",
        "ada@example.com",
        "active",
        "skills:read",
        "skillkeep key revoke",
    ] {
        assert!(ran.out.contains(told), "{told}: {}", ran.out);
    }
    assert!(!ran.out.contains(key.reveal()), "the key itself is not repeated");
    alter(&db, &key, "revoked_at = now()").await;
    let shown: Value = admin(&db, &["key", "inspect", key.reveal(), "--json"]).json();
    assert_eq!(
        (&shown["tenant"], &shown["key"]["state"]),
        (&json!("acme"), &json!("revoked"))
    );
    for stranger in [
        ApiKey::generate(TenantId::new(), &mut rand::rng()),
        ApiKey::generate(tenant, &mut rand::rng()),
    ] {
        let ran = ended(&db, &["key", "inspect", stranger.reveal()]);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.err.contains("not one of this registry's"), "{ran:?}");
    }
    // No database is there at all.
    let mut typo = key.reveal().to_owned();
    typo.replace_range(40..41, if &typo[40..41] == "x" { "y" } else { "x" });
    for (text, told) in [
        (typo.as_str(), "typing error"),
        ("hunter2", "not a skillkeep API key"),
    ] {
        let ran = CommandOutput::of(
            program(&["key", "inspect", text]).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        );
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(told) && !ran.err.contains(text), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_found_key_is_told_from_one_that_opens_nothing_and_why_it_does_not() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let superuser = db.superuser().await;
    for (change, rollback_to_savepoint, state) in [
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
        // A key on the command line can be seen by others on the machine, so it may come over stdin.
        say(&mut child, key.reveal().as_bytes());
        drop(child.stdin.take());
        let ran = CommandOutput::end(child);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.json()["key"]["state"], state);
        let listed = admin(&db, &["key", "list", "--tenant", "acme"]);
        assert!(listed.out.contains(state), "{listed:?}");
        superuser.batch_execute(rollback_to_savepoint).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_tries_many_keys_waits_and_those_with_good_ones_do_not() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let at = serve(&service).await;
    assert_served(at, &key).await;
    let tried = async || {
        let guess = ApiKey::generate(tenant, &mut rand::rng());
        post(at, &guess, &call(1, "whoami", &json!({})))
            .send()
            .await
            .unwrap()
    };
    for _ in 0..20 {
        assert_eq!(tried().await.status(), StatusCode::UNAUTHORIZED);
    }
    let refused = tried().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u32 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    // Behind the same address, whoever was served before still is.
    assert_served(at, &key).await;
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    assert_served(at, &key).await;
    // The twenty are two entries: the first, and the others together.
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

/// Reason and count of each refusal in the log.
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

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_refusal_is_in_the_audit_log_with_its_true_reason_and_the_caller_learns_none() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let service = db.service();
    let mut words = std::collections::BTreeSet::new();
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
        let client = Client::connect(&service, &key).await;
        client.ok("whoami", json!({})).await;
        let column = if reason == "tenant_suspended" {
            "id"
        } else {
            "tenant_id"
        };
        let change = format!("{change} WHERE {column} = '{tenant}'");
        db.superuser().await.batch_execute(&change).await.unwrap();
        let error = client.call("whoami", json!({})).await.unwrap_err();
        words.insert(error.to_string());
        db.superuser()
            .await
            .batch_execute(
                "UPDATE api_keys SET revoked_at = NULL, expires_at = NULL; UPDATE users SET status = 'active';
                 UPDATE tenants SET status = 'active'",
            )
            .await
            .unwrap();
    }
    let narrow = db.key(tenant, "narrow@example.com", &[Scope::SkillsRead]).await.1;
    let narrow = Client::connect(&service, &narrow).await;
    let refused = narrow.error("usage_report", json!({})).await;
    assert!(refused.contains("lacks the scope usage:read"), "{refused}");
    narrow.error("usage_report", json!({})).await;
    // A tenant that does not exist has no log.
    let nobody = ApiKey::generate(TenantId::new(), &mut rand::rng());
    let error = Client::connect(&service, &nobody)
        .await
        .call("whoami", json!({}))
        .await
        .unwrap_err();
    words.insert(error.to_string());
    assert_eq!(words.len(), 1, "{words:?}");
    service.drain().await;
    let denials = denials(&db).await;
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
async fn a_key_that_is_revoked_on_one_server_is_refused_by_every_other_from_the_next_call_on() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let (first, second) = (db.service(), db.service());
    let replicas = [serve(&first).await, serve(&second).await];
    for at in replicas {
        assert_served(at, &key).await;
    }
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    api_keys::revoke(&tx, key_id(&db, &key).await).await.unwrap();
    tx.commit().await.unwrap();
    for at in replicas {
        // The first look may still remember the key; the call's own transaction does not.
        let response = post(at, &key, &call(1, "whoami", &json!({})))
            .send()
            .await
            .unwrap();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["error"]["code"], -31_001, "{answer}");
        for list in ["tools/list", "resources/list", "prompts/list"] {
            let asked = json!({"jsonrpc": "2.0", "id": 2, "method": list});
            let answer: Value = post(at, &key, &asked).send().await.unwrap().json().await.unwrap();
            assert_eq!(answer["error"]["code"], -31_001, "{list}: {answer}");
        }
    }
    assert_eq!(db.events(tenant).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_of_a_key_is_told_without_a_write_of_its_own() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let before: String = db.value("SELECT xmin::text FROM api_keys").await;
    let shown = |what: &str| -> Value {
        let ran = admin(&db, &["key", "list", "--tenant", "acme", "--json"]);
        ran.json()[0][what].clone()
    };
    assert_eq!(shown("last_used_at"), Value::Null);
    Client::connect(&db.service(), &key)
        .await
        .ok("whoami", json!({}))
        .await;
    assert!(shown("last_used_at").is_string());
    assert_eq!(
        db.value::<String>("SELECT xmin::text FROM api_keys").await,
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_ever_new_kinds_do_not_fill_the_log() {
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
