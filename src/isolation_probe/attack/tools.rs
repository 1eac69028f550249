//! Attacks through `tools/call`: every identifier in every string argument of every tool, and in places outside the arguments.

use serde_json::{Value, json};

use super::Attack;
use super::injection_payloads::injection_identifiers;
use crate::isolation_probe::fixtures::Fixtures;
use crate::isolation_probe::schema::{arguments_with, minimal_arguments, string_arguments};
use crate::isolation_probe::test_tenant::Identifier;
use crate::tools::ToolName;

/// Argument names that no tool has and that a careless server could read a tenant from.
const UNKNOWN_ARGUMENTS: [&str; 4] = ["tenant_id", "tenant", "api_key", "app.current_tenant_id"];

/// The identifiers of the victim, and texts that try to break out of a statement or path.
fn identifiers(fixtures: &Fixtures) -> impl Iterator<Item = Identifier> {
    fixtures
        .identifiers
        .iter()
        .cloned()
        .chain(injection_identifiers())
}

pub(super) fn attacks_on_tool(fixtures: &Fixtures, tool: ToolName) -> Vec<Attack> {
    let schema = Value::Object((*tool.describe().input_schema).clone());
    let name = tool.as_str();
    let attack = |description: String, attacker_params: Value, control_params: Value| Attack {
        target: name.to_owned(),
        description,
        method: "tools/call",
        attacker_params,
        control_params,
    };
    let call = |arguments: Value| json!({"name": name, "arguments": arguments});
    let (attacker, control) = (&fixtures.attacker, &fixtures.control);
    let mut attacks = Vec::new();
    for id in identifiers(fixtures) {
        for path in string_arguments(&schema) {
            attacks.push(attack(
                format!("{} as {}", id.kind, path.join(".")),
                call(arguments_with(&schema, &path, &id.existing, attacker)),
                call(arguments_with(&schema, &path, &id.missing, control)),
            ));
        }
        for argument in UNKNOWN_ARGUMENTS {
            let with = |mut arguments: Value, text: &str| {
                if let Some(arguments) = arguments.as_object_mut() {
                    arguments.insert(argument.to_owned(), json!(text));
                }
                arguments
            };
            attacks.push(attack(
                format!("{} as an argument {argument}", id.kind),
                call(with(minimal_arguments(&schema, attacker), &id.existing)),
                call(with(minimal_arguments(&schema, control), &id.missing)),
            ));
        }
    }
    for id in &fixtures.identifiers {
        attacks.push(attack(
            format!("{} in _meta", id.kind),
            with_tenant_in_meta(name, minimal_arguments(&schema, attacker), &id.existing),
            with_tenant_in_meta(name, minimal_arguments(&schema, control), &id.missing),
        ));
    }
    attacks
}

/// Makes the parameters of a call from an identifier.
type ParamsOf = fn(&str) -> Value;

/// Calls with an identifier as the tool's name, without a name, and with arguments that are no object.
pub(super) fn attacks_on_tool_names(fixtures: &Fixtures) -> Vec<Attack> {
    let forms: [(&str, ParamsOf); 3] = [
        ("as a tool's name", |text| json!({"name": text})),
        ("without a tool", |text| json!({"arguments": {"skill": text}})),
        (
            "as arguments",
            |text| json!({"name": "whoami", "arguments": text}),
        ),
    ];
    let mut attacks = Vec::new();
    for id in identifiers(fixtures) {
        for (description, params) in forms {
            attacks.push(Attack {
                target: "tools/call".to_owned(),
                description: format!("{} {description}", id.kind),
                method: "tools/call",
                attacker_params: params(&id.existing),
                control_params: params(&id.missing),
            });
        }
    }
    attacks
}

fn with_tenant_in_meta(tool: &str, arguments: Value, text: &str) -> Value {
    let meta =
        json!({"tenant": text, "tenant_id": text, "dev.skillkeep/tenant": text, "authorization": text});
    json!({"name": tool, "arguments": arguments, "_meta": meta, "tenant_id": text})
}
