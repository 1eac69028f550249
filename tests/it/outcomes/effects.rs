//! The effects of a call and its usage event are committed together or not at all.

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
use crate::helpers::{RawClient, events_after, single_connection_service, test_hook};

/// An effect that any call can have: an entry in the audit log.
async fn write_mark(tx: &TenantTx) {
    let actor = Actor::System("test".to_owned());
    let entry = Entry {
        actor: &actor,
        action: "skill.mark",
        subject: "mark",
        details: json!({}),
        source: "test",
    };
    audit::write(tx, &entry).await.unwrap();
}

async fn marks(db: &TestDb) -> i64 {
    db.value("SELECT count(*) FROM audit_logs WHERE action = 'skill.mark'")
        .await
}

async fn installs(db: &TestDb) -> i64 {
    db.value("SELECT count(*) FROM installs").await
}

/// What happens after the mark is written.
#[derive(Debug, Clone, Copy)]
enum Then {
    Nothing,
    Panic,
    SlowStatement,
    BadStatement,
}

fn mark_then(then: Then) -> TestHook {
    test_hook(move |_, tx| {
        async move {
            write_mark(tx).await;
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
async fn effects_are_kept_only_for_successful_calls() {
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
        let service = single_connection_service(&db, limits, mark_then(then));
        let client = Client::connect(&service, &db.full_key(tenant).await).await;
        let _ = client.call("install_skill", arguments).await;
        let events = events_after(&db, &service, tenant, 1).await;
        assert_eq!(events, [("install_skill".to_owned(), outcome.to_owned())]);
        assert_eq!((marks(&db).await, installs(&db).await), (kept, kept), "{then:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unrecordable_call_is_rejected_and_has_no_effect() {
    let (db, tenant) = with_a_skill().await;
    let key = db.full_key(tenant).await;
    let service = single_connection_service(&db, ServiceLimits::default(), mark_then(Then::Nothing));
    let client = Client::connect(&service, &key).await;
    let superuser = db.superuser().await;
    for (damage, repair) in [
        (
            "REVOKE INSERT ON usage_events FROM skillkeep_app",
            "GRANT INSERT ON usage_events TO skillkeep_app",
        ),
        (
            "ALTER TABLE usage_events ADD CONSTRAINT nothing_fits CHECK (false) NOT VALID",
            "ALTER TABLE usage_events DROP CONSTRAINT nothing_fits",
        ),
    ] {
        let (marks_before, installs_before) = (marks(&db).await, installs(&db).await);
        superuser.batch_execute(damage).await.unwrap();
        for (tool, arguments) in [("install_skill", install()), ("whoami", json!({}))] {
            let error = client.call(tool, arguments).await.unwrap_err().to_string();
            assert!(error.contains("could not record"), "{damage}: {error}");
            for internal in ["usage_events", "permission", "partition", "constraint"] {
                assert!(!error.contains(internal), "{error}");
            }
        }
        assert_eq!(
            (marks(&db).await, installs(&db).await),
            (marks_before, installs_before),
            "{damage}"
        );
        superuser.batch_execute(repair).await.unwrap();
        let before = db.events(tenant).await.len();
        client.ok("install_skill", install()).await;
        assert_eq!(db.events(tenant).await.len(), before + 1, "{damage}");
        assert_eq!(installs(&db).await, installs_before + 1, "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connection_fails_one_call_only() {
    let (db, tenant) = with_a_skill().await;
    let key = db.full_key(tenant).await;
    let service = single_connection_service(&db, ServiceLimits::default(), mark_then(Then::SlowStatement));
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
    let answer = answer.unwrap();
    assert_eq!(answer.is_error, Some(true));
    let text = answer.content[0].as_text().unwrap().text.clone();
    assert!(text.contains("nothing was done"), "{text}");
    assert_eq!((marks(&db).await, installs(&db).await), (0, 0));
    // Recorded in a second transaction.
    let recorded = ("install_skill".to_owned(), "internal_error".to_owned());
    assert_eq!(db.events(tenant).await, [recorded]);
    // A service of the same size without the fault.
    let healthy = single_connection_service(&db, ServiceLimits::default(), mark_then(Then::Nothing));
    Client::connect(&healthy, &key)
        .await
        .ok("install_skill", install())
        .await;
    assert_eq!(db.events(tenant).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_write_runs_to_its_end_and_is_recorded() {
    for disconnects in [false, true] {
        let (db, tenant) = with_a_skill().await;
        let (started, resume) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (hook_started, hook_resume) = (Arc::clone(&started), Arc::clone(&resume));
        let hook = test_hook(move |_, _| {
            let (started, resume) = (Arc::clone(&hook_started), Arc::clone(&hook_resume));
            async move {
                started.add_permits(1);
                resume.acquire().await.unwrap().forget();
            }
            .boxed()
        });
        let service = single_connection_service(&db, ServiceLimits::default(), hook);
        let mut wire = RawClient::connect(&service, &db.full_key(tenant).await).await;
        wire.start(1, json!({"name": "install_skill", "arguments": install()}))
            .await;
        started.acquire().await.unwrap().forget();
        if disconnects {
            drop(wire);
        } else {
            wire.cancel(1).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(db.events(tenant).await, [], "the call still runs");
        resume.add_permits(1);
        let events = events_after(&db, &service, tenant, 1).await;
        assert_eq!(events, [("install_skill".to_owned(), "ok".to_owned())]);
        assert_eq!(installs(&db).await, 1, "disconnects: {disconnects}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_each_leave_event_and_effect() {
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
