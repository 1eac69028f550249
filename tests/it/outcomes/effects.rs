//! A call's effects and its record stand together or not at all.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use skillkeep::db::{Sql, TenantTx};
use skillkeep::ids::TenantId;
use skillkeep::registry::audit::{self, Actor, Entry};
use skillkeep::server::{ServiceLimits, TestHook};
use tokio::sync::Semaphore;

use crate::harness::{Client, TestDb};
use crate::helpers::{Wire, events_after, single_connection_service, test_hook};

/// An effect that any call can have: an entry in the audit log.
async fn leave_a_mark(tx: &TenantTx) {
    let actor = Actor::Operator("stumble".to_owned());
    let entry = Entry {
        actor: &actor,
        action: "test.mark",
        subject: "mark",
        details: json!({}),
        source: "test",
    };
    audit::write(tx, &entry).await.unwrap();
}

async fn marks(db: &TestDb) -> i64 {
    db.value("SELECT count(*) FROM audit_logs WHERE action = 'test.mark'")
        .await
}

async fn installs(db: &TestDb) -> i64 {
    db.value("SELECT count(*) FROM installs").await
}

/// What follows the mark.
#[derive(Debug, Clone, Copy)]
enum Then {
    Nothing,
    Panic,
    SlowStatement,
    BadStatement,
}

fn mark_and_then(then: Then) -> TestHook {
    test_hook(move |_, tx| {
        async move {
            leave_a_mark(tx).await;
            match then {
                Then::Nothing => {}
                Then::Panic => panic!("a test's panic"),
                Then::SlowStatement => {
                    let _ = tx.query(Sql::from_file("SELECT pg_sleep(60)"), &[]).await;
                }
                Then::BadStatement => {
                    let _ = tx.query(Sql::from_file("SELECT 1 / length('')"), &[]).await;
                }
            }
        }
        .boxed()
    })
}

async fn with_a_skill() -> (TestDb, TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in PDF forms.", &[]).await;
    (db, tenant)
}

