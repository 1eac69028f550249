//! Failed calls on a pool of one connection: each is recorded once, and the next call, of another tenant, is served.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skillkeep::db::{ServerDb, Sql};
use skillkeep::registry::audit::{self, Actor, Entry};
use skillkeep::tenancy::authenticate;

use super::fixture::FaultyTenant;
use crate::harness::{Client, TestDb};
use crate::helpers::{InjectedFault, RawClient, events_after};

impl FaultyTenant {
    /// Waits until a call has reached its fault, and until its statement has probably reached the database.
    async fn until_fault_in_database(&self) {
        self.until_fault().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// Asserts that the other tenant is served at once, sees only its own skills, and that no statement or transaction of the
    /// failed call is left.
    async fn assert_other_tenant_is_served(&self) {
        let start = Instant::now();
        let client = Client::connect(&self.service, &self.other_key).await;
        assert_eq!(client.ok("whoami", json!({})).await["tenant"], "other");
        let found = client.ok("search_skills", json!({})).await;
        let slugs: Vec<&Value> = found["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| &hit["skill"])
            .collect();
        assert_eq!(slugs, ["other-skill"]);
        let message = client.error("get_skill", json!({"skill": "pdf"})).await;
        assert!(message.contains("There is no skill"), "{message}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let events = events_after(&self.db, &self.service, self.other, 3).await;
        assert_eq!(
            events,
            [
                ("whoami", "ok"),
                ("search_skills", "ok"),
                ("get_skill", "tool_error")
            ]
            .map(|(tool, outcome)| (tool.to_owned(), outcome.to_owned()))
        );
        let running: i64 = self
            .db
            .value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'skillkeep_app'
                 AND (state LIKE 'idle in transaction%' OR (state = 'active' AND query LIKE '%pg_sleep%'))",
            )
            .await;
        assert_eq!(running, 0);
    }

    async fn assert_recorded(&self, outcome: &str) {
        self.assert_events(&[("whoami", outcome)]).await;
    }
}

const LONG: Duration = Duration::from_secs(50);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn panic_is_answered_and_recorded() {
    let setup = FaultyTenant::new(InjectedFault::Panic, LONG).await;
    let mut wire = RawClient::connect(&setup.service, &setup.faulty_key).await;
    let answer = wire.call(1, json!({"name": "whoami"})).await;
    assert_eq!(answer["error"]["code"], -32603, "{answer}");
    assert!(!answer.to_string().contains("a test's panic"), "{answer}");
    setup.assert_recorded("panicked").await;
    setup.assert_other_tenant_is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timed_out_call_is_answered_and_recorded() {
    for fault in [InjectedFault::Wait, InjectedFault::SlowStatement] {
        let setup = FaultyTenant::new(fault, SHORT).await;
        let client = Client::connect(&setup.service, &setup.faulty_key).await;
        let start = Instant::now();
        let message = client.error("whoami", json!({})).await;
        assert!(start.elapsed() < Duration::from_secs(10), "{fault:?}");
        assert!(message.contains("took longer than"), "{message}");
        setup.assert_recorded("timed_out").await;
        setup.assert_other_tenant_is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_call_is_stopped_and_recorded() {
    for fault in [InjectedFault::Wait, InjectedFault::SlowStatement] {
        let setup = FaultyTenant::new(fault, LONG).await;
        let mut wire = RawClient::connect(&setup.service, &setup.faulty_key).await;
        wire.start(1, json!({"name": "whoami"})).await;
        setup.until_fault_in_database().await;
        wire.cancel(1).await;
        setup.assert_recorded("cancelled").await;
        setup.assert_other_tenant_is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_of_disconnected_client_is_stopped_and_recorded() {
    for fault in [InjectedFault::Wait, InjectedFault::SlowStatement] {
        let setup = FaultyTenant::new(fault, LONG).await;
        let mut wire = RawClient::connect(&setup.service, &setup.faulty_key).await;
        wire.start(1, json!({"name": "whoami"})).await;
        setup.until_fault_in_database().await;
        drop(wire);
        setup.assert_recorded("client_gone").await;
        setup.assert_other_tenant_is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn db_error_is_recorded_and_its_text_hidden() {
    let setup = FaultyTenant::new(InjectedFault::BadStatement, LONG).await;
    let client = Client::connect(&setup.service, &setup.faulty_key).await;
    // Not whoami: it runs no query that could fail in the aborted transaction.
    let message = client.error("get_skill", json!({"skill": "pdf"})).await;
    for internal in ["division", "aborted", "transaction", "25P02"] {
        assert!(!message.contains(internal), "{message}");
    }
    let events = events_after(&setup.db, &setup.service, setup.faulty, 1).await;
    assert_eq!(events, [("get_skill".to_owned(), "internal_error".to_owned())]);
    setup.assert_other_tenant_is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_cancelled_calls_is_recorded() {
    let setup = FaultyTenant::new(InjectedFault::SlowStatement, LONG).await;
    let mut wire = RawClient::connect(&setup.service, &setup.faulty_key).await;
    for id in 1..=12 {
        wire.start(id, json!({"name": "whoami"})).await;
        setup.until_fault_in_database().await;
        wire.cancel(id).await;
    }
    let events = events_after(&setup.db, &setup.service, setup.faulty, 12).await;
    assert_eq!(events, vec![("whoami".to_owned(), "cancelled".to_owned()); 12]);
    setup.assert_other_tenant_is_served().await;
}

/// Reads the setting of a connection between two calls, through a function that the server calls without a tenant.
#[tokio::test(flavor = "multi_thread")]
async fn connection_has_no_tenant_between_calls() {
    for fault in [
        None,
        Some(InjectedFault::Panic),
        Some(InjectedFault::BadStatement),
        Some(InjectedFault::SlowStatement),
    ] {
        let setup = FaultyTenant::new(
            fault.unwrap_or(InjectedFault::BadStatement),
            Duration::from_millis(300),
        )
        .await;
        setup
            .db
            .superuser()
            .await
            .batch_execute(
                "CREATE OR REPLACE FUNCTION ensure_usage_partitions(months_ahead integer) RETURNS integer LANGUAGE sql
                 AS $$ SELECT length(coalesce(current_setting('app.current_tenant_id', true), '')) $$",
            )
            .await
            .unwrap();
        let key = if fault.is_none() {
            &setup.other_key
        } else {
            &setup.faulty_key
        };
        let client = Client::connect(&setup.service, key).await;
        let _ = client.call("whoami", json!({})).await;
        let length = setup.service.db().ensure_usage_partitions().await.unwrap();
        assert_eq!(length, 0, "{fault:?}");
    }
}

/// A transaction that is neither committed nor rolled back, for example because its future was dropped.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_transaction_is_not_committed_by_the_next() {
    let db = TestDb::new().await;
    let (faulty, other) = (db.tenant("faulty").await, db.tenant("other").await);
    let (faulty_key, other_key) = (db.full_key(faulty).await, db.full_key(other).await);
    let server = ServerDb::new(&db.ways.server, 1).unwrap();
    let actor = Actor::System("test".to_owned());
    let entry = |subject: &'static str| Entry {
        actor: &actor,
        action: "skill.done",
        subject,
        details: json!({}),
        source: "test",
    };
    for slow in [false, true] {
        let (tx, _) = authenticate(&server, &faulty_key).await.unwrap();
        audit::write(&tx, &entry("dropped")).await.unwrap();
        if slow {
            let sleep = tx.query(Sql::from_file("SELECT pg_sleep(300) AS slept"), &[]);
            let _ = tokio::time::timeout(Duration::from_millis(50), sleep).await;
        }
        drop(tx);
        let start = Instant::now();
        let (tx, principal) = authenticate(&server, &other_key).await.unwrap();
        assert_eq!(principal.tenant, other);
        audit::write(&tx, &entry("kept")).await.unwrap();
        skillkeep::search::commit(tx).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    let dropped: i64 = db
        .value("SELECT count(*) FROM audit_logs WHERE subject = 'dropped'")
        .await;
    let kept: i64 = db
        .value("SELECT count(*) FROM audit_logs WHERE subject = 'kept'")
        .await;
    assert_eq!((dropped, kept), (0, 2));
}
