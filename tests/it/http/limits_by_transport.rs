//! The rate limit counts the same requests over stdio, HTTP and HTTP+SSE.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use skillkeep::server::{CallService, is_recorded, methods};
use skillkeep::tenancy::ApiKey;

use crate::command::admin;
use crate::harness::TestDb;
use crate::helpers::RawClient;
use crate::http_server::{Agent, call, post, serve};

const PINGS: usize = 20;
/// Calls that the limit leaves after the sequence.
const SPARE_CALLS: usize = 5;
/// JSON-RPC error of a call over a limit.
const OVER_LIMIT: i64 = -31_029;

/// A client of one transport.
pub(super) enum Connection {
    Stdio(Box<RawClient>),
    Http(SocketAddr, ApiKey),
    Sse(Box<Agent>, ApiKey),
}

impl Connection {
    /// Connects over `stdio`, `http` or `sse`.
    pub(super) async fn open(
        transport: &str,
        service: &Arc<CallService>,
        at: SocketAddr,
        key: &ApiKey,
    ) -> Self {
        match transport {
            "stdio" => Self::Stdio(Box::new(RawClient::connect(service, key).await)),
            "http" => Self::Http(at, key.clone()),
            _ => Self::Sse(Box::new(Agent::greet(at, key).await), key.clone()),
        }
    }

    /// Sends a message, and waits for the response if it is a request. Returns whether it was refused as over the limit.
    pub(super) async fn is_over_limit(&mut self, message: &Value) -> bool {
        let id = message["id"].as_i64();
        let response = match (self, id) {
            (Self::Stdio(wire), None) => {
                wire.send(message.clone()).await;
                return false;
            }
            (Self::Stdio(wire), Some(id)) => {
                wire.send(message.clone()).await;
                wire.receive(id).await
            }
            (Self::Http(at, key), id) => {
                let response = post(*at, key, message).send().await.unwrap();
                if is_refused(&response, message) {
                    return true;
                }
                if id.is_none() {
                    return false;
                }
                response.json().await.unwrap()
            }
            (Self::Sse(agent, key), id) => {
                let response = agent.message(key).json(message).send().await.unwrap();
                if is_refused(&response, message) {
                    return true;
                }
                match id {
                    Some(id) => agent.receive(id).await,
                    None => return false,
                }
            }
        };
        assert_eq!(response["id"].as_i64(), id, "{message}: {response}");
        response["error"]["code"] == OVER_LIMIT || response.to_string().contains("has reached its limit of")
    }
}

fn is_refused(response: &Response, message: &Value) -> bool {
    let status = response.status();
    let is_refused = status == StatusCode::TOO_MANY_REQUESTS;
    assert!(
        is_refused || status.is_success() || message["id"].is_i64(),
        "{message}: {status}"
    );
    is_refused
}

/// Parameters with which the server runs the method; empty for methods that this test does not know.
fn params(method: &str) -> Value {
    match method {
        "initialize" => json!({
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "limits", "version": "1"},
        }),
        "tools/call" => json!({"name": "whoami", "arguments": {}}),
        "completion/complete" => json!({
            "ref": {"type": "ref/prompt", "name": "fill-pdf"}, "argument": {"name": "skill", "value": "f"},
        }),
        _ => json!({}),
    }
}

/// Pings, notifications, and each method of the server twice: with valid or empty parameters, and with malformed ones.
fn sequence() -> Vec<Value> {
    let mut messages = Vec::new();
    for (method, params) in [
        ("notifications/cancelled", json!({"requestId": 99_999})),
        (
            "notifications/progress",
            json!({"progressToken": 1, "progress": 1}),
        ),
        ("notifications/roots/list_changed", json!({})),
        ("notifications/unknown", json!({"cursor": 7})),
    ] {
        messages.push(json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }
    let malformed = json!({"cursor": 7, "name": 7, "uri": 7, "ref": 7, "notifications": 7});
    let pings = std::iter::repeat_n(("ping", json!({})), PINGS);
    let requests = methods()
        .into_iter()
        .flat_map(|method| [(method, params(method)), (method, malformed.clone())]);
    for (id, (method, params)) in (1..).zip(pings.chain(requests).chain([("no/such/method", json!({}))])) {
        messages.push(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
    }
    messages
}

/// A tenant with an API key that may make this many calls a minute.
pub(super) async fn limited_key(db: &TestDb, tenant: &str, calls_per_minute: usize) -> ApiKey {
    let key = db.full_key(db.tenant(tenant).await).await;
    let keys = admin(db, &["key", "list", "--tenant", tenant, "--json"]).json();
    let id = keys[0]["id"].as_str().unwrap();
    let limit = calls_per_minute.to_string();
    admin(
        db,
        &[
            "key",
            "limit",
            id,
            "--tenant",
            tenant,
            "--calls-per-minute",
            &limit,
        ],
    );
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limit_counts_the_same_requests_over_every_transport() {
    let db = TestDb::new().await;
    let service = db.service();
    let at = serve(&service).await;
    let sequence = sequence();
    let calls = sequence
        .iter()
        .filter(|message| message["method"].as_str().is_some_and(is_recorded))
        .count();
    assert!(
        calls >= 10 && sequence.len() > calls + PINGS,
        "{calls} of {}",
        sequence.len()
    );
    let limit = calls + SPARE_CALLS;
    for transport in ["stdio", "http", "sse"] {
        let key = limited_key(&db, transport, limit).await;
        let mut connection = Connection::open(transport, &service, at, &key).await;
        let started = Instant::now();
        for message in &sequence {
            let is_over_limit = connection.is_over_limit(message).await;
            assert!(
                !is_over_limit,
                "{transport}: a message counted too much: {message}"
            );
        }
        let mut spare_calls = 0;
        while !connection.is_over_limit(&call(1_000, "whoami", &json!({}))).await {
            spare_calls += 1;
            assert!(
                spare_calls <= limit,
                "{transport}: the limit of {limit} is not applied"
            );
        }
        // The limit refills evenly while the test runs.
        let refilled = started.elapsed().as_secs_f64() * f64::from(u32::try_from(limit).unwrap()) / 60.0;
        assert!(
            spare_calls >= SPARE_CALLS,
            "{transport}: only {spare_calls} calls were left"
        );
        let excess = f64::from(u32::try_from(spare_calls - SPARE_CALLS).unwrap());
        assert!(
            excess <= refilled,
            "{transport}: {spare_calls} calls were left, so some calls did not count"
        );
    }
}
