//! A client that gives up a call, and one that leaves.

use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::json;
use skillkeep::server::{CallService, ServiceLimits};
use tokio::sync::Semaphore;

use super::{Laptop, McpHandler, PATIENCE, hello, new_era, old, set_up, told, whoami};
use crate::harness::TestDb;
use crate::helpers::{events_after, test_hook};

/// A service whose calls wait until they are let go: permits for those that have begun, and for those that may go on.
fn slow_door(db: &TestDb) -> (Arc<CallService>, Arc<Semaphore>, Arc<Semaphore>) {
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
async fn wait_for(begun: &Semaphore) {
    let begun = tokio::time::timeout(PATIENCE, begun.acquire()).await;
    begun.expect("no call reached the registry").unwrap().forget();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_ends_at_the_registry_and_is_not_answered() {
    for is_old in [true, false] {
        let (db, key) = set_up().await;
        let (service, begun, go) = slow_door(&db);
        let registry = McpHandler::start(&service).await;
        let mut laptop = Laptop::start(registry.address, &key);
        let call = |id| {
            if is_old {
                old(id, "tools/call", &whoami())
            } else {
                new_era(id, "tools/call", whoami())
            }
        };
        if is_old {
            laptop.ask(&hello(1)).await;
        }
        laptop.send(&call(2)).await;
        wait_for(&begun).await;
        let cancelled =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
        laptop.send(&cancelled).await;
        // Recorded while nothing has let the call go on: the registry has noticed.
        let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
        let events = events_after(&db, &service, skillkeep::ids::TenantId::from_uuid(acme), 1).await;
        assert_eq!(events.len(), 1);
        assert_ne!(events[0].1, "ok", "{events:?}");
        // The id is free again.
        go.add_permits(1);
        let answer = laptop.ask(&call(2)).await;
        assert_eq!(
            answer["result"]["structuredContent"]["tenant"], "acme",
            "{answer}"
        );
        let ended = laptop.end_well(&key).await;
        assert_eq!(
            ended.out.lines().count(),
            1 + usize::from(is_old),
            "{}",
            ended.out
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_of_one_id_are_not_mixed_up() {
    let (db, key) = set_up().await;
    let (service, begun, go) = slow_door(&db);
    let registry = McpHandler::start(&service).await;
    let mut laptop = Laptop::start(registry.address, &key);
    laptop.send(&new_era(2, "tools/call", whoami())).await;
    wait_for(&begun).await;
    laptop.send(&new_era(2, "tools/list", json!({}))).await;
    let refused = laptop.next().await;
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
    assert!(refused["id"].is_null(), "{refused}");
    go.add_permits(1);
    let answer = laptop.next().await;
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], "acme",
        "{answer}"
    );
    laptop.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_is_answered_after_the_end_of_stdin() {
    let (db, key) = set_up().await;
    let (service, begun, go) = slow_door(&db);
    let registry = McpHandler::start(&service).await;
    let mut laptop = Laptop::start(registry.address, &key);
    laptop.send(&new_era(2, "tools/call", whoami())).await;
    wait_for(&begun).await;
    drop(laptop.stdin.take());
    go.add_permits(1);
    let answer = laptop.next().await;
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], "acme",
        "{answer}"
    );
    laptop.end_well(&key).await;
    assert!(told(&db).await.starts_with("whoami ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_does_not_keep_the_bridge() {
    let (db, key) = set_up().await;
    let (service, begun, _go) = slow_door(&db);
    let registry = McpHandler::start(&service).await;
    let mut laptop = Laptop::start(registry.address, &key);
    laptop.send(&new_era(2, "tools/call", whoami())).await;
    wait_for(&begun).await;
    let ended = laptop.end_well(&key).await;
    assert_eq!(ended.out, "", "nobody is there to read an answer");
}
