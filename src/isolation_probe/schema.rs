//! Arguments made from a tool's own schema: something valid, with one text in it replaced.

use serde_json::{Map, Value, json};

use super::fixtures::{SHARED, TestTenant};

/// The places of a schema where a text goes, each as the names that lead there; lists are entered by their items.
pub(super) fn text_places(schema: &Value) -> Vec<Vec<String>> {
    let mut places = Vec::new();
    collect(schema, &mut Vec::new(), &mut places);
    places
}

fn collect(schema: &Value, way: &mut Vec<String>, places: &mut Vec<Vec<String>>) {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            for (name, property) in schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                way.push(name.clone());
                collect(property, way, places);
                way.pop();
            }
        }
        Some("array") => {
            if let Some(items) = schema.get("items") {
                collect(items, way, places);
            }
        }
        // A choice of words is a text too, and so is what has no type: whatever else it may be, a text can be sent.
        Some("string") | None => places.push(way.clone()),
        Some(_) => {}
    }
}

/// What the schema asks for, with `text` at this place. What is not required is left out unless it leads there.
pub(super) fn instance(schema: &Value, place: &[String], text: &str, party: &TestTenant) -> Value {
    fill(schema, "", Some((place, text)), party)
}

/// What the schema asks for and nothing more.
pub(super) fn minimal(schema: &Value, party: &TestTenant) -> Value {
    fill(schema, "", None, party)
}

fn fill(schema: &Value, name: &str, put: Option<(&[String], &str)>, party: &TestTenant) -> Value {
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
            for (name, property) in schema
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                let inside = put
                    .and_then(|(place, text)| Some((place.split_first()?, text)))
                    .filter(|((first, _), _)| *first == name)
                    .map(|((_, rest), text)| (rest, text));
                if inside.is_some() || required.contains(&name.as_str()) {
                    object.insert(name.clone(), fill(property, name, inside, party));
                }
            }
            Value::Object(object)
        }
        Some("array") => match schema.get("items") {
            Some(items) => json!([fill(items, name, put, party)]),
            None => json!([]),
        },
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(false),
        Some(_) | None => match put {
            Some((_, text)) => json!(text),
            None => json!(valid_text(schema, name, party)),
        },
    }
}

/// A text that is right where this party uses it: the first of a choice, or something of its own.
fn valid_text(schema: &Value, name: &str, party: &TestTenant) -> String {
    let choice = schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|words| words.first());
    let choice = choice.or_else(|| {
        let first = schema.get("oneOf").and_then(Value::as_array)?.first()?;
        first.get("const").or_else(|| first.get("enum")?.get(0))
    });
    if let Some(word) = choice.and_then(Value::as_str) {
        return word.to_owned();
    }
    match name {
        "skill" => SHARED.to_owned(),
        "install_id" => party.install.clone(),
        "path" | "file" => "SKILL.md".to_owned(),
        "digest" => party.digest.clone(),
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

    fn party() -> TestTenant {
        let tenant = TenantId::new();
        TestTenant {
            tenant,
            slug: "proof".to_owned(),
            key: ApiKey::generate(tenant, &mut rand::rng()),
            install: TenantId::new().to_string(),
            digest: format!("sha256:{}", "0".repeat(64)),
        }
    }

    #[test]
    fn what_is_made_from_a_tools_schema_is_what_the_tool_takes() {
        for tool in ToolName::ALL {
            let schema = Value::Object((*tool.describe().input_schema).clone());
            let arguments = minimal(&schema, &party());
            let arguments = arguments.as_object().cloned().unwrap();
            assert!(
                Call::parse(*tool, arguments.clone()).is_ok(),
                "{} {arguments:?}",
                tool.as_str()
            );
        }
    }

    #[test]
    fn every_text_of_a_schema_is_a_place() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "string"}, "n": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "object", "required": ["p", "q"], "properties": {
                "p": {"type": "string"}, "q": {"enum": ["one", "two"]}}}},
        }});
        assert_eq!(
            text_places(&schema),
            [vec!["a"], vec!["list", "p"], vec!["list", "q"]]
        );
        let place = ["list".to_owned(), "p".to_owned()];
        assert_eq!(
            instance(&schema, &place, "T", &party()),
            json!({"a": "x", "list": [{"p": "T", "q": "one"}]})
        );
    }
}
