//! How many calls a tenant has running at once, over every path, also of those whose callers have left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::HttpOptions;
use tokio::sync::Semaphore;

use super::NEW;
use crate::harness::TestDb;
use crate::helpers::test_hook;
use crate::http_server::{Agent, PATIENCE, Served, assert_served, call, post};

/// A server on which installs wait until they may go on.
struct Stuck {
    db: TestDb,
    service: Arc<CallService>,
    served: Served,
    key: ApiKey,
    other: ApiKey,
    begun: Arc<Semaphore>,
    go: Arc<Semaphore>,
}

async fn stuck(calls_per_tenant: usize) -> Stuck {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[]).await;
    let key = db.full_key(tenant).await;
    let other = db.full_key(db.tenant("globex").await).await;
    let (begun, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (begins, may_go) = (Arc::clone(&begun), Arc::clone(&go));
    let block = test_hook(move |tool, _| {
        let (begins, may_go) = (Arc::clone(&begins), Arc::clone(&may_go));
        let waits = tool == "install_skill";
        async move {
            if waits {
                begins.add_permits(1);
                let _ = may_go.acquire().await;
            }
        }
        .boxed()
    });
    let mut limits = ServiceLimits::default();
    limits.access.calls_per_tenant = calls_per_tenant;
    let service = db.service_with_faults(limits, block);
    let served = Served::start(Arc::clone(&service), HttpOptions::default()).await;
    Stuck {
        db,
        service,
        served,
        key,
        other,
        begun,
        go,
    }
}

fn install(id: i64) -> Value {
    call(
        id,
        "install_skill",
        &json!({"skill": "fill-pdf", "assistant": "codex"}),
    )
}

impl Stuck {
    /// Waits until so many more installs have begun.
    async fn begun(&self, count: u32) {
        let begun = tokio::time::timeout(PATIENCE, self.begun.acquire_many(count));
        begun.await.expect("they have not begun").unwrap().forget();
    }

    async fn assert_refused(&self) {
        let refused = post(self.served.at, &self.key, &install(9)).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()["retry-after"], "1");
        let words: Value = refused.json().await.unwrap();
        assert!(words.to_string().contains("2 calls running"), "{words}");
    }

    /// Lets the installs end, and sees that there is room again.
    async fn let_go(&self) {
        self.go.add_permits(1_000);
        let began = Instant::now();
        let one = call(1, "whoami", &json!({}));
        while post(self.served.at, &self.key, &one)
            .send()
            .await
            .unwrap()
            .status()
            != StatusCode::OK
        {
            assert!(began.elapsed() < PATIENCE, "no place has become free");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_so_many_calls_at_once_and_hanging_up_makes_no_room_for_more() {
    let stuck = stuck(2).await;
    for id in 0..2 {
        let asked = post(stuck.served.at, &stuck.key, &install(id)).send();
        let asked = tokio::spawn(asked);
        stuck.begun(1).await;
        asked.abort();
        let _gone = asked.await;
    }
    // However long the server has known that nobody waits for them.
    for _ in 0..10 {
        stuck.assert_refused().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stuck.begun.available_permits(), 0);
    assert_served(stuck.served.at, &stuck.other).await;
    stuck.let_go().await;
    // The refusals are in the tenant's log: the first, and the others together.
    stuck.service.drain().await;
    let told: Vec<String> = stuck
        .db
        .value(
            "SELECT array_agg(concat_ws(' ', action, subject, details->>'reason', details->>'count') ORDER BY seq)
             FROM audit_logs WHERE action LIKE 'denied.%'",
        )
        .await;
    assert_eq!(told[0], "denied.limit calls at once over_limit 1", "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_an_event_stream_what_was_taken_back_counts_until_it_has_ended() {
    let stuck = stuck(2).await;
    let mut agent = Agent::greet(stuck.served.at, &stuck.key).await;
    for id in 1..=2 {
        agent.say(&install(id)).await;
        stuck.begun(1).await;
        let taken_back =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        agent.say(&taken_back).await;
    }
    let again = agent.message(&stuck.key).json(&install(3)).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(again.headers()["retry-after"], "1");
    stuck.assert_refused().await;
    assert_eq!(stuck.begun.available_permits(), 0);
    stuck.let_go().await;
    assert!(agent.ask(&call(4, "whoami", &json!({}))).await["result"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_waits_for_its_answer_is_not_given_to_another_request() {
    let stuck = stuck(10).await;
    let mut agent = Agent::greet(stuck.served.at, &stuck.key).await;
    agent.say(&install(1)).await;
    stuck.begun(1).await;
    for _ in 0..3 {
        let twice = agent.message(&stuck.key).json(&install(1)).send().await.unwrap();
        assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
        let words: Value = twice.json().await.unwrap();
        assert!(words.to_string().contains("with this id"), "{words}");
    }
    stuck.go.add_permits(1_000);
    assert!(agent.receive(1).await["result"].is_object());
    assert_eq!(stuck.begun.available_permits(), 0);
    // Answered, it may be used again.
    assert!(agent.ask(&call(1, "whoami", &json!({}))).await["result"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_his_answer_may_make_the_next_call_and_a_subscription_is_none() {
    let stuck = stuck(1).await;
    let params = json!({"notifications": {"resourcesListChanged": true}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "new-client", "version": "7.0"},
    }});
    let listening = reqwest::Client::new()
        .post(format!("http://{}/mcp", stuck.served.at))
        .bearer_auth(stuck.key.reveal())
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", NEW)
        .header("mcp-method", "subscriptions/listen")
        .json(&json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": params}))
        .send()
        .await
        .unwrap();
    assert_eq!(listening.status(), StatusCode::OK);
    assert_eq!(listening.headers()["content-type"], "text/event-stream");
    let mut agent = Agent::greet(stuck.served.at, &stuck.key).await;
    for id in 0..30 {
        assert_served(stuck.served.at, &stuck.key).await;
        assert!(agent.ask(&call(id + 10, "whoami", &json!({}))).await["result"].is_object());
    }
    drop(listening);
}
