//! Catalog changes while the database is unavailable or cannot be read are reported afterwards.

use std::time::Duration;

use serde_json::json;

use super::{Listener, TIMEOUT, is_update, replica, uri};
use crate::harness::TestDb;
use crate::helpers::RawClient;
use crate::http_server::serve;

#[tokio::test(flavor = "multi_thread")]
async fn change_during_lost_connection_is_reported_after_reconnect() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let address = serve(&replica(&db)).await;
    let mut listener = Listener::open(
        address,
        &key,
        json!({"resourceSubscriptions": [uri("pdf"), uri("missed")]}),
    )
    .await;
    listener.publish_until(&db, acme, "pdf", is_update).await;
    let superuser = db.superuser().await;
    let terminated = superuser
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN%'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(terminated, 1, "no connection was listening");
    // The server may or may not have reconnected: the change must be reported either way.
    db.skill(acme, "missed", "Published in the meantime.", &[]).await;
    let mut reported = Vec::new();
    while !reported.contains(&uri("missed")) {
        let message = listener.next().await.unwrap();
        reported.push(message["params"]["uri"].as_str().unwrap().to_owned());
    }
}

/// The notification from PostgreSQL arrives, but the changes cannot be read for a while.
#[tokio::test(flavor = "multi_thread")]
async fn change_is_reported_once_it_can_be_read() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let service = replica(&db);
    let address = serve(&service).await;
    let filter = json!({"resourceSubscriptions": [uri("pdf"), uri("missed")]});
    let mut listener = Listener::open(address, &key, filter).await;
    listener.publish_until(&db, acme, "pdf", is_update).await;
    let mut wire = RawClient::connect(&service, &key).await;
    wire.send(
        json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": uri("missed")}}),
    )
    .await;
    wire.receive(1).await;
    // The legacy connection watches the catalog from its first notification at the latest.
    let mut count = 0;
    loop {
        count += 1;
        db.skill(acme, "pdf", &format!("Version {count}."), &[]).await;
        let wait = Duration::from_secs(3);
        if tokio::time::timeout(wait, wire.next_message()).await.is_ok() {
            break;
        }
        assert!(count < 10, "the legacy connection was not notified");
    }
    let superuser = db.superuser().await;
    superuser
        .batch_execute("REVOKE SELECT ON api_keys FROM skillkeep_app")
        .await
        .unwrap();
    db.skill(acme, "missed", "Published in the meantime.", &[]).await;
    // Longer than the pause after a notification: both subscribers have failed to read.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    superuser
        .batch_execute("GRANT SELECT ON api_keys TO skillkeep_app")
        .await
        .unwrap();
    loop {
        let message = listener.next().await.expect("the subscription ended");
        if message["params"]["uri"] == uri("missed").as_str() {
            break;
        }
    }
    let notified = async { while wire.next_message().await["params"]["uri"] != uri("missed").as_str() {} };
    tokio::time::timeout(TIMEOUT, notified)
        .await
        .expect("the legacy connection was not notified");
}
