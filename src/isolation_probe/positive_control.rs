//! Positive control: requests of a tenant for its own data. They must succeed over the same connection as the attacks, otherwise
//! refused attacks prove nothing; and their responses must not depend on whether another tenant exists.

use serde_json::{Value, json};

use super::client::{LISTEN, ProbeClient};
use super::error::ClientError;
use super::schema::own_arguments;
use super::test_tenant::{SHARED_SKILL, TestTenant};
use crate::tools::ToolName;

/// A request for the tenant's own data, with its response.
#[derive(Debug, Clone)]
pub struct OwnRequest {
    /// The tool, or the method unless that is `tools/call`.
    pub target: String,
    pub method: &'static str,
    pub response: Value,
}

impl OwnRequest {
    pub(super) fn succeeded(&self) -> bool {
        let subscribed = self.method == LISTEN && self.response.get("method").is_some();
        let completed = self.response.get("result").is_some()
            && self.response.pointer("/result/isError") != Some(&Value::Bool(true));
        subscribed || completed
    }
}

/// Sends one request for own data to every tool and to every method of this connection.
pub(super) async fn request_own_data(
    tenant: &TestTenant,
    client: &mut impl ProbeClient,
) -> Result<Vec<OwnRequest>, ClientError> {
    let mut requests = Vec::new();
    for tool in ToolName::ALL {
        let name = tool.as_str();
        let params = json!({"name": name, "arguments": own_arguments(*tool, tenant)});
        requests.push(OwnRequest {
            target: name.to_owned(),
            method: "tools/call",
            response: client.request("tools/call", params).await?,
        });
    }
    for method in client.protocol_profile().methods() {
        if let Some(params) = own_params(method) {
            requests.push(OwnRequest {
                target: method.to_owned(),
                method,
                response: client.request(method, params).await?,
            });
        }
    }
    Ok(requests)
}

/// Returns the parameters that ask a method for own data. `None` for `tools/call`, which each tool covers, and for
/// `initialize`, which a connection accepts once.
fn own_params(method: &str) -> Option<Value> {
    let uri = format!("skill://{SHARED_SKILL}/1/{SHARED_SKILL}");
    match method {
        "tools/call" | "initialize" => None,
        "resources/read" | "skills/get" | "resources/subscribe" | "resources/unsubscribe" => {
            Some(json!({"uri": format!("{uri}/SKILL.md")}))
        }
        "resources/directory/read" => Some(json!({"uri": uri})),
        "prompts/get" => Some(json!({"name": SHARED_SKILL})),
        "completion/complete" => Some(completion_params("skill", "")),
        "subscriptions/listen" => Some(json!({"notifications": {"resourcesListChanged": true}})),
        _ => Some(json!({})),
    }
}

/// Returns the parameters of `completion/complete` for an argument of the skills' URI template.
pub(super) fn completion_params(argument: &str, value: &str) -> Value {
    let template = "skill://{skill}/{version}/{name}/{+path}";
    json!({"ref": {"type": "ref/resource", "uri": template}, "argument": {"name": argument, "value": value}})
}
