//! How many calls a key and a tenant may make: over HTTP 429 with Retry-After, over stdio words that a model can act on.

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
use crate::helpers::Stumble;
use crate::http_server::{Agent, PATIENCE, assert_served, call, post, serve};

async fn limit_key(db: &TestDb, tenant: TenantId, key: &ApiKey, call_limits: CallLimits) {
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    api_keys::set_call_limits(&tx, key_id(db, key).await, call_limits)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn limit_tenant(db: &TestDb, slug: &str, call_limits: CallLimits) {
    let mut tenant = tenants::find(&db.admin, slug).await.unwrap().unwrap();
    tenant.call_limits = call_limits;
    let tx = TenantTx::begin_as_admin(&db.admin, tenant.id).await.unwrap();
    tenants::update(&tx, &tenant).await.unwrap();
    tx.commit().await.unwrap();
}

const fn a_minute(calls: i32) -> CallLimits {
    CallLimits {
        calls_per_minute: Some(calls),
        calls_per_month: None,
    }
}

const fn a_month(calls: i64) -> CallLimits {
    CallLimits {
        calls_per_minute: None,
        calls_per_month: Some(calls),
    }
}

async fn outcomes(db: &TestDb, tenant: TenantId, outcome: &str) -> usize {
    let events = db.events(tenant).await;
    events.iter().filter(|(_, found)| found == outcome).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_too_many_calls_get_429_with_the_time_to_wait_and_others_are_served() {
    let db = TestDb::new().await;
    let (mine, other) = (db.tenant("mine").await, db.tenant("other").await);
    let (key, colleague) = (
        db.full_key(mine).await,
        db.key(mine, "bob@example.com", &skillkeep::tenancy::Scope::ALL)
            .await
            .1,
    );
    let stranger = db.full_key(other).await;
    limit_key(&db, mine, &key, a_minute(5)).await;
    limit_tenant(&db, "mine", a_minute(8)).await;
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
    let words: Value = refused.json().await.unwrap();
    let words = words["error"]["message"].as_str().unwrap();
    assert!(
        words.starts_with("This API key has reached its limit of 5 calls per minute"),
        "{words}"
    );
    // What is left of the tenant's call_limits is the colleague's, and no more.
    for _ in 0..3 {
        assert_eq!(ask(&colleague).await.status(), StatusCode::OK);
    }
    let refused: Value = ask(&colleague).await.json().await.unwrap();
    let words = refused["error"]["message"].as_str().unwrap();
    assert!(
        words.starts_with("Your organisation has reached its limit of 8 calls per minute"),
        "{words}"
    );
    assert_served(at, &stranger).await;
    assert_eq!(db.events(mine).await.len(), 8, "what was not let in is no call");
    // Over HTTP+SSE the same: opening the stream is free, each message counts.
    let opened = Agent::open(&reqwest::Client::new(), at, &colleague).await;
    let agent = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
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
async fn over_stdio_too_many_calls_get_words_and_are_recorded_as_such() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", a_minute(3)).await;
    let client = Client::connect(&db.service(), &key).await;
    for _ in 0..3 {
        client.ok("whoami", json!({})).await;
    }
    let words = client.error("whoami", json!({})).await;
    assert!(
        words.starts_with("Your organisation has reached its limit of 3 calls per minute. Try again in "),
        "{words}"
    );
    assert!(
        client.service.list_all_tools().await.is_err(),
        "lists count as well"
    );
    assert_eq!(outcomes(&db, tenant, "over_limit").await, 1);
    assert_eq!(outcomes(&db, tenant, "ok").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_months_calls_are_counted_across_servers_and_those_refused_are_not() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", a_month(6)).await;
    // One server makes four of them, before the other has seen any.
    let first = Client::connect(&db.service(), &key).await;
    for _ in 0..4 {
        first.ok("whoami", json!({})).await;
    }
    let second = Client::connect(&db.service(), &key).await;
    for _ in 0..2 {
        second.ok("whoami", json!({})).await;
    }
    for _ in 0..3 {
        let words = second.error("whoami", json!({})).await;
        assert!(
            words.contains("6 calls a month") && words.contains("next month begins on"),
            "{words}"
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
    // Raised, it holds from the next look at the key, a few seconds later at most.
    limit_tenant(&db, "acme", a_month(7)).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    second.ok("whoami", json!({})).await;
    second.error("whoami", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sets_limits_at_the_command_line_and_the_log_shows_before_and_after() {
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
    for wrong in [
        vec!["tenant", "set", "acme"],
        vec!["tenant", "set", "acme", "--calls-per-minute", "0"],
        vec!["key", "limit", &id, "--tenant", "acme"],
    ] {
        assert_eq!(ended(&db, &wrong).code, 2, "{wrong:?}");
    }
    let nobodys = TenantId::new().to_string();
    assert_eq!(
        ended(
            &db,
            &[
                "key",
                "limit",
                &nobodys,
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

/// Each start of the program begins with an empty memory.
#[tokio::test(flavor = "multi_thread")]
async fn who_starts_the_server_anew_for_each_call_has_the_same_minute() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    limit_key(&db, tenant, &key, a_minute(3)).await;
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
async fn a_keys_month_is_its_own_and_a_rotation_does_not_begin_it_anew() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (key, other) = (
        db.full_key(tenant).await,
        db.key(tenant, "bob@example.com", &skillkeep::tenancy::Scope::ALL)
            .await
            .1,
    );
    limit_key(&db, tenant, &key, a_month(4)).await;
    let client = Client::connect(&db.service(), &key).await;
    for _ in 0..3 {
        client.ok("whoami", json!({})).await;
    }
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let id = key_id(&db, &key).await;
    let (_, new) = api_keys::rotate(&tx, id, std::time::Duration::from_secs(600))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // Another server, so that nothing of it is remembered.
    let successor = Client::connect(&db.service(), &new).await;
    successor.ok("whoami", json!({})).await;
    let words = successor.error("whoami", json!({})).await;
    assert!(
        words.starts_with("This API key has reached its limit of 4 calls per month"),
        "{words}"
    );
    let old = Client::connect(&db.service(), &key).await;
    old.error("whoami", json!({})).await;
    let colleague = Client::connect(&db.service(), &other).await;
    colleague.ok("whoami", json!({})).await;
}

/// All at once, before any of them is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_are_not_more_than_a_month_or_a_minute_may_have() {
    for (call_limits, may, a_second) in [(a_month(7), 7, 0.0), (a_minute(9), 9, 9.0 / 60.0)] {
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
            for asked in calls.collect::<Vec<_>>() {
                assert!(asked.await.unwrap());
            }
            service.drain().await;
            // A minute's call_limits comes back evenly.
            let back = began.elapsed().as_secs_f64() * a_second;
            let answered = outcomes(&db, tenant, "ok").await;
            assert!(answered >= may, "{transport}, {call_limits:?}: {answered}");
            let more = f64::from(u32::try_from(answered - may).unwrap());
            assert!(more <= back, "{transport}, {call_limits:?}: {answered}");
        }
    }
}

/// What changes something is brought to its end though its caller has left, and until then it is not recorded.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_run_on_without_their_caller_count_against_the_month() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[]).await;
    let key = db.full_key(tenant).await;
    limit_tenant(&db, "acme", a_month(2)).await;
    let stumbling = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let block = Stumble::Wait.of(tenant, &stumbling);
    let at = serve(&db.service_with_faults(ServiceLimits::default(), block)).await;
    let install = call(
        1,
        "install_skill",
        &json!({"skill": "fill-pdf", "assistant": "codex"}),
    );
    for _ in 0..2 {
        let asked = tokio::spawn(post(at, &key, &install).send());
        stumbling.acquire().await.unwrap().forget();
        asked.abort();
    }
    // The calls of the month are counted anew, and the database knows of none.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let refused = post(at, &key, &call(2, "whoami", &json!({})))
        .timeout(PATIENCE)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}
