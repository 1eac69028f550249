//! Prompts of VS Code: values that it asks the user for once and keeps in the system's secret store.

use serde_json::Value;

use crate::config_value::ConfigValue;

/// The top-level field of VS Code's file that lists the prompts.
pub(crate) const PROMPTS: &str = "inputs";

/// A prompt for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prompt {
    /// Unique in the file, for example `my-server-api-key`.
    pub id: &'static str,
    /// Shown to the user, for example `The API key of my server`.
    pub description: &'static str,
}

impl Prompt {
    /// The text that refers to the secret in an entry.
    pub(crate) fn reference(self) -> String {
        format!("${{input:{}}}", self.id)
    }

    pub(crate) fn definition(self) -> ConfigValue {
        ConfigValue::map([
            ("type", ConfigValue::text("promptString")),
            ("id", ConfigValue::text(self.id)),
            ("description", ConfigValue::text(self.description)),
            ("password", ConfigValue::Bool(true)),
        ])
    }

    /// Whether this element of the list of prompts defines the prompt.
    pub(crate) fn is_defined_by(self, element: &Value) -> bool {
        element.get("id").and_then(Value::as_str) == Some(self.id)
    }
}
