//! Whoever asks whether the server is ready needs no key, so he must cost nothing.

use reqwest::StatusCode;

use super::proxy::{Mode, Proxy};
use super::{door_through, with_a_skill};
use crate::harness::TestDb;
use crate::http_server::{PATIENCE, assert_served, serve};

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_whether_a_silent_database_is_ready_are_told_and_leave_the_connections_to_the_calls() {
    let db = TestDb::new().await;
    let key = db.full_key(with_a_skill(&db, "acme").await).await;
    let proxy = Proxy::start(&db).await;
    let at = serve(&door_through(&proxy)).await;
    assert_served(at, &key).await;
    let client = reqwest::Client::new();
    let ask = async || {
        let asked = client.get(format!("http://{at}/readyz")).timeout(PATIENCE).send();
        asked.await.expect("nobody answers").status()
    };
    assert_eq!(ask().await, StatusCode::OK);
    proxy.set(Mode::Silent).await;
    // What it said last holds for a second.
    while ask().await == StatusCode::OK {}
    let asked = futures::future::join_all((0..200).map(|_| ask())).await;
    assert!(
        asked
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    proxy.set(Mode::Pass).await;
    assert_served(at, &key).await;
    while ask().await != StatusCode::OK {}
}
