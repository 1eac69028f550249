//! Builds tool arguments from a tool's input schema: valid values, with one string replaced.

use serde_json::{Map, Value, json};

use super::test_tenant::{SHARED_SKILL, TestTenant};

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

/// Returns valid arguments with `text` at `path`. Optional arguments are left out unless the path leads through them.
pub(super) fn arguments_with(schema: &Value, path: &[String], text: &str, tenant: &TestTenant) -> Value {
    fill(schema, "", Some((path, text)), tenant)
}

/// Returns valid arguments without the optional ones.
pub(super) fn minimal_arguments(schema: &Value, tenant: &TestTenant) -> Value {
    fill(schema, "", None, tenant)
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
                if inner.is_some() || required.contains(&name.as_str()) {
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
        _ => "x".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;
    use crate::tenancy::ApiKey;
    use crate::tools::{Call, ToolName};

    fn tenant() -> TestTenant {
        let tenant = TenantId::new();
        TestTenant {
            tenant,
            slug: "probe".to_owned(),
            key: ApiKey::generate(tenant, &mut rand::rng()),
            install: TenantId::new().to_string(),
            digest: format!("sha256:{}", "0".repeat(64)),
        }
    }

    #[test]
    fn minimal_arguments_are_accepted_by_each_tool() {
        for tool in ToolName::ALL {
            let schema = Value::Object((*tool.describe().input_schema).clone());
            let arguments = minimal_arguments(&schema, &tenant());
            let arguments = arguments.as_object().cloned().unwrap();
            assert!(
                Call::parse(*tool, arguments.clone()).is_ok(),
                "{} {arguments:?}",
                tool.as_str()
            );
        }
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
            arguments_with(&schema, &path, "T", &tenant()),
            json!({"a": "x", "list": [{"p": "T", "q": "one"}]})
        );
    }
}
