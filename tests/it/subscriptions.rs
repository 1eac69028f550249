//! Notifications of catalog changes: from every replica, for the skills that the API key may see, until it is revoked.

mod outage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::db::{ServerDb, TenantTx};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes, users};

use crate::harness::TestDb;
use crate::helpers::RawClient;
use crate::http_server::serve;

const CURRENT: &str = "2026-07-28";
/// The longest time to the next message.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A service with its own connection pool, like a second server process.
fn replica(db: &TestDb) -> Arc<CallService> {
    Arc::new(CallService::new(
        ServerDb::new(&db.ways.server, 4).unwrap(),
        ServiceLimits::default(),
    ))
}

fn request(address: SocketAddr, key: &ApiKey, method: &str, mut params: Value) -> reqwest::RequestBuilder {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": CURRENT,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    reqwest::Client::new()
        .post(format!("http://{address}/mcp"))
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", CURRENT)
        .header("mcp-method", method)
        .bearer_auth(key.reveal())
        .json(&json!({"jsonrpc": "2.0", "id": "sub", "method": method, "params": params}))
}

/// An open `subscriptions/listen` of protocol version 2026-07-28.
struct Listener {
    response: reqwest::Response,
    unread: String,
}

impl Listener {
    async fn open(address: SocketAddr, key: &ApiKey, filter: Value) -> Self {
        let response = request(
            address,
            key,
            "subscriptions/listen",
            json!({"notifications": filter}),
        )
        .send()
        .await
        .unwrap();
        assert_eq!(response.status(), 200);
        let mut listener = Self {
            response,
            unread: String::new(),
        };
        let first = listener.next().await.unwrap();
        assert_eq!(
            first["method"], "notifications/subscriptions/acknowledged",
            "{first}"
        );
        // The acknowledgement is sent before the key is checked and the catalog is watched, and nothing reports when
        // that is done. So `publish_until` publishes until a notification arrives.
        listener
    }

    /// The next message; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(TIMEOUT, async {
            loop {
                if let Some((event, rest)) = self.unread.split_once("\n\n") {
                    let data: String = event
                        .lines()
                        .filter_map(|line| line.strip_prefix("data:"))
                        .collect();
                    self.unread = rest.to_owned();
                    if !data.trim().is_empty() {
                        return Some(serde_json::from_str(&data).unwrap());
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.unwrap()?;
                self.unread
                    .push_str(&String::from_utf8(chunk.to_vec()).unwrap().replace("\r\n", "\n"));
            }
        })
        .await
        .expect("no message arrived")
    }

    /// Publishes versions of the skill until a message arrives that `is_last` accepts. Returns all messages up to it.
    async fn publish_until(
        &mut self,
        db: &TestDb,
        tenant: TenantId,
        skill: &str,
        is_last: fn(&Value) -> bool,
    ) -> Vec<Value> {
        let mut messages = Vec::new();
        let mut count = 0;
        loop {
            count += 1;
            db.skill(tenant, skill, &format!("Version {count}, {}.", uuid()), &[])
                .await;
            let wait = Duration::from_secs(3);
            while let Ok(message) = tokio::time::timeout(wait, self.next()).await {
                let message = message.expect("the stream ended");
                let last = is_last(&message);
                messages.push(message);
                if last {
                    return messages;
                }
            }
            assert!(count < 10, "the expected message did not arrive: {messages:?}");
        }
    }
}

fn uuid() -> String {
    skillkeep::ids::EventId::new().to_string()
}

fn is_update(message: &Value) -> bool {
    message["method"] == "notifications/resources/updated"
}

fn uri(slug: &str) -> String {
    format!("skill://{slug}/1/{slug}/SKILL.md")
}

