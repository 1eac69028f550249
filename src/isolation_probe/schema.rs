//! Builds tool arguments from a tool's input schema: valid values, with one string replaced.

use serde_json::{Map, Value, json};

use super::test_tenant::{CHANGING_SKILL, SHARED_SKILL, TestTenant};
use crate::tools::ToolName;

/// Returns the path of every string argument in a schema. A list is represented by its items.
pub(super) fn string_arguments(schema: &Value) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    collect(schema, &mut Vec::new(), &mut paths);
    paths
}

fn collect(schema: &Value, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            for (name, property) in properties(schema) {
                path.push(name.clone());
                collect(property, path, paths);
                path.pop();
            }
        }
        Some("array") => {
            if let Some(items) = schema.get("items") {
                collect(items, path, paths);
            }
        }
        // Enums too, and schemas without a type: a string can be sent in their place.
        Some("string") | None => paths.push(path.clone()),
        Some(_) => {}
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// Returns the ways to call a tool that need more than the schema's required arguments: each a set of arguments beside those. The
/// first one succeeds as often as it is called, and leaves the shared skill as it is.
pub(super) fn variants(tool: ToolName) -> Vec<Map<String, Value>> {
    let variants = match tool {
        ToolName::SearchSkills
        | ToolName::GetSkill
        | ToolName::InstallSkill
        | ToolName::ConfirmInstall
        | ToolName::RecordUsage
        | ToolName::UsageReport
        | ToolName::Recommend
        | ToolName::Whoami
        | ToolName::PublishSkill
        | ToolName::ForkSkill => vec![json!({})],
        ToolName::CheckInstalled => vec![json!({"installed": [{"skill": SHARED_SKILL, "version": "1"}]})],
        ToolName::RateSkill => vec![json!({"stars": 3}), json!({"withdraw": true})],
        ToolName::ReviewSkill => vec![
            json!({}),
            json!({"verdict": "approve", "decided_by": "person", "override_findings": "x"}),
            json!({"verdict": "request_changes", "decided_by": "person", "comment": "x"}),
        ],
        ToolName::UpdateSkill => vec![
            json!({"skill": CHANGING_SKILL, "action": "restore"}),
            json!({"skill": CHANGING_SKILL, "action": "submit", "version": "1"}),
            json!({"skill": CHANGING_SKILL, "action": "archive"}),
            json!({"skill": CHANGING_SKILL, "action": "deprecate", "to": SHARED_SKILL}),
            json!({"skill": CHANGING_SKILL, "action": "undeprecate"}),
            json!({"skill": CHANGING_SKILL, "action": "rename", "to": CHANGING_SKILL}),
            json!({"skill": CHANGING_SKILL, "action": "transfer", "to": "nobody@nowhere.example"}),
        ],
        ToolName::YankSkill => vec![
            json!({"skill": CHANGING_SKILL, "all": true, "reason": "x"}),
            json!({"skill": CHANGING_SKILL, "version": "1", "reason": "x"}),
            json!({"skill": CHANGING_SKILL, "version": "1", "undo": true}),
        ],
    };
    let objects = variants.into_iter();
    objects
        .filter_map(|variant| variant.as_object().cloned())
        .collect()
}

/// Returns valid arguments with `text` at `path`. Optional arguments are left out unless the path leads through them, or the
/// variant has them.
pub(super) fn arguments_with(
    schema: &Value,
    variant: &Map<String, Value>,
    path: &[String],
    text: &str,
    tenant: &TestTenant,
) -> Value {
    let mut arguments = fill(schema, "", Some((path, text)), tenant);
    add(&mut arguments, variant, path.first());
    arguments
}

/// Returns valid arguments for the tenant's own data: those that the schema requires, and those of the tool's first variant.
pub(super) fn own_arguments(tool: ToolName, tenant: &TestTenant) -> Value {
    let schema = Value::Object((*tool.describe().input_schema).clone());
    let mut arguments = fill(&schema, "", None, tenant);
    if let Some(variant) = variants(tool).first() {
        add(&mut arguments, variant, None);
    }
    arguments
}

fn add(arguments: &mut Value, variant: &Map<String, Value>, except: Option<&String>) {
    if let Some(arguments) = arguments.as_object_mut() {
        let added = variant.iter().filter(|(name, _)| Some(*name) != except);
        arguments.extend(added.map(|(name, value)| (name.clone(), value.clone())));
    }
}

