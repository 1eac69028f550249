//! Bad endings on a pool of one connection: each is recorded once, and the next caller, of another tenant, is served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skillkeep::db::{ServerDb, Sql};
use skillkeep::ids::TenantId;
use skillkeep::registry::audit::{self, Actor, Entry};
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::{ApiKey, authenticate};
use tokio::sync::Semaphore;

use crate::harness::{Client, TestDb};
use crate::helpers::{Stumble, Wire, events_after, single_connection_service};

/// Two tenants behind one connection; the first one's calls stumble.
struct Scene {
    db: TestDb,
    service: Arc<CallService>,
    unlucky: TenantId,
    unlucky_key: ApiKey,
    other: TenantId,
    other_key: ApiKey,
    /// A permit for each call that has begun to stumble.
    stumbling: Arc<Semaphore>,
}

impl Scene {
    async fn new(stumble: Stumble, limit: Duration) -> Self {
        let db = TestDb::new().await;
        let (unlucky, other) = (db.tenant("unlucky").await, db.tenant("other").await);
        db.skill(unlucky, "unlucky-skill", "Does a thing.", &[]).await;
        db.skill(other, "other-skill", "Does a thing.", &[]).await;
        let (unlucky_key, other_key) = (db.full_key(unlucky).await, db.full_key(other).await);
        let stumbling = Arc::new(Semaphore::new(0));
        let block = stumble.of(unlucky, &stumbling);
        let service = single_connection_service(
            &db,
            ServiceLimits {
                call_timeout: limit,
                ..ServiceLimits::default()
            },
            block,
        );
        Self {
            db,
            service,
            unlucky,
            unlucky_key,
            other,
            other_key,
            stumbling,
        }
    }

