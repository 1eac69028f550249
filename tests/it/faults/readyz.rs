//! `/readyz` needs no API key, so requests for it must not use up database connections.

use reqwest::StatusCode;

use super::proxy::{Mode, Proxy};
use super::{service_through, tenant_with_skill};
use crate::harness::TestDb;
use crate::http_server::{PATIENCE, assert_call_succeeds, serve};

#[tokio::test(flavor = "multi_thread")]
async fn readyz_flood_on_unresponsive_database_leaves_connections_to_calls() {
    let db = TestDb::new().await;
    let key = db.full_key(tenant_with_skill(&db, "acme").await).await;
    let proxy = Proxy::start(&db).await;
    let at = serve(&service_through(&proxy)).await;
    assert_call_succeeds(at, &key).await;
    let client = reqwest::Client::new();
    let ask = async || {
        let request = client.get(format!("http://{at}/readyz")).timeout(PATIENCE).send();
        request.await.expect("no answer").status()
    };
    assert_eq!(ask().await, StatusCode::OK);
    proxy.set(Mode::Unresponsive).await;
    // The previous result is cached for 1 s.
    while ask().await == StatusCode::OK {}
    let statuses = futures::future::join_all((0..200).map(|_| ask())).await;
    assert!(
        statuses
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    proxy.set(Mode::Forward).await;
    assert_call_succeeds(at, &key).await;
    while ask().await != StatusCode::OK {}
}