fn install() -> serde_json::Value {
    json!({"skill": "fill-pdf", "assistant": "codex"})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_did_stands_with_its_record_only_if_it_went_well() {
    for (then, arguments, outcome, kept) in [
        (Then::Nothing, install(), "ok", 1),
        (
            Then::Nothing,
            json!({"skill": "nothing", "assistant": "codex"}),
            "tool_error",
            0,
        ),
        (Then::Panic, install(), "panicked", 0),
        (Then::SlowStatement, install(), "timed_out", 0),
        (Then::BadStatement, install(), "internal_error", 0),
    ] {
        let (db, tenant) = with_a_skill().await;
        let limits = ServiceLimits {
            call_timeout: Duration::from_secs(1),
            ..ServiceLimits::default()
        };
        let service = single_connection_service(&db, limits, mark_and_then(then));
        let client = Client::connect(&service, &db.full_key(tenant).await).await;
        let _ = client.call("install_skill", arguments).await;
        let events = events_after(&db, &service, tenant, 1).await;
        assert_eq!(events, [("install_skill".to_owned(), outcome.to_owned())]);
        assert_eq!((marks(&db).await, installs(&db).await), (kept, kept), "{then:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_be_recorded_is_not_answered_and_leaves_nothing() {
    let (db, tenant) = with_a_skill().await;
    let key = db.full_key(tenant).await;
    let service = single_connection_service(&db, ServiceLimits::default(), mark_and_then(Then::Nothing));
    let client = Client::connect(&service, &key).await;
    let superuser = db.superuser().await;
    let month: String = db
        .value("SELECT 'usage_events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
        .await;
    for (broken, mended) in [
        (
            "REVOKE INSERT ON usage_events FROM skillkeep_app".to_owned(),
            "GRANT INSERT ON usage_events TO skillkeep_app".to_owned(),
        ),
        (
            "ALTER TABLE usage_events ADD CONSTRAINT nothing_fits CHECK (false) NOT VALID".to_owned(),
            "ALTER TABLE usage_events DROP CONSTRAINT nothing_fits".to_owned(),
        ),
        (
            format!("DROP TABLE {month}"),
            "SELECT ensure_usage_partitions(3)".to_owned(),
        ),
    ] {
        let (marks_before, installs_before) = (marks(&db).await, installs(&db).await);
        superuser.batch_execute(&broken).await.unwrap();
        for (tool, arguments) in [("install_skill", install()), ("whoami", json!({}))] {
            let error = client.call(tool, arguments).await.unwrap_err().to_string();
            assert!(error.contains("could not record"), "{broken}: {error}");
            for inside in ["usage_events", "permission", "partition", "constraint"] {
                assert!(!error.contains(inside), "{error}");
            }
        }
        assert_eq!(
            (marks(&db).await, installs(&db).await),
            (marks_before, installs_before),
            "{broken}"
        );
        superuser.batch_execute(&mended).await.unwrap();
        let before = db.events(tenant).await.len();
        client.ok("install_skill", install()).await;
        assert_eq!(db.events(tenant).await.len(), before + 1, "{broken}");
        assert_eq!(installs(&db).await, installs_before + 1, "{broken}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_connection_breaks_is_an_error_and_the_next_one_works() {
    let (db, tenant) = with_a_skill().await;
    let key = db.full_key(tenant).await;
    let service =
        single_connection_service(&db, ServiceLimits::default(), mark_and_then(Then::SlowStatement));
    let client = Client::connect(&service, &key).await;
    let kill = async {
        loop {
            let killed: i64 = db
                .value(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%' AND pid <> pg_backend_pid()",
                )
                .await;
            if killed > 0 {
                return;
            }
        }
    };
    let (answer, ()) = tokio::join!(client.call("install_skill", install()), kill);
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("lost its database"), "{error}");
    assert_eq!((marks(&db).await, installs(&db).await), (0, 0));
    assert_eq!(db.events(tenant).await, []);
    // The same pool, with tools that do not stumble.
    let healthy = single_connection_service(&db, ServiceLimits::default(), mark_and_then(Then::Nothing));
    Client::connect(&healthy, &key)
        .await
        .ok("install_skill", install())
        .await;
    assert_eq!(db.events(tenant).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changing_call_that_is_taken_back_is_brought_to_its_end_and_recorded_as_what_it_did() {
    for client_goes in [false, true] {
        let (db, tenant) = with_a_skill().await;
        let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (begun_inside, go_on_inside) = (Arc::clone(&begun), Arc::clone(&go_on));
        let block = test_hook(move |_, _| {
            let (begun, go_on) = (Arc::clone(&begun_inside), Arc::clone(&go_on_inside));
            async move {
                begun.add_permits(1);
                go_on.acquire().await.unwrap().forget();
            }
            .boxed()
        });
        let service = single_connection_service(&db, ServiceLimits::default(), block);
        let mut wire = Wire::connect(&service, &db.full_key(tenant).await).await;
        wire.start(1, json!({"name": "install_skill", "arguments": install()}))
            .await;
        begun.acquire().await.unwrap().forget();
        if client_goes {
            drop(wire);
        } else {
            wire.cancel(1).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(db.events(tenant).await, [], "it is not over yet");
        go_on.add_permits(1);
        let events = events_after(&db, &service, tenant, 1).await;
        assert_eq!(events, [("install_skill".to_owned(), "ok".to_owned())]);
        assert_eq!(installs(&db).await, 1, "client_goes: {client_goes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_leave_an_event_and_an_effect_each() {
    let (db, tenant) = with_a_skill().await;
    let service = db.service();
    let key = db.full_key(tenant).await;
    let callers = (0..16).map(|_| {
        let (service, key) = (Arc::clone(&service), key.clone());
        async move {
            let client = Client::connect(&service, &key).await;
            for _ in 0..5 {
                client.ok("install_skill", install()).await;
            }
        }
    });
    futures::future::join_all(callers).await;
    let events = events_after(&db, &service, tenant, 80).await;
    assert_eq!(events, vec![("install_skill".to_owned(), "ok".to_owned()); 80]);
    assert_eq!(installs(&db).await, 80);
}