#[tokio::test(flavor = "multi_thread")]
async fn publication_notifies_subscribers_of_every_replica() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let filter = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": [uri("pdf"), "file:///etc/passwd"],
    });
    for service in [replica(&db), replica(&db)] {
        let address = serve(&service).await;
        let mut listener = Listener::open(address, &key, filter.clone()).await;
        let messages = listener.publish_until(&db, acme, "pdf", is_update).await;
        let methods: Vec<&str> = messages
            .iter()
            .map(|message| message["method"].as_str().unwrap())
            .collect();
        assert_eq!(
            methods,
            [
                "notifications/resources/list_changed",
                "notifications/prompts/list_changed",
                "notifications/resources/updated"
            ]
        );
        assert_eq!(messages[2]["params"]["uri"], uri("pdf").as_str());
        for message in &messages {
            let id = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
            assert_eq!(id, "sub", "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_and_foreign_changes_do_not_notify() {
    let db = TestDb::new().await;
    let (tenant, other) = (db.tenant("tenant").await, db.tenant("other").await);
    let restricted = {
        let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
        let user = users::find_or_create(&tx, &"ada@example.com".parse().unwrap(), "")
            .await
            .unwrap();
        let new = NewApiKey {
            user: user.id,
            name: "restricted".to_owned(),
            scopes: Scopes::new([Scope::SkillsRead]),
            only_skills: Some(vec!["other-too".to_owned(), "visible".to_owned()]),
            only_tools: None,
            expires_at: None,
            call_limits: CallLimits::default(),
        };
        let (_, key) = api_keys::create(&tx, &new).await.unwrap();
        skillkeep::search::commit(tx).await.unwrap();
        key
    };
    let address = serve(&replica(&db)).await;
    let filter = json!({"resourceSubscriptions": [uri("hidden"), uri("other-too"), uri("visible")]});
    let mut listener = Listener::open(address, &restricted, filter).await;
    listener.publish_until(&db, tenant, "visible", is_update).await;
    db.skill(other, "other-too", "Another tenant's, with a visible name.", &[])
        .await;
    db.skill(tenant, "hidden", "Not visible to this key.", &[]).await;
    let messages = listener.publish_until(&db, tenant, "visible", is_update).await;
    assert!(!messages.is_empty());
    for message in &messages {
        assert_eq!(message["params"]["uri"], uri("visible").as_str(), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_of_revoked_key_ends_with_error() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let address = serve(&replica(&db)).await;
    let mut listener = Listener::open(address, &key, json!({"resourceSubscriptions": [uri("pdf")]})).await;
    listener.publish_until(&db, acme, "pdf", is_update).await;
    db.superuser()
        .await
        .execute("UPDATE api_keys SET revoked_at = now()", &[])
        .await
        .unwrap();
    let messages = listener
        .publish_until(&db, acme, "pdf", |message| message.get("error").is_some())
        .await;
    assert_eq!(messages.last().unwrap()["error"]["code"], -31_001, "{messages:?}");
    assert_eq!(
        messages.iter().filter(|message| is_update(message)).count(),
        0,
        "{messages:?}"
    );
    assert_eq!(listener.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_server_completes_subscriptions() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let service = replica(&db);
    let address = serve(&service).await;
    let mut listener = Listener::open(address, &key, json!({"resourcesListChanged": true})).await;
    service.end_subscriptions();
    let last = listener.next().await.unwrap();
    assert_eq!(last["id"], "sub", "{last}");
    assert_eq!(last["result"]["resultType"], "complete", "{last}");
    assert_eq!(listener.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_connection_is_notified_of_subscribed_resources_only() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let mut wire = RawClient::connect(&replica(&db), &key).await;
    for (id, slug) in [(1, "pdf"), (2, "other")] {
        wire.send(json!({"jsonrpc": "2.0", "id": id, "method": "resources/subscribe", "params": {"uri": uri(slug)}}))
            .await;
        assert!(wire.receive(id).await["error"].is_null());
    }
    wire.send(json!({"jsonrpc": "2.0", "id": 3, "method": "resources/unsubscribe", "params": {"uri": uri("other")}}))
        .await;
    assert!(wire.receive(3).await["error"].is_null());
    wire.send(
        json!({"jsonrpc": "2.0", "id": 4, "method": "resources/subscribe", "params": {"uri": "file:///x"}}),
    )
    .await;
    assert_eq!(wire.receive(4).await["error"]["code"], -32_002);

    let mut methods = Vec::new();
    'publishing: for count in 0..10 {
        db.skill(acme, "other", &format!("Number {count}."), &[]).await;
        db.skill(acme, "pdf", &format!("Number {count}."), &[]).await;
        while let Ok(message) = tokio::time::timeout(Duration::from_secs(3), wire.next_message()).await {
            methods.push(message["method"].as_str().unwrap().to_owned());
            if is_update(&message) {
                assert_eq!(message["params"]["uri"], uri("pdf").as_str());
                break 'publishing;
            }
        }
    }
    for expected in [
        "notifications/resources/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/updated",
    ] {
        assert!(methods.iter().any(|method| method == expected), "{methods:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_without_search_permission_cannot_subscribe() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (_, key) = db.key(acme, "bob@example.com", &[Scope::UsageWrite]).await;
    let address = serve(&replica(&db)).await;
    let mut listener = Listener::open(address, &key, json!({"resourcesListChanged": true})).await;
    let error = listener.next().await.unwrap();
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("may not search"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_http_offers_no_subscriptions() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let address = serve(&replica(&db)).await;
    let post = |body: Value| {
        reqwest::Client::new()
            .post(format!("http://{address}/mcp"))
            .header("accept", "application/json, text/event-stream")
            .bearer_auth(key.reveal())
            .json(&body)
            .send()
    };
    let initialize = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let response = post(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize}))
        .await
        .unwrap();
    let response: Value = response.json().await.unwrap();
    let capabilities = &response["result"]["capabilities"];
    assert_eq!(capabilities["resources"], json!({}), "{capabilities}");
    assert_eq!(capabilities["prompts"], json!({}), "{capabilities}");
    let response = post(
        json!({"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": {"uri": uri("pdf")}}),
    )
    .await
    .unwrap();
    let response: Value = response.json().await.unwrap();
    assert_eq!(response["error"]["code"], -32_601, "{response}");
}
