//! The methods that are attacked are those that the server answers: all that the framework knows is sent, in each protocol_profile.

use std::collections::BTreeSet;

use rmcp::model::ClientRequest;
use serde_json::{Value, json};
use skillkeep::isolation_probe::{Fixtures, InMemoryClient, ProbeClient};
use skillkeep::server::{self, ProtocolProfile};

use super::clients::Http;
use crate::harness::TestDb;
use crate::http_server::serve;

/// Every request of clients that the framework knows, of whatever revision, as its own schema lists them.
fn known() -> BTreeSet<String> {
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
    let is_method = |word: &String| word == "ping" || word == "initialize" || word.contains('/');
    constants.into_iter().filter(is_method).collect()
}

/// What only servers ask, what was once in the protocol, and what never was.
const FOREIGN: [&str; 8] = [
    "sampling/createMessage",
    "roots/list",
    "elicitation/create",
    "tasks/list",
    "tasks/result",
    "skills/search",
    "admin/tenants",
    "rpc.discover",
];

/// How protocol_profiles learn of each other, and answered in any: to introduce oneself as the older do, and to ask what the newest has.
const HOUSEKEEPING: [&str; 2] = ["initialize", "server/discover"];

/// Parameters with what any of the methods wants, so that none is unknown for the want of them.
fn parameters() -> Value {
    json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "all", "version": "1"},
        "uri": "skill://shared/1/shared/SKILL.md", "name": "whoami", "arguments": {}, "level": "debug",
        "ref": {"type": "ref/prompt", "name": "shared"}, "argument": {"name": "version", "value": ""},
        "notifications": {}, "taskId": "1", "inputResponses": {},
    })
}

/// The methods that are answered with anything but that there is no such method.
async fn answered(asking: &mut impl ProbeClient) -> BTreeSet<String> {
    let mut answered = BTreeSet::new();
    for method in known().into_iter().chain(FOREIGN.map(str::to_owned)) {
        let is_there = |answer: Value| answer.pointer("/error/code") != Some(&json!(-32_601));
        if is_there(asking.ask(&method, parameters()).await.unwrap()) {
            answered.insert(method);
        } else if is_there(asking.ask(&method, json!({})).await.unwrap()) {
            // Told that its parameters are wrong, before it is said that it needs a connection.
            assert_eq!(method, "resources/subscribe");
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn in_each_era_the_server_answers_the_methods_that_are_attacked_and_no_other() {
    let known = known();
    assert!(known.len() >= 20, "{known:?}");
    for method in server::methods() {
        assert!(known.contains(method), "{method}: {known:?}");
    }
    let db = TestDb::new().await;
    let service = db.service();
    let world = Fixtures::create(&db.admin, &service).await.unwrap();
    let key = &world.attacker.key;
    let at = serve(&service).await;
    for protocol_profile in ProtocolProfile::ALL {
        let expected: BTreeSet<String> = protocol_profile
            .methods()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let answered = match protocol_profile {
            ProtocolProfile::LegacyStateful => {
                let mut pipe = InMemoryClient::connect(&service, key.clone()).await.unwrap();
                answered(&mut pipe).await
            }
            ProtocolProfile::LegacyStateless => answered(&mut Http::new(at, key, protocol_profile)).await,
            ProtocolProfile::Current => {
                let mut pipe = InMemoryClient::connect_newest(&service, key.clone());
                answered(&mut pipe).await
            }
        };
        let mut others = answered;
        others.retain(|method| expected.contains(method) || !HOUSEKEEPING.contains(&method.as_str()));
        assert_eq!(others, expected, "{protocol_profile:?}");
    }
}