fn fill(schema: &Value, name: &str, replacement: Option<(&[String], &str)>, tenant: &TestTenant) -> Value {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let required: Vec<&str> = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let mut object = Map::new();
            for (name, property) in properties(schema) {
                let inner = replacement
                    .and_then(|(path, text)| Some((path.split_first()?, text)))
                    .filter(|((first, _), _)| *first == name)
                    .map(|((_, rest), text)| (rest, text));
                // A file needs its text, unless it has base64 instead: a schema cannot say so.
                let is_content = name == "text" && !leads_to(replacement, "base64");
                if inner.is_some() || is_content || required.contains(&name.as_str()) {
                    object.insert(name.clone(), fill(property, name, inner, tenant));
                }
            }
            Value::Object(object)
        }
        Some("array") => match schema.get("items") {
            Some(items) => json!([fill(items, name, replacement, tenant)]),
            None => json!([]),
        },
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(false),
        Some(_) | None => match replacement {
            Some((_, text)) => json!(text),
            None => json!(valid_string(schema, name, tenant)),
        },
    }
}

/// Whether the replaced string is this property of the current object.
fn leads_to(replacement: Option<(&[String], &str)>, name: &str) -> bool {
    replacement
        .and_then(|(path, _)| path.first())
        .is_some_and(|first| first == name)
}

/// Returns a valid value for a string argument: the first of an enum, or an identifier of this tenant.
fn valid_string(schema: &Value, name: &str, tenant: &TestTenant) -> String {
    let first_of_enum = schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|values| values.first())
        .or_else(|| {
            let first = schema.get("oneOf").and_then(Value::as_array)?.first()?;
            first.get("const").or_else(|| first.get("enum")?.get(0))
        });
    if let Some(value) = first_of_enum.and_then(Value::as_str) {
        return value.to_owned();
    }
    match name {
        "skill" => SHARED_SKILL.to_owned(),
        "install_id" => tenant.install.clone(),
        "path" | "file" => "SKILL.md".to_owned(),
        "digest" => tenant.digest.clone(),
        "version" => "1".to_owned(),
        "text" => {
            format!("---\nname: {CHANGING_SKILL}\ndescription: Is published by the probe.\n---\n\nDo it.\n")
        }
        "new_name" => tenant.next_name(),
        _ => "x".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::ids::TenantId;
    use crate::tenancy::ApiKey;
    use crate::tools::Call;

    fn tenant() -> TestTenant {
        let tenant = TenantId::new();
        TestTenant {
            tenant,
            slug: "probe".to_owned(),
            key: ApiKey::generate(tenant, &mut rand::rng()),
            install: TenantId::new().to_string(),
            digest: format!("sha256:{}", "0".repeat(64)),
            names: AtomicUsize::new(0),
        }
    }

    #[test]
    fn arguments_of_every_variant_are_accepted_by_each_tool() {
        for tool in ToolName::ALL {
            let schema = Value::Object((*tool.describe().input_schema).clone());
            for variant in variants(*tool) {
                let mut arguments = fill(&schema, "", None, &tenant());
                add(&mut arguments, &variant, None);
                let arguments = arguments.as_object().cloned().unwrap();
                assert!(
                    Call::parse(*tool, arguments.clone()).is_ok(),
                    "{} {arguments:?}",
                    tool.as_str()
                );
            }
        }
    }

    #[test]
    fn every_action_of_update_skill_is_a_variant() {
        let schema = Value::Object((*ToolName::UpdateSkill.describe().input_schema).clone());
        let variants = variants(ToolName::UpdateSkill);
        let tried: Vec<&str> = variants
            .iter()
            .filter_map(|variant| variant["action"].as_str())
            .collect();
        let actions = schema["properties"]["action"].to_string();
        for action in &tried {
            assert!(actions.contains(&format!("\"{action}\"")), "{action}: {actions}");
        }
        let count = schema["properties"]["action"]["enum"]
            .as_array()
            .or_else(|| schema["properties"]["action"]["oneOf"].as_array())
            .map(Vec::len);
        assert_eq!(count, Some(tried.len()), "{actions}");
    }

    #[test]
    fn every_string_of_a_schema_can_be_replaced() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "string"}, "n": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "object", "required": ["p", "q"], "properties": {
                "p": {"type": "string"}, "q": {"enum": ["one", "two"]}}}},
        }});
        assert_eq!(
            string_arguments(&schema),
            [vec!["a"], vec!["list", "p"], vec!["list", "q"]]
        );
        let path = ["list".to_owned(), "p".to_owned()];
        assert_eq!(
            arguments_with(&schema, &Map::new(), &path, "T", &tenant()),
            json!({"a": "x", "list": [{"p": "T", "q": "one"}]})
        );
    }
}
