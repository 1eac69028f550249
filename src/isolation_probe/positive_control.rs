//! What a party may do for itself. It must work over the very connection that the attacks go over, or their refusals prove
//! nothing; and its answers must not tell whether there is another tenant.

use serde_json::{Value, json};

use super::client::{ClientError, LISTEN, ProbeClient};
use super::fixtures::TestTenant;
use super::methods;
use super::schema::minimal;
use crate::tools::ToolName;

/// An own question with its answer.
#[derive(Debug, Clone)]
pub struct OwnRequest {
    /// The tool, or the method where it is not `tools/call`.
    pub target: String,
    /// What was asked.
    pub method: &'static str,
    /// What came back.
    pub answer: Value,
}

impl OwnRequest {
    /// Whether the registry did what it was asked for.
    pub(super) fn worked(&self) -> bool {
        let begun = self.method == LISTEN && self.answer.get("method").is_some();
        let done = self.answer.get("result").is_some()
            && self.answer.pointer("/result/isError") != Some(&Value::Bool(true));
        begun || done
    }
}

/// Asks everything that this connection has, about the party's own things.
pub(super) async fn request_own(
    party: &TestTenant,
    asking: &mut impl ProbeClient,
) -> Result<Vec<OwnRequest>, ClientError> {
    let mut all = Vec::new();
    for tool in ToolName::ALL {
        let schema = Value::Object((*tool.describe().input_schema).clone());
        let name = tool.as_str();
        let params = json!({"name": name, "arguments": minimal(&schema, party)});
        all.push(OwnRequest {
            target: name.to_owned(),
            method: "tools/call",
            answer: asking.ask("tools/call", params).await?,
        });
    }
    for method in asking.protocol_profile().methods() {
        if let Some(params) = methods::own(method) {
            all.push(OwnRequest {
                target: method.to_owned(),
                method,
                answer: asking.ask(method, params).await?,
            });
        }
    }
    Ok(all)
}
