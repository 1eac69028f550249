//! Rate limits of API keys and tenants: status 429 with Retry-After over HTTP, a tool error over stdio.

use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::TenantId;
use skillkeep::server::ServiceLimits;
use skillkeep::tenancy::api_keys;
use skillkeep::tenancy::tenants;
use skillkeep::tenancy::{ApiKey, CallLimits};

use super::key_id;
use crate::command::{admin, ended};
use crate::harness::{Client, TestDb};
use crate::helpers::InjectedFault;
use crate::http_server::{Agent, PATIENCE, assert_call_succeeds, call, post, serve};

async fn limit_key(db: &TestDb, tenant: TenantId, key: &ApiKey, call_limits: CallLimits) {
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    api_keys::set_call_limits(&tx, key_id(db, key).await, call_limits)
        .await
        .unwrap();
    skillkeep::search::commit(tx).await.unwrap();
}

pub(super) async fn limit_tenant(db: &TestDb, slug: &str, call_limits: CallLimits) {
    let mut tenant = tenants::find(&db.admin, slug).await.unwrap().unwrap();
    tenant.call_limits = call_limits;
    let tx = TenantTx::begin_as_admin(&db.admin, tenant.id).await.unwrap();
    tenants::update(&tx, &tenant).await.unwrap();
    skillkeep::search::commit(tx).await.unwrap();
}

const fn per_minute(calls: i32) -> CallLimits {
    CallLimits {
        calls_per_minute: Some(calls),
        calls_per_month: None,
    }
}

pub(super) const fn per_month(calls: i64) -> CallLimits {
    CallLimits {
        calls_per_minute: None,
        calls_per_month: Some(calls),
    }
}

