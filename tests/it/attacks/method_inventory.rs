//! The attacked methods are exactly those that the server knows: every method of rmcp is sent in each protocol profile.

use std::collections::BTreeSet;

use rmcp::model::ClientRequest;
use serde_json::{Value, json};
use skillkeep::isolation_probe::{Fixtures, InMemoryClient, ProbeClient};
use skillkeep::server::{self, ProtocolProfile};

use super::clients::HttpClient;
use crate::harness::TestDb;
use crate::http_server::serve;

/// Every client request that rmcp's schema lists, of any protocol version.
fn rmcp_methods() -> BTreeSet<String> {
    fn collect(schema: &Value, methods: &mut BTreeSet<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(method)) = fields.get("const") {
                    methods.insert(method.clone());
                }
                fields.values().for_each(|value| collect(value, methods));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, methods)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let schema = schemars::schema_for!(ClientRequest).to_value();
    let mut constants = BTreeSet::new();
    collect(&schema, &mut constants);
    let is_method = |name: &String| name == "ping" || name == "initialize" || name.contains('/');
    constants.into_iter().filter(is_method).collect()
}

/// Requests that servers send, requests of other protocol versions, and requests that never existed.
const UNKNOWN_METHODS: [&str; 8] = [
    "sampling/createMessage",
    "roots/list",
    "elicitation/create",
    "tasks/list",
    "tasks/result",
    "skills/search",
    "admin/tenants",
    "rpc.discover",
];

/// The methods with which protocol versions are negotiated, which are answered in each of them.
const SHARED_METHODS: [&str; 2] = ["initialize", "server/discover"];

/// Parameters that are sufficient for any method, so that none is rejected for a missing one.
fn parameters() -> Value {
    json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "all", "version": "1"},
        "uri": "skill://shared/1/shared/SKILL.md", "name": "whoami", "arguments": {}, "level": "debug",
        "ref": {"type": "ref/prompt", "name": "shared"}, "argument": {"name": "version", "value": ""},
        "notifications": {}, "taskId": "1", "inputResponses": {},
    })
}

/// The methods that are answered with anything other than "method not found".
async fn answered(client: &mut impl ProbeClient) -> BTreeSet<String> {
    let mut answered = BTreeSet::new();
    for method in rmcp_methods()
        .into_iter()
        .chain(UNKNOWN_METHODS.map(str::to_owned))
    {
        let is_there = |answer: Value| answer.pointer("/error/code") != Some(&json!(-32_601));
        if is_there(client.request(&method, parameters()).await.unwrap()) {
            answered.insert(method);
        } else if is_there(client.request(&method, json!({})).await.unwrap()) {
            // Its parameters are validated before the transport is checked.
            assert_eq!(method, "resources/subscribe");
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn each_protocol_profile_answers_exactly_the_attacked_methods() {
    let rmcp_methods = rmcp_methods();
    assert!(rmcp_methods.len() >= 20, "{rmcp_methods:?}");
    for method in server::methods() {
        assert!(rmcp_methods.contains(method), "{method}: {rmcp_methods:?}");
    }
    let db = TestDb::new().await;
    let service = db.service();
    let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
    let key = &fixtures.attacker.key;
    let address = serve(&service).await;
    for protocol_profile in ProtocolProfile::ALL {
        let expected: BTreeSet<String> = protocol_profile
            .methods()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let answered = match protocol_profile {
            ProtocolProfile::LegacyStateful => {
                let mut client = InMemoryClient::connect_legacy(&service, key.clone())
                    .await
                    .unwrap();
                answered(&mut client).await
            }
            ProtocolProfile::LegacyStateless => {
                answered(&mut HttpClient::new(address, key, protocol_profile)).await
            }
            ProtocolProfile::Current => {
                let mut client = InMemoryClient::connect_current(&service, key.clone());
                answered(&mut client).await
            }
        };
        let mut others = answered;
        others.retain(|method| expected.contains(method) || !SHARED_METHODS.contains(&method.as_str()));
        assert_eq!(others, expected, "{protocol_profile:?}");
    }
}
