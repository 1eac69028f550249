//! The tools of a registry with their arguments, for people.

use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

use crate::cli::output;
use crate::config::Config;
use crate::error::CliError;

pub(super) fn print(config: &Config, tools: &[Tool]) -> Result<(), CliError> {
    if config.json {
        return output::json(&tools);
    }
    let texts: Vec<String> = tools.iter().map(describe).collect();
    output::line(&texts.join("\n\n"))
}

/// The tool's name and description, and one line for each argument.
fn describe(tool: &Tool) -> String {
    let description = tool.description.as_deref().unwrap_or_default();
    let mut lines = vec![format!("{}: {}", tool.name, one_line(description))];
    let properties = tool.input_schema.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        let required = if is_required(&tool.input_schema, name) {
            ", required"
        } else {
            ""
        };
        let text = schema
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        lines.push(format!(
            "  {name} ({}{required}): {}",
            type_name(schema),
            one_line(text)
        ));
    }
    lines.join("\n")
}

fn is_required(schema: &JsonObject, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required
        .into_iter()
        .flatten()
        .any(|required| required.as_str() == Some(name))
}

/// The JSON type, or the permitted values of an enumeration.
fn type_name(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return values.join(" or ");
    }
    match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            names
                .into_iter()
                .filter(|name| *name != "null")
                .collect::<Vec<_>>()
                .join(" or ")
        }
        Some(_) | None => "JSON".to_owned(),
    }
}

/// Descriptions come from a server, so control characters must not reach the terminal.
fn one_line(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tool_is_described_with_its_arguments() {
        let schema = json!({
            "properties": {
                "query": {"type": "string", "description": "The search\n text."},
                "limit": {"type": ["integer", "null"]},
                "mode": {"enum": ["a", "b"]},
                "any": {},
            },
            "required": ["query"],
        });
        let schema = schema.as_object().unwrap().clone();
        let tool = Tool::new(
            "search_skills",
            "Finds \u{1b}[1m skills.",
            std::sync::Arc::new(schema),
        );
        assert_eq!(
            describe(&tool),
            "search_skills: Finds [1m skills.\n  any (JSON): \n  limit (integer): \n  mode (\"a\" or \"b\"): \n  \
             query (string, required): The search text."
        );
    }
}
