//! Streamable HTTP: clients of both protocol profiles, authentication, allowed hosts and origins, health.

mod batches;
mod concurrency_limit;
mod cors;
mod heads;
mod limits_by_transport;
mod paths;
mod refused_calls;
mod slow_clients;
pub(crate) mod stopping;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use skillkeep::server::CallService;
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::HttpOptions;

use crate::command::admin;
use crate::harness::{Cluster, TestDb};
use crate::http_server::{TestHttpServer, call};

const LEGACY: &str = "2025-11-25";
const CURRENT: &str = "2026-07-28";

/// A server, and an HTTP client whose `User-Agent` the tests know.
struct Server {
    served: TestHttpServer,
    client: reqwest::Client,
}

impl Server {
    async fn start(service: Arc<CallService>) -> Self {
        let served = TestHttpServer::start(service, HttpOptions::default()).await;
        let client = reqwest::Client::builder()
            .user_agent("reqwest-test/4.2")
            .build()
            .unwrap();
        Self { served, client }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.served.at))
            .header("accept", "application/json, text/event-stream")
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.request(Method::GET, path).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// A request of protocol version 2025-11-25, without an API key.
    fn legacy(&self, body: &Value) -> RequestBuilder {
        self.request(Method::POST, "/mcp")
            .header("mcp-protocol-version", LEGACY)
            .json(body)
    }

    /// A request of protocol version 2026-07-28, without an API key.
    fn current(&self, method: &str, name: Option<&str>, mut params: Value) -> RequestBuilder {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": CURRENT,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "new-client", "version": "7.0"},
        });
        let request = self
            .request(Method::POST, "/mcp")
            .header("mcp-protocol-version", CURRENT)
            .header("mcp-method", method)
            .json(&json!({"jsonrpc": "2.0", "id": "n-1", "method": method, "params": params}));
        match name {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }
}

async fn send(request: RequestBuilder, key: &ApiKey) -> Response {
    request.bearer_auth(key.reveal()).send().await.unwrap()
}

/// The result of a request that must succeed.
async fn result_of(request: RequestBuilder, key: &ApiKey) -> Value {
    let response = send(request, key).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert!(body["error"].is_null(), "{body}");
    body["result"].clone()
}

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
async fn events_record_protocol_version_and_client_of_both_profiles() {
    let (db, key, server) = set_up().await;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "old-client", "version": "1"}}});
    let initialized = result_of(server.legacy(&initialize), &key).await;
    assert_eq!(initialized["protocolVersion"], LEGACY);
    assert_eq!(initialized["serverInfo"]["name"], "skillkeep");
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let legacy_tools = result_of(server.legacy(&list), &key).await["tools"].clone();
    let current_list = result_of(server.current("tools/list", None, json!({})), &key).await;
    assert_eq!(legacy_tools, current_list["tools"]);
    assert_eq!(
        current_list["cacheScope"], "private",
        "a shared cache must not serve this key's list to other keys"
    );
    let discovered = result_of(server.current("server/discover", None, json!({})), &key).await;
    assert!(
        discovered["supportedVersions"].to_string().contains(CURRENT),
        "{discovered}"
    );

    let whoami = result_of(server.legacy(&call(7, "whoami", &json!({}))), &key).await;
    assert_eq!(whoami["structuredContent"]["tenant"], "acme", "{whoami}");
    let params = json!({"name": "whoami", "arguments": {}});
    let whoami = result_of(server.current("tools/call", Some("whoami"), params), &key).await;
    assert_eq!(whoami["structuredContent"]["tenant"], "acme", "{whoami}");

    let recorded: String = db
        .value(
            "SELECT string_agg(concat_ws(' ', transport, protocol_version, client_name, client_version, request_id), '; ' ORDER BY id)
             FROM usage_events",
        )
        .await;
    assert_eq!(
        recorded,
        format!("http {LEGACY} reqwest-test 4.2 7; http {CURRENT} new-client 7.0 n-1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_valid_key_gets_401_with_challenge() {
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

    let body = call(7, "whoami", &json!({}));
    let truncated = &key.reveal()[..key.reveal().len() - 1];
    let in_query = server
        .request(Method::POST, &format!("/mcp?api_key={0}&key={0}", key.reveal()))
        .json(&body);
    for (request, error) in [
        (server.legacy(&body), None),
        (in_query, None),
        (server.legacy(&body).basic_auth("x", Some(key.reveal())), None),
        (server.legacy(&body).bearer_auth("hello"), Some("invalid_token")),
        (server.legacy(&body).bearer_auth(truncated), Some("invalid_token")),
        (
            server.legacy(&body).bearer_auth(revoked.reveal()),
            Some("invalid_token"),
        ),
        (
            server.legacy(&body).header("x-api-key", truncated),
            Some("invalid_token"),
        ),
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
        .legacy(&body)
        .header("x-api-key", key.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(event_count(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_with_foreign_host_or_origin_gets_403() {
    let (db, key, server) = set_up().await;
    let body = call(7, "whoami", &json!({}));
    for (header, value, status) in [
        ("host", "evil.example", 403),
        ("host", "localhost", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://localhost:3000", 200),
    ] {
        let response = send(server.legacy(&body).header(header, value), &key).await;
        assert_eq!(response.status(), status, "{header}: {value}");
    }
    assert_eq!(event_count(&db).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_json_gets_parse_error_and_oversized_body_gets_413() {
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
    let oversized = call(7, "search_skills", &json!({"query": "x".repeat(20 << 20)}));
    let response = server
        .legacy(&oversized)
        .bearer_auth(key.reveal())
        .timeout(Duration::from_secs(20))
        .send()
        .await;
    // The server may close the connection while the client still sends the body.
    if let Ok(response) = response {
        assert_eq!(response.status(), 413);
    }
    assert_eq!(event_count(&db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_call_is_rejected_and_recorded() {
    let (db, key, server) = set_up().await;
    for params in [
        json!({"arguments": {}}),
        json!({"name": "whoami", "arguments": [1]}),
        json!({"name": 7}),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params});
        let response: Value = send(server.legacy(&body), &key).await.json().await.unwrap();
        assert_eq!(response["error"]["code"], -32602, "{response}");
    }
    let outcomes: Vec<String> = db.value("SELECT array_agg(outcome) FROM usage_events").await;
    assert_eq!(outcomes, ["malformed"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_key_and_unknown_paths_get_404() {
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
async fn unavailable_database_gives_503_with_retry_after() {
    let (db, key, server) = set_up().await;
    let superuser = skillkeep::db::connect_owner(&Cluster::get().superuser("postgres"))
        .await
        .unwrap();
    superuser
        .batch_execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", db.name))
        .await
        .unwrap();
    let response = send(server.legacy(&call(7, "whoami", &json!({}))), &key).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let text = response.text().await.unwrap();
    assert!(
        !text.contains(&db.name),
        "the response holds the database's name: {text}"
    );
    assert_eq!(server.get("/readyz").await.0, 503);

    superuser
        .batch_execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", db.name))
        .await
        .unwrap();
    result_of(server.legacy(&call(7, "whoami", &json!({}))), &key).await;
    assert_eq!(event_count(&db).await, 1);
}
