//! Changes while the database is away or cannot be read: who subscribed is told of them afterwards.

use std::time::Duration;

use serde_json::json;

use super::{Listener, PATIENCE, is_update, replica, uri};
use crate::harness::TestDb;
use crate::helpers::Wire;
use crate::http_server::serve;

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_the_database_was_away_is_told_afterwards() {
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
    listener.told(&db, acme, "pdf", is_update).await;
    let superuser = db.superuser().await;
    let ended = superuser
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN%'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(ended, 1, "nothing listened");
    // Published while nobody listens, or right after: it makes no difference to who subscribed.
    db.skill(acme, "missed", "Published in the meantime.", &[]).await;
    let mut told = Vec::new();
    while !told.contains(&uri("missed")) {
        let message = listener.next().await.unwrap();
        told.push(message["params"]["uri"].as_str().unwrap().to_owned());
    }
}

/// The notice of a change comes through, and what changed cannot be read for a while.
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_look_when_something_changes_is_told_when_he_can() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let service = replica(&db);
    let address = serve(&service).await;
    let filter = json!({"resourceSubscriptions": [uri("pdf"), uri("missed")]});
    let mut listener = Listener::open(address, &key, filter).await;
    listener.told(&db, acme, "pdf", is_update).await;
    let mut wire = Wire::connect(&service, &key).await;
    wire.send(
        json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": uri("missed")}}),
    )
    .await;
    wire.receive(1).await;
    // The older connection's watch begins by itself; it has begun when it tells of something.
    let mut count = 0;
    loop {
        count += 1;
        db.skill(acme, "pdf", &format!("Again {count}."), &[]).await;
        let wait = Duration::from_secs(3);
        if tokio::time::timeout(wait, wire.next_message()).await.is_ok() {
            break;
        }
        assert!(count < 10, "the connection is not told of anything");
    }
    let superuser = db.superuser().await;
    superuser
        .batch_execute("REVOKE SELECT ON api_keys FROM skillkeep_app")
        .await
        .unwrap();
    db.skill(acme, "missed", "Published in the meantime.", &[]).await;
    // Longer than the pause after a notice: both have looked in vain.
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
    let told = async { while wire.next_message().await["params"]["uri"] != uri("missed").as_str() {} };
    tokio::time::timeout(PATIENCE, told)
        .await
        .expect("the older connection was not told");
}
