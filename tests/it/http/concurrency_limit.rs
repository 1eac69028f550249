//! The concurrency limit of a tenant, over `/mcp` and HTTP+SSE. Calls whose client is gone count until they end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::{ApiKey, ShareLimits};
use tokio::sync::Semaphore;

use super::Server;
use crate::harness::TestDb;
use crate::helpers::test_hook;
use crate::http_server::{Agent, PATIENCE, assert_call_succeeds, call, post};

/// A server on which every call of `record_usage` blocks.
struct BlockedReports {
    db: TestDb,
    service: Arc<CallService>,
    server: Server,
    key: ApiKey,
    /// The API key of another tenant.
    other: ApiKey,
    /// One permit for each report that has started.
    started: Arc<Semaphore>,
    /// Releases one report with each permit.
    release: Arc<Semaphore>,
}

async fn set_up(calls_per_tenant: usize) -> BlockedReports {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[]).await;
    let key = db.full_key(tenant).await;
    let other = db.full_key(db.tenant("globex").await).await;
    let (started, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (starting, released) = (Arc::clone(&started), Arc::clone(&release));
    let hook = test_hook(move |tool, _| {
        let (starting, released) = (Arc::clone(&starting), Arc::clone(&released));
        let blocks = tool == "record_usage";
        async move {
            if blocks {
                starting.add_permits(1);
                let _ = released.acquire().await;
            }
        }
        .boxed()
    });
    let mut limits = ServiceLimits::default();
    limits.access.calls = ShareLimits {
        per_key: calls_per_tenant,
        ..ShareLimits::of_tenant(calls_per_tenant)
    };
    let service = db.service_with_faults(limits, hook);
    let server = Server::start(Arc::clone(&service)).await;
    BlockedReports {
        db,
        service,
        server,
        key,
        other,
        started,
        release,
    }
}

fn report(id: i64) -> Value {
    call(
        id,
        "record_usage",
        &json!({"skill": "fill-pdf", "outcome": "helped"}),
    )
}

impl BlockedReports {
    /// Waits until one more report has started.
    async fn wait_for_start(&self) {
        let started = tokio::time::timeout(PATIENCE, self.started.acquire());
        started.await.expect("the report did not start").unwrap().forget();
    }

    async fn assert_rejected(&self) {
        let response = post(self.server.served.at, &self.key, &report(9))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "1");
        let body: Value = response.json().await.unwrap();
        assert!(body.to_string().contains("2 calls running"), "{body}");
    }

    /// Releases the reports and waits until their permits are returned.
    async fn release_all(&self) {
        self.release.add_permits(1_000);
        let released_at = Instant::now();
        let whoami = call(1, "whoami", &json!({}));
        while post(self.server.served.at, &self.key, &whoami)
            .send()
            .await
            .unwrap()
            .status()
            != StatusCode::OK
        {
            assert!(released_at.elapsed() < PATIENCE, "no permit was returned");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn running_call_of_disconnected_client_counts_until_it_ends() {
    let blocked = set_up(2).await;
    for id in 0..2 {
        let running = tokio::spawn(post(blocked.server.served.at, &blocked.key, &report(id)).send());
        blocked.wait_for_start().await;
        running.abort();
        let _aborted = running.await;
    }
    // The limit holds also after the server has noticed that the clients are gone.
    for _ in 0..10 {
        blocked.assert_rejected().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(blocked.started.available_permits(), 0);
    assert_call_succeeds(blocked.server.served.at, &blocked.other).await;
    blocked.release_all().await;
    // The audit log has one entry for the first denial, and one for all that followed within the minute.
    blocked.service.drain().await;
    let denials: Vec<String> = blocked
        .db
        .value(
            "SELECT array_agg(concat_ws(' ', action, subject, details->>'reason', details->>'count') ORDER BY seq)
             FROM audit_logs WHERE action LIKE 'denied.%'",
        )
        .await;
    assert_eq!(
        denials[0], "denied.limit calls at once over_limit 1",
        "{denials:?}"
    );
    assert_eq!(denials.len(), 2, "{denials:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_sse_call_counts_until_it_ends() {
    let blocked = set_up(2).await;
    let mut agent = Agent::greet(blocked.server.served.at, &blocked.key).await;
    for id in 1..=2 {
        agent.say(&report(id)).await;
        blocked.wait_for_start().await;
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        agent.say(&cancel).await;
    }
    let response = agent.message(&blocked.key).json(&report(3)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "1");
    blocked.assert_rejected().await;
    assert_eq!(blocked.started.available_permits(), 0);
    blocked.release_all().await;
    assert!(agent.ask(&call(4, "whoami", &json!({}))).await["result"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn id_of_pending_sse_request_is_rejected_until_answered() {
    let blocked = set_up(10).await;
    let mut agent = Agent::greet(blocked.server.served.at, &blocked.key).await;
    agent.say(&report(1)).await;
    blocked.wait_for_start().await;
    for _ in 0..3 {
        let response = agent.message(&blocked.key).json(&report(1)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body: Value = response.json().await.unwrap();
        assert!(body.to_string().contains("with this id"), "{body}");
    }
    blocked.release.add_permits(1_000);
    assert!(agent.receive(1).await["result"].is_object());
    assert_eq!(blocked.started.available_permits(), 0);
    // The id is free after the response.
    assert!(agent.ask(&call(1, "whoami", &json!({}))).await["result"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_calls_and_open_subscription_hold_no_permit() {
    let blocked = set_up(1).await;
    let params = json!({"notifications": {"resourcesListChanged": true}});
    let subscription = blocked
        .server
        .current("subscriptions/listen", None, params)
        .bearer_auth(blocked.key.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(subscription.status(), StatusCode::OK);
    assert_eq!(subscription.headers()["content-type"], "text/event-stream");
    let mut agent = Agent::greet(blocked.server.served.at, &blocked.key).await;
    for id in 0..30 {
        assert_call_succeeds(blocked.server.served.at, &blocked.key).await;
        assert!(agent.ask(&call(id + 10, "whoami", &json!({}))).await["result"].is_object());
    }
    drop(subscription);
}
