//! Calls that run while the server stops or the client disconnects.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use skillkeep::server::{CallService, ServiceLimits};
use tokio_util::sync::CancellationToken;

use super::Server;
use crate::harness::TestDb;
use crate::helpers::test_hook;
use crate::http_server::call;

/// A service whose calls block. The first token is cancelled when a call has started; cancel the second to release all
/// calls.
pub(crate) fn blocked_service(db: &TestDb) -> (Arc<CallService>, CancellationToken, CancellationToken) {
    let (started, release) = (CancellationToken::new(), CancellationToken::new());
    let (signal, wait) = (started.clone(), release.clone());
    let hook = test_hook(move |_, _| {
        let (signal, wait) = (signal.clone(), wait.clone());
        async move {
            signal.cancel();
            wait.cancelled().await;
        }
        .boxed()
    });
    (
        db.service_with_faults(ServiceLimits::default(), hook),
        started,
        release,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_server_finishes_running_call() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let (service, started, release) = blocked_service(&db);
    let mut server = Server::start(service).await;
    let request = server
        .legacy(&call(7, "whoami", &json!({})))
        .bearer_auth(key.reveal());
    let running = tokio::spawn(request.send());
    started.cancelled().await;
    server.served.stop.cancel();
    // The listener closes soon after the signal, while the call still runs.
    let refused = async {
        while tokio::net::TcpStream::connect(server.served.at).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused)
        .await
        .expect("the server still accepts connections");
    assert!(!server.served.task.is_finished());
    release.cancel();
    let response = running.await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["result"]["structuredContent"]["tenant"], "acme", "{body}");
    tokio::time::timeout(Duration::from_secs(5), &mut server.served.task)
        .await
        .expect("the server did not stop after its last call")
        .unwrap();
    assert_eq!(db.events(acme).await, [("whoami".to_owned(), "ok".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_of_disconnected_client_leaves_one_event() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let (service, started, release) = blocked_service(&db);
    let server = Server::start(Arc::clone(&service)).await;
    let params = json!({"name": "whoami", "arguments": {}});
    let request = server
        .current("tools/call", Some("whoami"), params)
        .bearer_auth(key.reveal());
    let running = tokio::spawn(request.send());
    started.cancelled().await;
    running.abort();
    let _ = running.await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    release.cancel();
    tokio::time::timeout(Duration::from_secs(10), service.drain())
        .await
        .expect("the call did not end");
    let events = db.events(acme).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].0, "whoami");
}
