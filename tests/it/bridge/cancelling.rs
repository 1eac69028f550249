//! Cancelled calls, and clients that close stdin.

use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::json;
use skillkeep::server::{CallService, ServiceLimits};
use tokio::sync::Semaphore;

use super::{BridgeClient, Registry, TIMEOUT, current, initialize, legacy, set_up, usage_events, whoami};
use crate::harness::TestDb;
use crate::helpers::{events_after, test_hook};

/// A service whose calls wait. The semaphores count the calls that have begun, and the calls that may go on.
pub(super) fn blocking_service(db: &TestDb) -> (Arc<CallService>, Arc<Semaphore>, Arc<Semaphore>) {
    let (begun, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (begun_inside, go_inside) = (Arc::clone(&begun), Arc::clone(&go));
    let block = test_hook(move |_, _| {
        let (begun, go) = (Arc::clone(&begun_inside), Arc::clone(&go_inside));
        async move {
            begun.add_permits(1);
            go.acquire().await.unwrap().forget();
        }
        .boxed()
    });
    (db.service_with_faults(ServiceLimits::default(), block), begun, go)
}

/// Waits until one more call has begun.
pub(super) async fn wait_for(begun: &Semaphore) {
    let begun = tokio::time::timeout(TIMEOUT, begun.acquire()).await;
    begun.expect("no call reached the registry").unwrap().forget();
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_call_ends_at_the_registry_without_a_response() {
    for is_legacy in [true, false] {
        let (db, key) = set_up().await;
        let (service, begun, go) = blocking_service(&db);
        let registry = Registry::start(&service).await;
        let mut client = BridgeClient::start(registry.address, &key);
        let call = |id| {
            if is_legacy {
                legacy(id, "tools/call", &whoami())
            } else {
                current(id, "tools/call", whoami())
            }
        };
        if is_legacy {
            client.ask(&initialize(1)).await;
        }
        client.send(&call(2)).await;
        wait_for(&begun).await;
        let cancelled =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
        client.send(&cancelled).await;
        // The call is still blocked, so only the cancellation can have ended it.
        let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
        let events = events_after(&db, &service, skillkeep::ids::TenantId::from_uuid(acme), 1).await;
        assert_eq!(events.len(), 1);
        assert_ne!(events[0].1, "ok", "{events:?}");
        // The id can be used again.
        go.add_permits(1);
        let answer = client.ask(&call(2)).await;
        assert_eq!(
            answer["result"]["structuredContent"]["tenant"], "acme",
            "{answer}"
        );
        let ended = client.end_well(&key).await;
        assert_eq!(
            ended.out.lines().count(),
            1 + usize::from(is_legacy),
            "{}",
            ended.out
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn second_request_with_an_id_in_flight_is_rejected() {
    let (db, key) = set_up().await;
    let (service, begun, go) = blocking_service(&db);
    let registry = Registry::start(&service).await;
    let mut client = BridgeClient::start(registry.address, &key);
    client.send(&current(2, "tools/call", whoami())).await;
    wait_for(&begun).await;
    client.send(&current(2, "tools/list", json!({}))).await;
    let rejected = client.next().await;
    assert_eq!(rejected["error"]["code"], -32600, "{rejected}");
    assert!(rejected["id"].is_null(), "{rejected}");
    go.add_permits(1);
    let answer = client.next().await;
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], "acme",
        "{answer}"
    );
    client.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_in_flight_is_answered_after_stdin_is_closed() {
    let (db, key) = set_up().await;
    let (service, begun, go) = blocking_service(&db);
    let registry = Registry::start(&service).await;
    let mut client = BridgeClient::start(registry.address, &key);
    client.send(&current(2, "tools/call", whoami())).await;
    wait_for(&begun).await;
    drop(client.stdin.take());
    go.add_permits(1);
    let answer = client.next().await;
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], "acme",
        "{answer}"
    );
    client.end_well(&key).await;
    assert!(usage_events(&db).await.starts_with("whoami ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_call_does_not_keep_the_bridge_running() {
    let (db, key) = set_up().await;
    let (service, begun, _go) = blocking_service(&db);
    let registry = Registry::start(&service).await;
    let mut client = BridgeClient::start(registry.address, &key);
    client.send(&current(2, "tools/call", whoami())).await;
    wait_for(&begun).await;
    let ended = client.end_well(&key).await;
    assert_eq!(ended.out, "", "an answer was written after stdin was closed");
}