    /// Waits until a call has begun to stumble, and a moment more for its statement to reach the database.
    async fn until_fault(&self) {
        let begun = tokio::time::timeout(Duration::from_secs(20), self.stumbling.acquire()).await;
        begun.unwrap().unwrap().forget();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// The other tenant is served at once, sees its own things only, and nothing is left running or open.
    async fn assert_the_next_caller_is_served(&self) {
        let begun = Instant::now();
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
        let words = client.error("get_skill", json!({"skill": "unlucky-skill"})).await;
        assert!(words.contains("There is no skill"), "{words}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
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
        let events = events_after(&self.db, &self.service, self.unlucky, 1).await;
        assert_eq!(events, [("whoami".to_owned(), outcome.to_owned())]);
    }
}

const LONG: Duration = Duration::from_secs(50);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_answered_recorded_and_left_behind() {
    let scene = Scene::new(Stumble::Panic, LONG).await;
    let mut wire = Wire::connect(&scene.service, &scene.unlucky_key).await;
    let answer = wire.call(1, json!({"name": "whoami"})).await;
    assert_eq!(answer["error"]["code"], -32603, "{answer}");
    assert!(!answer.to_string().contains("a test's panic"), "{answer}");
    scene.assert_recorded("panicked").await;
    scene.assert_the_next_caller_is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_too_long_is_answered_recorded_and_left_behind() {
    for stumble in [Stumble::Wait, Stumble::SlowStatement] {
        let scene = Scene::new(stumble, SHORT).await;
        let client = Client::connect(&scene.service, &scene.unlucky_key).await;
        let begun = Instant::now();
        let words = client.error("whoami", json!({})).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{stumble:?}");
        assert!(words.contains("took longer than"), "{words}");
        scene.assert_recorded("timed_out").await;
        scene.assert_the_next_caller_is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_taken_back_is_stopped_recorded_and_left_behind() {
    for stumble in [Stumble::Wait, Stumble::SlowStatement] {
        let scene = Scene::new(stumble, LONG).await;
        let mut wire = Wire::connect(&scene.service, &scene.unlucky_key).await;
        wire.start(1, json!({"name": "whoami"})).await;
        scene.until_fault().await;
        wire.cancel(1).await;
        scene.assert_recorded("cancelled").await;
        scene.assert_the_next_caller_is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_client_is_gone_is_stopped_recorded_and_left_behind() {
    for stumble in [Stumble::Wait, Stumble::SlowStatement] {
        let scene = Scene::new(stumble, LONG).await;
        let mut wire = Wire::connect(&scene.service, &scene.unlucky_key).await;
        wire.start(1, json!({"name": "whoami"})).await;
        scene.until_fault().await;
        drop(wire);
        scene.assert_recorded("client_gone").await;
        scene.assert_the_next_caller_is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_database_refuses_is_recorded_and_its_text_stays_inside() {
    let scene = Scene::new(Stumble::BadStatement, LONG).await;
    let client = Client::connect(&scene.service, &scene.unlucky_key).await;
    // whoami asks the database for nothing more, so a tool that does.
    let words = client.error("get_skill", json!({"skill": "unlucky-skill"})).await;
    for inside in ["division", "aborted", "transaction", "25P02"] {
        assert!(!words.contains(inside), "{words}");
    }
    let events = events_after(&scene.db, &scene.service, scene.unlucky, 1).await;
    assert_eq!(events, [("get_skill".to_owned(), "internal_error".to_owned())]);
    scene.assert_the_next_caller_is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_calls_that_are_taken_back_is_recorded_one_by_one() {
    let scene = Scene::new(Stumble::SlowStatement, LONG).await;
    let mut wire = Wire::connect(&scene.service, &scene.unlucky_key).await;
    for id in 1..=12 {
        wire.start(id, json!({"name": "whoami"})).await;
        scene.until_fault().await;
        wire.cancel(id).await;
    }
    let events = events_after(&scene.db, &scene.service, scene.unlucky, 12).await;
    assert_eq!(events, vec![("whoami".to_owned(), "cancelled".to_owned()); 12]);
    scene.assert_the_next_caller_is_served().await;
}

/// What a connection remembers between two calls, asked by way of a function that the server calls without any tenant.
#[tokio::test(flavor = "multi_thread")]
async fn between_two_calls_a_connection_knows_no_tenant() {
    for stumble in [
        None,
        Some(Stumble::Panic),
        Some(Stumble::BadStatement),
        Some(Stumble::SlowStatement),
    ] {
        let scene = Scene::new(
            stumble.unwrap_or(Stumble::BadStatement),
            Duration::from_millis(300),
        )
        .await;
        scene
            .db
            .superuser()
            .await
            .batch_execute(
                "CREATE OR REPLACE FUNCTION ensure_usage_partitions(months_ahead integer) RETURNS integer LANGUAGE sql
                 AS $$ SELECT length(coalesce(current_setting('app.current_tenant_id', true), '')) $$",
            )
            .await
            .unwrap();
        let key = if stumble.is_none() {
            &scene.other_key
        } else {
            &scene.unlucky_key
        };
        let client = Client::connect(&scene.service, key).await;
        let _ = client.call("whoami", json!({})).await;
        let remembered = scene.service.db().ensure_usage_partitions().await.unwrap();
        assert_eq!(remembered, 0, "{stumble:?}");
    }
}

/// A transaction that nobody ends: its future was dropped, for example. Found missing by `tests/mutation/run`.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dropped_transaction_did_is_never_committed_by_the_next_on_its_connection() {
    let db = TestDb::new().await;
    let (unlucky, other) = (db.tenant("unlucky").await, db.tenant("other").await);
    let (unlucky_key, other_key) = (db.full_key(unlucky).await, db.full_key(other).await);
    let server = ServerDb::new(&db.ways.server, 1).unwrap();
    let actor = Actor::System("test".to_owned());
    let entry = |subject: &'static str| Entry {
        actor: &actor,
        action: "test.done",
        subject,
        details: json!({}),
        source: "test",
    };
    for slow in [false, true] {
        let (tx, _) = authenticate(&server, &unlucky_key).await.unwrap();
        audit::write(&tx, &entry("dropped")).await.unwrap();
        if slow {
            let sleep = tx.query(Sql::from_file("SELECT pg_sleep(300) AS slept"), &[]);
            let _ = tokio::time::timeout(Duration::from_millis(50), sleep).await;
        }
        drop(tx);
        let begun = Instant::now();
        let (tx, principal) = authenticate(&server, &other_key).await.unwrap();
        assert_eq!(principal.tenant, other);
        audit::write(&tx, &entry("kept")).await.unwrap();
        tx.commit().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    let dropped: i64 = db
        .value("SELECT count(*) FROM audit_logs WHERE subject = 'dropped'")
        .await;
    let kept: i64 = db
        .value("SELECT count(*) FROM audit_logs WHERE subject = 'kept'")
        .await;
    assert_eq!((dropped, kept), (0, 2));
}
