//! One attack: a request of the attacker and the corresponding request of the control.

pub(super) mod generator;
mod injection_payloads;
mod methods;
mod tools;

use serde_json::Value;

#[derive(Debug, Clone)]
pub struct Attack {
    /// The tool, or the method unless that is `tools/call`.
    pub target: String,
    /// The identifier and where it is sent, for reports.
    pub description: String,
    pub method: &'static str,
    /// With an identifier of the victim.
    pub attacker_params: Value,
    /// With an identifier that does not exist.
    pub control_params: Value,
}