pub(super) async fn outcomes(db: &TestDb, tenant: TenantId, outcome: &str) -> usize {
    let events = db.events(tenant).await;
    events.iter().filter(|(_, found)| found == outcome).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn http_call_over_limit_gets_429_and_other_tenants_are_served() {
    let db = TestDb::new().await;
    let (mine, other) = (db.tenant("mine").await, db.tenant("other").await);
    let (key, colleague) = (
        db.full_key(mine).await,
        db.key(mine, "bob@example.com", &skillkeep::tenancy::Scope::ALL)
            .await
            .1,
    );
    let other_key = db.full_key(other).await;
    limit_key(&db, mine, &key, per_minute(5)).await;
    limit_tenant(&db, "mine", per_minute(8)).await;
    let service = db.service();
    let at = serve(&service).await;
    let ask = async |key: &ApiKey| {
        post(at, key, &call(1, "whoami", &json!({})))
            .send()
            .await
            .unwrap()
    };
    for _ in 0..5 {
        assert_eq!(ask(&key).await.status(), StatusCode::OK);
    }
    let refused = ask(&key).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u32 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    let body: Value = refused.json().await.unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("This API key has reached its limit of 5 calls per minute"),
        "{message}"
    );
    // The colleague can use the rest of the tenant's limit, and no more.
    for _ in 0..3 {
        assert_eq!(ask(&colleague).await.status(), StatusCode::OK);
    }
    let refused: Value = ask(&colleague).await.json().await.unwrap();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Your organisation has reached its limit of 8 calls per minute"),
        "{message}"
    );
    assert_call_succeeds(at, &other_key).await;
    service.drain().await;
    assert_eq!(outcomes(&db, mine, "ok").await, 8);
    assert_eq!(outcomes(&db, mine, "over_limit").await, 2);
    // HTTP+SSE: opening the stream does not count, each message does.
    let opened = Agent::open(&reqwest::Client::new(), at, &colleague).await;
    let agent = opened.unwrap_or_else(|response| panic!("{response:?}"));
    let refused = agent
        .message(&colleague)
        .json(&call(2, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stdio_call_over_limit_gets_a_tool_error_and_is_recorded() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", per_minute(3)).await;
    let client = Client::connect(&db.service(), &key).await;
    for _ in 0..3 {
        client.ok("whoami", json!({})).await;
    }
    let message = client.error("whoami", json!({})).await;
    assert!(
        message.starts_with("Your organisation has reached its limit of 3 calls per minute. Try again in "),
        "{message}"
    );
    assert!(
        client.service.list_all_tools().await.is_ok(),
        "lists are no calls"
    );
    assert_eq!(outcomes(&db, tenant, "over_limit").await, 1);
    assert_eq!(outcomes(&db, tenant, "ok").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn month_limit_counts_across_servers_without_rejected_calls() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", per_month(6)).await;
    // The first server admits 4 calls before the second one counts.
    let first = Client::connect(&db.service(), &key).await;
    for _ in 0..4 {
        first.ok("whoami", json!({})).await;
    }
    let second = Client::connect(&db.service(), &key).await;
    for _ in 0..2 {
        second.ok("whoami", json!({})).await;
    }
    for _ in 0..3 {
        let message = second.error("whoami", json!({})).await;
        assert!(
            message.contains("6 calls per month") && message.contains("next month begins on"),
            "{message}"
        );
    }
    let at = serve(&db.service()).await;
    let refused = post(at, &key, &call(1, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(wait <= 31 * 86_400, "{wait}");
    assert_eq!(outcomes(&db, tenant, "ok").await, 6);
    // A raised limit applies a few seconds later at most, when the key is authenticated again.
    limit_tenant(&db, "acme", per_month(7)).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    second.ok("whoami", json!({})).await;
    second.error("whoami", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_set_by_command_are_effective_and_logged() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let id = key_id(&db, &key).await.to_string();
    let ran = admin(
        &db,
        &[
            "tenant",
            "set",
            "acme",
            "--calls-per-minute",
            "600",
            "--calls-per-month",
            "100000",
        ],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("600 calls a minute and 100000 a month"),
        "{ran:?}"
    );
    let ran = admin(
        &db,
        &[
            "key",
            "limit",
            &id,
            "--tenant",
            "acme",
            "--calls-per-minute",
            "60",
        ],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = admin(&db, &["tenant", "set", "acme", "--calls-per-month", "none"]);
    assert!(ran.out.contains("600 calls a minute;"), "{ran:?}");
    let me = Client::connect(&db.service(), &key)
        .await
        .ok("whoami", json!({}))
        .await;
    assert_eq!(
        (
            &me["calls_per_minute"],
            &me["tenant_calls_per_minute"],
            me.get("tenant_calls_per_month")
        ),
        (&json!(60), &json!(600), None),
        "{me}"
    );
    let details: Value = db
        .value("SELECT details FROM audit_logs WHERE action = 'tenant.set' ORDER BY seq DESC LIMIT 1")
        .await;
    assert_eq!(details["before"]["limits"]["calls_per_month"], 100_000);
    assert_eq!(details["after"]["limits"]["calls_per_month"], Value::Null);
    assert_wrong_limits_are_rejected(&db, &id);
}

fn assert_wrong_limits_are_rejected(db: &TestDb, id: &str) {
    for wrong in [
        vec!["tenant", "set", "acme"],
        vec!["tenant", "set", "acme", "--calls-per-minute", "0"],
        vec!["key", "limit", id, "--tenant", "acme"],
    ] {
        assert_eq!(ended(db, &wrong).code, 2, "{wrong:?}");
    }
    let unknown_id = TenantId::new().to_string();
    assert_eq!(
        ended(
            db,
            &[
                "key",
                "limit",
                &unknown_id,
                "--tenant",
                "acme",
                "--calls-per-minute",
                "1"
            ]
        )
        .code,
        3
    );
}

/// A new service has no counts in memory, as after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn minute_limit_survives_a_restart_of_the_server() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_key(&db, tenant, &key, per_minute(3)).await;
    let mut answered = 0;
    for _ in 0..5 {
        let client = Client::connect(&db.service(), &key).await;
        let result = client.call("whoami", json!({})).await.unwrap();
        answered += usize::from(result.is_error != Some(true));
    }
    assert_eq!(answered, 3);
    assert_eq!(outcomes(&db, tenant, "over_limit").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_continues_the_month_count_of_its_predecessor() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (key, other) = (
        db.full_key(tenant).await,
        db.key(tenant, "bob@example.com", &skillkeep::tenancy::Scope::ALL)
            .await
            .1,
    );
    limit_key(&db, tenant, &key, per_month(4)).await;
    let client = Client::connect(&db.service(), &key).await;
    for _ in 0..3 {
        client.ok("whoami", json!({})).await;
    }
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let id = key_id(&db, &key).await;
    let (_, new) = api_keys::rotate(&tx, id, std::time::Duration::from_secs(600))
        .await
        .unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    // Another server, which has no counts in memory.
    let successor = Client::connect(&db.service(), &new).await;
    successor.ok("whoami", json!({})).await;
    let message = successor.error("whoami", json!({})).await;
    assert!(
        message.starts_with("This API key has reached its limit of 4 calls per month"),
        "{message}"
    );
    let old = Client::connect(&db.service(), &key).await;
    old.error("whoami", json!({})).await;
    let colleague = Client::connect(&db.service(), &other).await;
    colleague.ok("whoami", json!({})).await;
}

/// All calls start before any of them is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_do_not_exceed_the_month_or_minute_limit() {
    for (call_limits, limit, refill_per_second) in [(per_month(7), 7, 0.0), (per_minute(9), 9, 9.0 / 60.0)] {
        let began = std::time::Instant::now();
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let key = db.full_key(tenant).await;
        limit_tenant(&db, "acme", call_limits).await;
        for transport in ["stdio", "http"] {
            let service = db.service();
            let at = serve(&service).await;
            let client = std::sync::Arc::new(Client::connect(&service, &key).await);
            let calls = (0..40).map(|number| {
                let (client, key) = (std::sync::Arc::clone(&client), key.clone());
                tokio::spawn(async move {
                    if transport == "stdio" {
                        client.call("whoami", json!({})).await.is_ok()
                    } else {
                        post(at, &key, &call(number, "whoami", &json!({})))
                            .send()
                            .await
                            .is_ok()
                    }
                })
            });
            for call in calls.collect::<Vec<_>>() {
                assert!(call.await.unwrap());
            }
            service.drain().await;
            // A minute limit refills evenly.
            let refilled = began.elapsed().as_secs_f64() * refill_per_second;
            let answered = outcomes(&db, tenant, "ok").await;
            assert!(answered >= limit, "{transport}, {call_limits:?}: {answered}");
            let excess = f64::from(u32::try_from(answered - limit).unwrap());
            assert!(excess <= refilled, "{transport}, {call_limits:?}: {answered}");
        }
    }
}

/// A call that changes something completes although its client disconnected, and is recorded when it ends.
#[tokio::test(flavor = "multi_thread")]
async fn running_calls_of_disconnected_clients_count_against_the_month() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[]).await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", per_month(2)).await;
    let stumbling = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let block = InjectedFault::Wait.of(tenant, &stumbling);
    let at = serve(&db.service_with_faults(ServiceLimits::default(), block)).await;
    let report = call(
        1,
        "record_usage",
        &json!({"skill": "fill-pdf", "outcome": "helped"}),
    );
    for _ in 0..2 {
        let request = tokio::spawn(post(at, &key, &report).send());
        stumbling.acquire().await.unwrap().forget();
        request.abort();
    }
    // Time for a new count of the month, which finds no usage event.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let refused = post(at, &key, &call(2, "whoami", &json!({})))
        .timeout(PATIENCE)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}
