//! Methods that stumble, on as few connections as can be: answered once, recorded once, and the next caller is served.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::db::ServerDb;
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::ApiKey;
use tokio::sync::Semaphore;

use super::client::{Speaker, Way};
use super::{LISTS, all, reads, uri};
use crate::harness::TestDb;
use crate::helpers::{Stumble, Wire, events_after};

/// Two tenants behind one connection; what the first one asks for stumbles.
struct Scene {
    db: TestDb,
    service: Arc<CallService>,
    unlucky: TenantId,
    unlucky_key: ApiKey,
    other: TenantId,
    other_key: ApiKey,
    /// A permit for each request that has begun to stumble.
    stumbling: Arc<Semaphore>,
}

/// Far longer than a test waits for anything.
const LONG: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_millis(200);

impl Scene {
    async fn new(stumble: Stumble, limit: Duration) -> Self {
        Self::with_connections(1, stumble, limit).await
    }

    async fn with_connections(connections: usize, stumble: Stumble, limit: Duration) -> Self {
        let db = TestDb::new().await;
        let (unlucky, other) = (db.tenant("unlucky").await, db.tenant("other").await);
        db.skill(unlucky, "pdf", "Does a thing.", &[]).await;
        db.skill(other, "other-skill", "Does a thing.", &[]).await;
        let (unlucky_key, other_key) = (db.full_key(unlucky).await, db.full_key(other).await);
        let stumbling = Arc::new(Semaphore::new(0));
        let block = stumble.of(unlucky, &stumbling);
        let server = ServerDb::new(&db.ways.server, connections).unwrap();
        let service = Arc::new(
            CallService::new(
                server,
                ServiceLimits {
                    call_timeout: limit,
                    ..ServiceLimits::default()
                },
            )
            .with_test_hook(block),
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

    async fn until_fault(&self) {
        let begun = tokio::time::timeout(Duration::from_secs(60), self.stumbling.acquire()).await;
        begun.unwrap().unwrap().forget();
    }

    /// The other tenant is served over the same connection, and sees its own alone.
    async fn assert_the_next_caller_is_served(&self) {
        let mut speaker = Speaker::connect(&self.service, &self.other_key, Way::Memory).await;
        let own = uri("other-skill", "1", "SKILL.md");
        assert_eq!(all(&mut speaker, LISTS[1]).await, std::slice::from_ref(&own));
        let before = self.db.events(self.other).await.len();
        speaker.ok("resources/read", json!({"uri": own})).await;
        let foreign = json!({"uri": uri("pdf", "1", "SKILL.md")});
        assert_eq!(speaker.error("resources/read", foreign).await["code"], -32_002);
        let mut events = events_after(&self.db, &self.service, self.other, before + 2).await;
        assert_eq!(
            events.split_off(before),
            [("resources/read", "ok"), ("resources/read", "tool_error")]
                .map(|(tool, outcome)| (tool.to_owned(), outcome.to_owned()))
        );
    }

    async fn assert_recorded(&self, outcome: &str) {
        let expected = reads("pdf", "1").map(|(method, _)| (method.to_owned(), outcome.to_owned()));
        let events = events_after(&self.db, &self.service, self.unlucky, expected.len()).await;
        assert_eq!(events, expected);
    }
}

/// What is asked for without a record.
fn looks() -> Vec<(&'static str, Value)> {
    let skills = json!({"type": "ref/resource", "uri": "skill://{skill}/{version}/{name}/{+path}"});
    let complete = json!({"ref": skills, "argument": {"name": "skill", "value": ""}});
    LISTS
        .iter()
        .map(|(method, ..)| (*method, json!({})))
        .chain([("tools/list", json!({})), ("completion/complete", complete)])
        .collect()
}

fn assert_says_nothing_of_the_inside(error: &Value) {
    assert_eq!(error["code"], -32_603, "{error}");
    for inside in [
        "a test's panic",
        "division",
        "aborted",
        "transaction",
        "25P02",
        "Do it.",
    ] {
        assert!(!error.to_string().contains(inside), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_stumbles_is_answered_and_recorded_as_what_happened() {
    for (stumble, limit, outcome) in [
        (Stumble::Panic, LONG, "panicked"),
        (Stumble::Wait, SHORT, "timed_out"),
        (Stumble::SlowStatement, SHORT, "timed_out"),
        (Stumble::BadStatement, LONG, "internal_error"),
    ] {
        let scene = Scene::new(stumble, limit).await;
        let mut speaker = Speaker::connect(&scene.service, &scene.unlucky_key, Way::Memory).await;
        for (method, params) in reads("pdf", "1") {
            let error = speaker.error(method, params).await;
            assert_says_nothing_of_the_inside(&error);
            let told_of_time = error["message"].as_str().unwrap().contains("took longer than");
            assert_eq!(told_of_time, outcome == "timed_out", "{error}");
        }
        scene.assert_recorded(outcome).await;
        scene.assert_the_next_caller_is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_taken_back_is_stopped_and_recorded() {
    for stumble in [Stumble::Wait, Stumble::SlowStatement] {
        let scene = Scene::new(stumble, LONG).await;
        let mut wire = Wire::connect(&scene.service, &scene.unlucky_key).await;
        for (id, (method, params)) in (1..).zip(reads("pdf", "1")) {
            wire.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                .await;
            scene.until_fault().await;
            wire.cancel(id).await;
        }
        scene.assert_recorded("cancelled").await;
        scene.assert_the_next_caller_is_served().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_whose_client_is_gone_are_stopped_and_recorded() {
    // All at once: a connection that ends waits some seconds for what is still running.
    // More than are needed: a tenant does not get the last of them.
    let scene = Scene::with_connections(6, Stumble::SlowStatement, LONG).await;
    let mut wire = Wire::connect(&scene.service, &scene.unlucky_key).await;
    for (id, (method, params)) in (1..).zip(reads("pdf", "1")) {
        wire.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        scene.until_fault().await;
    }
    drop(wire);
    scene.assert_recorded("client_gone").await;
    scene.assert_the_next_caller_is_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_stumbles_is_answered_and_holds_nobody_up() {
    for (stumble, limit) in [
        (Stumble::Panic, LONG),
        (Stumble::Wait, SHORT),
        (Stumble::SlowStatement, SHORT),
    ] {
        let scene = Scene::new(stumble, limit).await;
        let mut speaker = Speaker::connect(&scene.service, &scene.unlucky_key, Way::Memory).await;
        for (method, params) in looks() {
            let error = speaker.error(method, params).await;
            assert_says_nothing_of_the_inside(&error);
        }
        scene.assert_the_next_caller_is_served().await;
        assert_eq!(scene.db.events(scene.unlucky).await, [], "{stumble:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_is_taken_back_holds_nobody_up() {
    for stumble in [Stumble::Wait, Stumble::SlowStatement] {
        let scene = Scene::new(stumble, LONG).await;
        let mut wire = Wire::connect(&scene.service, &scene.unlucky_key).await;
        for (id, (method, params)) in (1..).zip(looks()) {
            wire.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                .await;
            scene.until_fault().await;
            wire.cancel(id).await;
        }
        scene.assert_the_next_caller_is_served().await;
        assert_eq!(scene.db.events(scene.unlucky).await, [], "{stumble:?}");
    }
}
