//! Attacks through `tools/call`: every identifier in every string argument of every tool, and in places outside the arguments.

use serde_json::{Map, Value, json};

use super::Attack;
use super::injection_payloads::{INJECTION, injection_identifiers};
use crate::isolation_probe::fixtures::Fixtures;
use crate::isolation_probe::schema::{arguments_with, own_arguments, string_arguments, variants};
use crate::isolation_probe::test_tenant::{Identifier, TestTenant};
use crate::tools::ToolName;

/// Argument names that no tool has and that a careless server could read a tenant from.
const UNKNOWN_ARGUMENTS: [&str; 4] = ["tenant_id", "tenant", "api_key", "app.current_tenant_id"];

/// Arguments that every identifier is an invalid value of.
const ENUMERATED: [&str; 3] = ["action", "verdict", "decided_by"];

/// The identifiers of the victim, and texts that try to break out of a statement or path.
fn identifiers(fixtures: &Fixtures) -> impl Iterator<Item = Identifier> {
    fixtures
        .identifiers
        .iter()
        .cloned()
        .chain(injection_identifiers())
}

/// The attacks on a tool.
#[derive(Default)]
pub(super) struct ToolAttacks {
    /// With an identifier in place of something that exists.
    pub(super) referring: Vec<Attack>,
    /// With an identifier as the name or content of a new skill. The attacker then has a skill of that name, so these must come
    /// after all other attacks.
    pub(super) naming: Vec<Attack>,
}

/// Whether this argument names a new skill, or is its text.
fn names_a_skill(tool: ToolName, variant: &Map<String, Value>, path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match tool {
        ToolName::PublishSkill => ["skill", "files"].iter().any(|name| path.first() == Some(name)),
        ToolName::ForkSkill => path == ["new_name"],
        ToolName::UpdateSkill => path == ["to"] && variant.get("action") == Some(&json!("rename")),
        ToolName::SearchSkills
        | ToolName::GetSkill
        | ToolName::InstallSkill
        | ToolName::ConfirmInstall
        | ToolName::CheckInstalled
        | ToolName::RecordUsage
        | ToolName::UsageReport
        | ToolName::Recommend
        | ToolName::Whoami
        | ToolName::RateSkill
        | ToolName::ReviewSkill
        | ToolName::YankSkill => false,
    }
}

pub(super) fn attacks_on_tool(fixtures: &Fixtures, tool: ToolName) -> ToolAttacks {
    let schema = Value::Object((*tool.describe().input_schema).clone());
    let mut attacks = ToolAttacks::default();
    for (number, variant) in variants(tool).iter().enumerate() {
        for path in string_arguments(&schema) {
            // The first variant covers the arguments that a variant does not have, and those that accept few values only.
            let is_own = |name: &String| {
                name == "skill" || variant.contains_key(name) && !ENUMERATED.contains(&name.as_str())
            };
            if number > 0 && !path.first().is_some_and(is_own) {
                continue;
            }
            // An identifier that happens to be Base64 stands for other bytes than the control's; `text` covers the content.
            if path.last().is_some_and(|name| name == "base64") {
                continue;
            }
            let mut of_path = attacks_on_argument(fixtures, tool, &schema, variant, &path);
            // Whether a text breaks out of a statement or path does not depend on the variant.
            of_path.retain(|attack| number == 0 || !attack.description.starts_with(INJECTION));
            if names_a_skill(tool, variant, &path) {
                attacks.naming.extend(of_path);
            } else {
                attacks.referring.extend(of_path);
            }
        }
    }
    attacks
        .referring
        .extend(attacks_outside_the_schema(fixtures, tool));
    attacks
}

/// Every identifier in one argument.
fn attacks_on_argument(
    fixtures: &Fixtures,
    tool: ToolName,
    schema: &Value,
    variant: &Map<String, Value>,
    path: &[String],
) -> Vec<Attack> {
    let call = |text: &str, tenant: &TestTenant| {
        let arguments = arguments_with(schema, variant, path, text, tenant);
        json!({"name": tool.as_str(), "arguments": arguments})
    };
    identifiers(fixtures)
        .map(|id| Attack {
            target: tool.as_str().to_owned(),
            description: format!("{} as {} {}", id.kind, path.join("."), described(variant))
                .trim_end()
                .to_owned(),
            method: "tools/call",
            attacker_params: call(&id.existing, &fixtures.attacker),
            control_params: call(&id.missing, &fixtures.control),
        })
        .collect()
}

fn described(variant: &Map<String, Value>) -> String {
    let fields: Vec<String> = variant
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if fields.is_empty() {
        String::new()
    } else {
        format!("with {}", fields.join(" "))
    }
}

/// Identifiers as arguments that the tool does not have, and in `_meta`.
fn attacks_outside_the_schema(fixtures: &Fixtures, tool: ToolName) -> Vec<Attack> {
    let (attacker, control) = (&fixtures.attacker, &fixtures.control);
    let name = tool.as_str();
    let attack = |description: String, attacker_params: Value, control_params: Value| Attack {
        target: name.to_owned(),
        description,
        method: "tools/call",
        attacker_params,
        control_params,
    };
    let mut attacks = Vec::new();
    for id in identifiers(fixtures) {
        for argument in UNKNOWN_ARGUMENTS {
            let with = |tenant: &TestTenant, text: &str| {
                let mut arguments = own_arguments(tool, tenant);
                if let Some(arguments) = arguments.as_object_mut() {
                    arguments.insert(argument.to_owned(), json!(text));
                }
                json!({"name": name, "arguments": arguments})
            };
            attacks.push(attack(
                format!("{} as an argument {argument}", id.kind),
                with(attacker, &id.existing),
                with(control, &id.missing),
            ));
        }
    }
    for id in &fixtures.identifiers {
        attacks.push(attack(
            format!("{} in _meta", id.kind),
            with_tenant_in_meta(name, own_arguments(tool, attacker), &id.existing),
            with_tenant_in_meta(name, own_arguments(tool, control), &id.missing),
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
