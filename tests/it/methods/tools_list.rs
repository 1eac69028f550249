//! The public API for models: the whole reply to `tools/list`.

use serde_json::json;

use super::client::{Transport, WireClient};
use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn tools_list_matches_its_snapshot() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let mut client = WireClient::connect(&db.service(), &key, Transport::InMemory).await;
    insta::assert_json_snapshot!(client.ok("tools/list", json!({})).await);
}
