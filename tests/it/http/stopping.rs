//! Calls in flight when the server is told to stop, or when the client hangs up.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use skillkeep::server::{CallService, ServiceLimits, TestHook};
use tokio_util::sync::CancellationToken;

use super::{Server, call};
use crate::harness::TestDb;

/// A service whose calls wait until they are let go, and the sign that one has begun.
fn slow_door(db: &TestDb) -> (Arc<CallService>, CancellationToken, CancellationToken) {
    let (begun, go) = (CancellationToken::new(), CancellationToken::new());
    let (signal, wait) = (begun.clone(), go.clone());
    let test_hook: TestHook = Arc::new(move |_, _| {
        let (signal, wait) = (signal.clone(), wait.clone());
        async move {
            signal.cancel();
            wait.cancelled().await;
        }
        .boxed()
    });
    (
        db.service_with_faults(ServiceLimits::default(), test_hook),
        begun,
        go,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_is_finished_after_the_signal_to_stop() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let (service, begun, go) = slow_door(&db);
    let server = Server::start(service).await;
    let request = server.old(&call("whoami", &json!({}))).bearer_auth(key.reveal());
    let in_flight = tokio::spawn(request.send());
    begun.cancelled().await;
    server.stop.cancel();
    // The listener closes soon after the signal, while the call still waits.
    let refused = async {
        while tokio::net::TcpStream::connect(server.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused)
        .await
        .expect("new connections are refused");
    assert!(!server.task.is_finished());
    go.cancel();
    let response = in_flight.await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], "acme",
        "{answer}"
    );
    tokio::time::timeout(Duration::from_secs(5), server.task)
        .await
        .expect("the server ends once its calls have")
        .unwrap();
    assert_eq!(db.events(acme).await, [("whoami".to_owned(), "ok".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_in_mid_call_leaves_exactly_one_event() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let (service, begun, go) = slow_door(&db);
    let server = Server::start(Arc::clone(&service)).await;
    let params = json!({"name": "whoami", "arguments": {}});
    let request = server
        .new_era("tools/call", Some("whoami"), params)
        .bearer_auth(key.reveal());
    let in_flight = tokio::spawn(request.send());
    begun.cancelled().await;
    in_flight.abort();
    let _ = in_flight.await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    go.cancel();
    tokio::time::timeout(Duration::from_secs(10), service.drain())
        .await
        .expect("the call ends");
    let events = db.events(acme).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].0, "whoami");
}
