//! Clients are told that the catalog changed: by every replica, of what their key may see, and as long as it holds.

mod outage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::db::{ServerDb, TenantTx};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::api_keys::{self, NewKey};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes, users};

use crate::harness::TestDb;
use crate::helpers::Wire;
use crate::http_server::serve;

const NEW: &str = "2026-07-28";
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service with connections of its own, as another process would have.
fn replica(db: &TestDb) -> Arc<CallService> {
    Arc::new(CallService::new(
        ServerDb::new(&db.ways.server, 4).unwrap(),
        ServiceLimits::default(),
    ))
}

fn request(address: SocketAddr, key: &ApiKey, method: &str, mut params: Value) -> reqwest::RequestBuilder {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    reqwest::Client::new()
        .post(format!("http://{address}/mcp"))
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", NEW)
        .header("mcp-method", method)
        .bearer_auth(key.reveal())
        .json(&json!({"jsonrpc": "2.0", "id": "sub", "method": method, "params": params}))
}

/// A `subscriptions/listen` of the newest revision.
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
        // The acknowledgement is sent before the key is checked and the watch begins; an answer to
        // another request does not tell when that is over, so a change is made until it is noticed: see `told`.
        listener
    }

    /// The next message; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, async {
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
        .expect("nothing was told")
    }

    /// Publishes new versions of the skill until a message comes, and gives the messages up to the one that `is_last`
    /// accepts.
    async fn told(
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
            db.skill(tenant, skill, &format!("Version {count} of it, {}", uuid()), &[])
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
            assert!(count < 10, "nothing was told: {messages:?}");
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
async fn every_replica_tells_its_listeners_of_a_publication() {
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
        let messages = listener.told(&db, acme, "pdf", is_update).await;
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
async fn nobody_is_told_of_another_tenants_changes_or_of_skills_that_his_key_may_not_see() {
    let db = TestDb::new().await;
    let (mine, theirs) = (db.tenant("mine").await, db.tenant("theirs").await);
    let narrow = {
        let tx = TenantTx::begin_as_admin(&db.admin, mine).await.unwrap();
        let user = users::find_or_create(&tx, &"ada@example.com".parse().unwrap(), "")
            .await
            .unwrap();
        let new = NewKey {
            user: user.id,
            name: "narrow".to_owned(),
            scopes: Scopes::new([Scope::SkillsRead]),
            only_skills: Some(vec!["theirs-too".to_owned(), "visible".to_owned()]),
            only_tools: None,
            expires_at: None,
            call_limits: CallLimits::default(),
        };
        let (_, key) = api_keys::create(&tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        key
    };
    let address = serve(&replica(&db)).await;
    let filter = json!({"resourceSubscriptions": [uri("hidden"), uri("theirs-too"), uri("visible")]});
    let mut listener = Listener::open(address, &narrow, filter).await;
    listener.told(&db, mine, "visible", is_update).await;
    db.skill(theirs, "theirs-too", "Theirs, of a name that I may see.", &[])
        .await;
    db.skill(mine, "hidden", "Mine, but not for this key.", &[]).await;
    let messages = listener.told(&db, mine, "visible", is_update).await;
    assert!(!messages.is_empty());
    for message in &messages {
        assert_eq!(message["params"]["uri"], uri("visible").as_str(), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ends_hears_no_more() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let address = serve(&replica(&db)).await;
    let mut listener = Listener::open(address, &key, json!({"resourceSubscriptions": [uri("pdf")]})).await;
    listener.told(&db, acme, "pdf", is_update).await;
    db.superuser()
        .await
        .execute("UPDATE api_keys SET revoked_at = now()", &[])
        .await
        .unwrap();
    let ended = listener
        .told(&db, acme, "pdf", |message| message.get("error").is_some())
        .await;
    assert_eq!(ended.last().unwrap()["error"]["code"], -31_001, "{ended:?}");
    assert_eq!(
        ended.iter().filter(|message| is_update(message)).count(),
        0,
        "{ended:?}"
    );
    assert_eq!(listener.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_its_subscriptions_properly() {
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
async fn a_connection_of_the_older_revisions_is_told_of_what_it_subscribed_to() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let mut wire = Wire::connect(&replica(&db), &key).await;
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
    'told: for count in 0..10 {
        db.skill(acme, "other", &format!("Number {count}."), &[]).await;
        db.skill(acme, "pdf", &format!("Number {count}."), &[]).await;
        while let Ok(message) = tokio::time::timeout(Duration::from_secs(3), wire.next_message()).await {
            methods.push(message["method"].as_str().unwrap().to_owned());
            if is_update(&message) {
                assert_eq!(message["params"]["uri"], uri("pdf").as_str());
                break 'told;
            }
        }
    }
    for wanted in [
        "notifications/resources/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/updated",
    ] {
        assert!(methods.iter().any(|method| method == wanted), "{methods:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_search_has_nothing_to_subscribe_to() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (_, key) = db.key(acme, "bob@example.com", &[Scope::UsageWrite]).await;
    let address = serve(&replica(&db)).await;
    let mut listener = Listener::open(address, &key, json!({"resourcesListChanged": true})).await;
    let refused = listener.next().await.unwrap();
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("may not search"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_single_requests_the_older_revisions_are_promised_no_notifications() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let address = serve(&replica(&db)).await;
    let old = |body: Value| {
        reqwest::Client::new()
            .post(format!("http://{address}/mcp"))
            .header("accept", "application/json, text/event-stream")
            .bearer_auth(key.reveal())
            .json(&body)
            .send()
    };
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let answer = old(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}))
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    let capabilities = &answer["result"]["capabilities"];
    assert_eq!(capabilities["resources"], json!({}), "{capabilities}");
    assert_eq!(capabilities["prompts"], json!({}), "{capabilities}");
    let answer = old(
        json!({"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": {"uri": uri("pdf")}}),
    )
    .await
    .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["error"]["code"], -32_601, "{answer}");
}
