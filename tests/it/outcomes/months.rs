//! Months that turn, and clocks that differ: events are stored in partitions of one month each.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use skillkeep::db::{ServerDb, TenantTx};
use skillkeep::ids::{EventId, TenantId};
use skillkeep::registry::usage::{self, CallOutcome, Subject, UsageEvent};
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::{ApiKey, Principal, authenticate};

use crate::harness::{Client, TestDb};

/// Drops the partitions of this month and the later ones, as if none had been created for a long time.
const DROP_MONTHS: &str = "DO $$ DECLARE month text; BEGIN
    FOR month IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'usage_events'::regclass
          AND c.relname >= 'usage_events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
    LOOP EXECUTE format('DROP TABLE %I', month); END LOOP; END $$";

async fn set_up() -> (TestDb, TenantId, ApiKey) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in PDF forms.", &[]).await;
    let key = db.full_key(tenant).await;
    (db, tenant, key)
}

/// The event of a call that began at this time.
fn event(key: &Principal, began: Timestamp) -> UsageEvent {
    UsageEvent {
        id: EventId::at(began),
        api_key: key.api_key,
        user: key.user,
        tool: "whoami".to_owned(),
        subject: Subject::default(),
        outcome: CallOutcome::Ok,
        error_code: None,
        duration_us: 200_000,
        transport: "stdio",
        protocol_version: None,
        client_name: None,
        client_version: None,
        request_id: None,
        trace_id: None,
        idempotency_key: None,
        arguments: Value::default(),
        result_count: None,
        result_bytes: 0,
    }
}

async fn begin(db: &TestDb, key: &ApiKey) -> (TenantTx, Principal) {
    authenticate(&db.server, key).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn call_at_the_turn_of_the_month_is_stored_in_the_month_in_which_it_began() {
    let (db, tenant, key) = set_up().await;
    let first: Timestamp = db
        .value("SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'")
        .await;
    // One call begins 0.1 s before midnight and is recorded after it, the other begins at midnight.
    for began in [first - SignedDuration::from_millis(100), first] {
        let (tx, caller) = begin(&db, &key).await;
        usage::commit_with_event(tx, &event(&caller, began))
            .await
            .unwrap();
        let expected = began.strftime("usage_events_%Y_%m").to_string();
        let id = EventId::at(began).to_string();
        let found: String = db
            .value(&format!(
                "SELECT string_agg(tableoid::regclass::text, ' ') FROM usage_events WHERE left(id::text, 13) = left('{id}', 13)"
            ))
            .await;
        assert_eq!(found, expected);
    }
    assert_eq!(db.events(tenant).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn month_without_a_partition_gets_one_at_the_first_call() {
    let (db, tenant, key) = set_up().await;
    db.superuser().await.batch_execute(DROP_MONTHS).await.unwrap();
    let client = Client::connect(&db.service(), &key).await;
    client.ok("whoami", json!({})).await;
    let install = json!({"skill": "fill-pdf", "assistant": "codex"});
    client.ok("install_skill", install).await;
    assert_eq!(db.events(tenant).await.len(), 2);
    let installs: i64 = db.value("SELECT count(*) FROM installs").await;
    assert_eq!(installs, 1);
}

/// The process knows the partitions from before.
#[tokio::test(flavor = "multi_thread")]
async fn partition_that_vanishes_costs_one_call_its_effects_and_no_record() {
    let (db, tenant, key) = set_up().await;
    let client = Client::connect(&db.service(), &key).await;
    client.ok("whoami", json!({})).await;
    db.superuser().await.batch_execute(DROP_MONTHS).await.unwrap();
    let install = json!({"skill": "fill-pdf", "assistant": "codex"});
    let error = client
        .call("install_skill", install.clone())
        .await
        .unwrap_err()
        .to_string();
    assert!(!error.contains("partition"), "{error}");
    client.ok("install_skill", install).await;
    let events = db.events(tenant).await;
    let expected = [("install_skill", "internal_error"), ("install_skill", "ok")];
    assert_eq!(
        events,
        expected.map(|(tool, outcome)| (tool.to_owned(), outcome.to_owned()))
    );
    let installs: i64 = db.value("SELECT count(*) FROM installs").await;
    assert_eq!(installs, 1);
}

/// Several processes find the partitions missing at once.
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_in_a_new_month_are_recorded() {
    let (db, tenant, key) = set_up().await;
    db.superuser().await.batch_execute(DROP_MONTHS).await.unwrap();
    let process = || {
        let server = ServerDb::new(&db.ways.server, 4).unwrap();
        Arc::new(CallService::new(server, ServiceLimits::default()))
    };
    let services: Vec<_> = (0..3).map(|_| process()).collect();
    let calls = services.iter().flat_map(|service| {
        let key = key.clone();
        (0..5).map(move |_| {
            let (service, key) = (Arc::clone(service), key.clone());
            tokio::spawn(async move {
                Client::connect(&service, &key)
                    .await
                    .ok("whoami", json!({}))
                    .await;
            })
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(db.events(tenant).await.len(), 15);
}
