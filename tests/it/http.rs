//! A real server on a port of its own, and clients of both protocol_profiles.

mod concurrency_limit;
mod stopping;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use skillkeep::server::CallService;
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::{self, HttpOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::command::admin;
use crate::harness::{Cluster, TestDb};

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    client: reqwest::Client,
}

impl Server {
    async fn start(service: Arc<CallService>) -> Self {
        let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            http::serve(
                listener,
                service,
                &HttpOptions::default(),
                stopped.cancelled_owned(),
            )
            .await
            .unwrap();
        });
        let client = reqwest::Client::builder()
            .user_agent("reqwest-test/4.2")
            .build()
            .unwrap();
        Self {
            address,
            stop,
            task,
            client,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
            .header("accept", "application/json, text/event-stream")
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.request(Method::GET, path).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// A request of the older revisions, without a key yet.
    fn old(&self, body: &Value) -> RequestBuilder {
        self.request(Method::POST, "/mcp")
            .header("mcp-protocol-version", OLD)
            .json(body)
    }

    /// A stateless request of the new revision, without a key yet.
    fn new_era(&self, method: &str, name: Option<&str>, mut params: Value) -> RequestBuilder {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": NEW,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "new-client", "version": "7.0"},
        });
        let request = self
            .request(Method::POST, "/mcp")
            .header("mcp-protocol-version", NEW)
            .header("mcp-method", method)
            .json(&json!({"jsonrpc": "2.0", "id": "n-1", "method": method, "params": params}));
        match name {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

async fn send(request: RequestBuilder, key: &ApiKey) -> Response {
    request.bearer_auth(key.reveal()).send().await.unwrap()
}

async fn ok(request: RequestBuilder, key: &ApiKey) -> Value {
    let response = send(request, key).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert!(body["error"].is_null(), "{body}");
    body["result"].clone()
}

/// A tenant with a key and a server.
async fn set_up() -> (TestDb, ApiKey, Server) {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let server = Server::start(db.service()).await;
    (db, key, server)
}

async fn event_count(db: &TestDb) -> i64 {
    db.value("SELECT count(*) FROM usage_events").await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_both_eras_call_tools_and_their_events_tell_them_apart() {
    let (db, key, server) = set_up().await;
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "old-client", "version": "1"}}});
    let greeted = ok(server.old(&hello), &key).await;
    assert_eq!(greeted["protocolVersion"], OLD);
    assert_eq!(greeted["serverInfo"]["name"], "skillkeep");
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let old_tools = ok(server.old(&list), &key).await["tools"].clone();
    let new_list = ok(server.new_era("tools/list", None, json!({})), &key).await;
    assert_eq!(old_tools, new_list["tools"]);
    assert_eq!(
        new_list["cacheScope"], "private",
        "what one key may see is not another's"
    );
    let discovered = ok(server.new_era("server/discover", None, json!({})), &key).await;
    assert!(
        discovered["supportedVersions"].to_string().contains(NEW),
        "{discovered}"
    );

    let who = ok(server.old(&call("whoami", &json!({}))), &key).await;
    assert_eq!(who["structuredContent"]["tenant"], "acme", "{who}");
    let params = json!({"name": "whoami", "arguments": {}});
    let who = ok(server.new_era("tools/call", Some("whoami"), params), &key).await;
    assert_eq!(who["structuredContent"]["tenant"], "acme", "{who}");

    let told: String = db
        .value(
            "SELECT string_agg(concat_ws(' ', transport, protocol_version, client_name, client_version, request_id), '; ' ORDER BY id)
             FROM usage_events",
        )
        .await;
    assert_eq!(
        told,
        format!("http {OLD} reqwest-test 4.2 7; http {NEW} new-client 7.0 n-1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_key_that_holds_gets_401_and_a_challenge() {
    let (db, key, server) = set_up().await;
    let other = db.tenant("other").await;
    let revoked = db.full_key(other).await;
    let listed = admin(&db, &["key", "list", "--tenant", "other", "--json"]).json();
    admin(
        &db,
        &[
            "key",
            "revoke",
            listed[0]["id"].as_str().unwrap(),
            "--tenant",
            "other",
        ],
    );

    let body = call("whoami", &json!({}));
    let cut = &key.reveal()[..key.reveal().len() - 1];
    let in_query = server
        .request(Method::POST, &format!("/mcp?api_key={0}&key={0}", key.reveal()))
        .json(&body);
    for (request, error) in [
        (server.old(&body), None),
        (in_query, None),
        (server.old(&body).basic_auth("x", Some(key.reveal())), None),
        (server.old(&body).bearer_auth("hello"), Some("invalid_token")),
        (server.old(&body).bearer_auth(cut), Some("invalid_token")),
        (
            server.old(&body).bearer_auth(revoked.reveal()),
            Some("invalid_token"),
        ),
        (server.old(&body).header("x-api-key", cut), Some("invalid_token")),
        (server.request(Method::GET, "/mcp"), None),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{response:?}");
        let challenge = response.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        assert_eq!(
            challenge.contains("error="),
            error.is_some(),
            "{challenge} for {error:?}"
        );
        assert!(
            error.is_none_or(|error| challenge.contains(&format!("error=\"{error}\""))),
            "{challenge}"
        );
        let text = response.text().await.unwrap();
        assert!(!text.contains(&key.reveal()[30..50]), "{text}");
    }
    assert_eq!(event_count(&db).await, 0);

    let response = server
        .old(&body)
        .header("x-api-key", key.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(event_count(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_reaches_the_server_by_allowed_names_only() {
    let (db, key, server) = set_up().await;
    let body = call("whoami", &json!({}));
    for (header, value, status) in [
        ("host", "evil.example", 403),
        ("host", "localhost", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://localhost:3000", 200),
    ] {
        let response = send(server.old(&body).header(header, value), &key).await;
        assert_eq!(response.status(), status, "{header}: {value}");
    }
    assert_eq!(event_count(&db).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_rpc_gets_the_parse_error_and_what_is_too_much_413() {
    let (db, key, server) = set_up().await;
    let broken_utf8 = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xFF\xFE\"}".to_vec();
    for bytes in [
        b"hello".to_vec(),
        b"{\"jsonrpc\":".to_vec(),
        Vec::new(),
        broken_utf8,
    ] {
        let request = server
            .request(Method::POST, "/mcp")
            .header("content-type", "application/json")
            .body(bytes.clone());
        let response = send(request, &key).await;
        assert_eq!(response.status(), 400, "{bytes:?}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], -32700, "{bytes:?}: {body}");
    }
    let much = call("search_skills", &json!({"query": "x".repeat(20 << 20)}));
    let response = server
        .old(&much)
        .bearer_auth(key.reveal())
        .timeout(Duration::from_secs(20))
        .send()
        .await;
    // The server may close the connection while the body is still under way.
    if let Ok(response) = response {
        assert_eq!(response.status(), 413);
    }
    assert_eq!(event_count(&db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_call_is_answered_and_recorded() {
    let (db, key, server) = set_up().await;
    for params in [
        json!({"arguments": {}}),
        json!({"name": "whoami", "arguments": [1]}),
        json!({"name": 7}),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params});
        let answer: Value = send(server.old(&body), &key).await.json().await.unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    let outcomes: Vec<String> = db.value("SELECT array_agg(outcome) FROM usage_events").await;
    assert_eq!(outcomes, ["malformed"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_open_to_all_and_everything_else_is_not_found() {
    let (db, _, server) = set_up().await;
    assert_eq!(server.get("/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(
        server.get("/readyz").await,
        (StatusCode::OK, "ready\n".to_owned())
    );
    for path in ["/", "/metrics", "/.well-known/oauth-protected-resource", "/mcp/x"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    db.server.close();
    assert_eq!(server.get("/readyz").await.0, 503);
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_callers_are_told_to_come_back() {
    let (db, key, server) = set_up().await;
    let superuser = skillkeep::db::connect_owner(&Cluster::get().superuser("postgres"))
        .await
        .unwrap();
    superuser
        .batch_execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", db.name))
        .await
        .unwrap();
    let response = send(server.old(&call("whoami", &json!({}))), &key).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let text = response.text().await.unwrap();
    assert!(!text.contains(&db.name), "database text reached a caller: {text}");
    assert_eq!(server.get("/readyz").await.0, 503);

    superuser
        .batch_execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", db.name))
        .await
        .unwrap();
    ok(server.old(&call("whoami", &json!({}))), &key).await;
    assert_eq!(event_count(&db).await, 1);
}
