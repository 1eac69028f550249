//! The entry of one MCP server in an assistant's configuration file.

use serde_json::{Map, Value};

use crate::assistant::Assistant;
use crate::config_value::ConfigValue;
use crate::prompt::Prompt;

/// Fields that say how to reach a server. An old one left in a new entry could contradict it.
const CONNECTION_FIELDS: [&str; 16] = [
    "type",
    "command",
    "args",
    "env",
    "cwd",
    "url",
    "httpUrl",
    "headers",
    "cmd",
    "uri",
    "envs",
    "env_keys",
    "env_vars",
    "bearer_token_env_var",
    "http_headers",
    "env_http_headers",
];

/// Replaces a secret when an entry is printed.
const HIDDEN: &str = "(hidden)";

/// How long Goose waits for an answer, in seconds.
const GOOSE_TIMEOUT: &str = "300";

/// A secret that the server, or the assistant on its behalf, reads from an environment variable.
#[derive(Clone)]
pub struct SecretVariable {
    /// The name of the variable, for example `MY_API_KEY`.
    pub name: &'static str,
    /// How VS Code asks the user for the secret.
    pub prompt: Prompt,
    /// The secret itself. Only written for an assistant without [`Assistant::supports_secret_references`].
    pub value: Option<String>,
}

impl std::fmt::Debug for SecretVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretVariable")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How the assistant reaches the server.
#[derive(Debug)]
pub enum Endpoint {
    Program {
        command: String,
        arguments: Vec<String>,
        secrets: Vec<SecretVariable>,
    },
    /// Streamable HTTP with a bearer token.
    Http { url: String, token: SecretVariable },
    /// HTTP+SSE with a bearer token.
    Sse { url: String, token: SecretVariable },
}

impl Endpoint {
    /// The secrets that an entry for this endpoint refers to or contains.
    pub fn secrets(&self) -> &[SecretVariable] {
        match self {
            Self::Program { secrets, .. } => secrets,
            Self::Http { token, .. } | Self::Sse { token, .. } => std::slice::from_ref(token),
        }
    }
}

/// An MCP server to be entered.
#[derive(Debug)]
pub struct Server {
    /// Shown by Goose, for example `my-server`.
    pub name: &'static str,
    /// One line, shown by Goose.
    pub description: &'static str,
    pub endpoint: Endpoint,
}

/// The entry of one server for one assistant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: ConfigValue,
    /// The prompts that the entry refers to (VS Code only).
    pub prompts: Vec<Prompt>,
}

impl Entry {
    pub fn new(assistant: Assistant, server: &Server) -> Self {
        let value = match &server.endpoint {
            Endpoint::Program {
                command,
                arguments,
                secrets,
            } => match assistant {
                Assistant::Goose => goose_program(server, command, arguments, secrets),
                Assistant::ClaudeCode
                | Assistant::ClaudeDesktop
                | Assistant::Cursor
                | Assistant::Vscode
                | Assistant::Codex
                | Assistant::Gemini => program(assistant, command, arguments, secrets),
            },
            Endpoint::Http { url, token } => remote(assistant, server, url, token, false),
            Endpoint::Sse { url, token } => remote(assistant, server, url, token, true),
        };
        let written = value.to_json().to_string();
        let prompts = server.endpoint.secrets().iter().map(|secret| secret.prompt);
        Self {
            prompts: prompts
                .filter(|prompt| written.contains(&prompt.reference()))
                .collect(),
            value,
        }
    }

    /// Whether `existing` connects to the same server. Other settings that the user made there do not matter.
    pub fn matches(&self, existing: &Value) -> bool {
        let (Value::Object(fields), Value::Object(existing)) = (self.value.to_json(), existing) else {
            return false;
        };
        let is_left_over = |(name, value): (&String, &Value)| {
            CONNECTION_FIELDS.contains(&name.as_str()) && !fields.contains_key(name) && !is_empty(value)
        };
        fields
            .iter()
            .all(|(name, value)| existing.get(name) == Some(value))
            && !existing.iter().any(is_left_over)
    }

    /// Adds the user's other settings of `existing`, such as a time-out.
    #[must_use]
    pub fn with_settings_of(self, existing: Option<&Value>) -> Self {
        let (ConfigValue::Map(mut fields), Some(Value::Object(existing))) = (self.value.clone(), existing)
        else {
            return self;
        };
        for (name, value) in existing {
            let is_new = !fields.iter().any(|(own, _)| own == name);
            if is_new && !CONNECTION_FIELDS.contains(&name.as_str()) {
                fields.push((name.clone(), ConfigValue::from_json(value)));
            }
        }
        Self {
            value: ConfigValue::Map(fields),
            prompts: self.prompts,
        }
    }

    /// Replaces each of these secrets by `(hidden)`.
    #[must_use]
    pub fn redacted(&self, secrets: &[SecretVariable]) -> Self {
        Self {
            value: redact(&self.value, secrets),
            prompts: self.prompts.clone(),
        }
    }
}

/// The servers of a parsed configuration file by name.
pub fn servers<'a>(document: &'a Value, section: &str) -> Option<&'a Map<String, Value>> {
    document.get(section).and_then(Value::as_object)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn redact(value: &ConfigValue, secrets: &[SecretVariable]) -> ConfigValue {
    match value {
        ConfigValue::Text(text) if secrets.iter().any(|secret| secret.value.as_ref() == Some(text)) => {
            ConfigValue::text(HIDDEN)
        }
        ConfigValue::Map(fields) => ConfigValue::Map(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), redact(value, secrets)))
                .collect(),
        ),
        ConfigValue::Null
        | ConfigValue::Bool(_)
        | ConfigValue::Number(_)
        | ConfigValue::Text(_)
        | ConfigValue::List(_) => value.clone(),
    }
}

/// How the assistant's file refers to the secret, or the secret itself.
fn reference(assistant: Assistant, secret: &SecretVariable) -> String {
    let name = secret.name;
    match assistant {
        Assistant::ClaudeCode | Assistant::Goose => format!("${{{name}}}"),
        Assistant::Cursor => format!("${{env:{name}}}"),
        Assistant::Vscode => secret.prompt.reference(),
        Assistant::Gemini => format!("${name}"),
        // Codex names variables in fields of their own and never gets here; Claude Desktop has no references.
        Assistant::Codex | Assistant::ClaudeDesktop => secret.value.clone().unwrap_or_default(),
    }
}

fn names(secrets: &[SecretVariable]) -> ConfigValue {
    ConfigValue::List(
        secrets
            .iter()
            .map(|secret| ConfigValue::text(secret.name))
            .collect(),
    )
}

fn program(
    assistant: Assistant,
    command: &str,
    arguments: &[String],
    secrets: &[SecretVariable],
) -> ConfigValue {
    let has_type = matches!(
        assistant,
        Assistant::ClaudeCode | Assistant::Cursor | Assistant::Vscode
    );
    let environment = if assistant == Assistant::Codex {
        ("env_vars", names(secrets))
    } else {
        let variables = secrets.iter().map(|secret| {
            (
                secret.name.to_owned(),
                ConfigValue::text(reference(assistant, secret)),
            )
        });
        ("env", ConfigValue::Map(variables.collect()))
    };
    let fields = [
        ("command", ConfigValue::text(command)),
        ("args", ConfigValue::list(arguments)),
        environment,
    ];
    let kind = has_type.then(|| ("type", ConfigValue::text("stdio")));
    let fields = kind.into_iter().chain(fields);
    ConfigValue::Map(fields.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn remote(
    assistant: Assistant,
    server: &Server,
    url: &str,
    token: &SecretVariable,
    is_sse: bool,
) -> ConfigValue {
    let authorization = format!("Bearer {}", reference(assistant, token));
    let headers = ConfigValue::map([("Authorization", ConfigValue::Text(authorization))]);
    let url = ConfigValue::text(url);
    match assistant {
        Assistant::ClaudeCode | Assistant::Vscode => {
            let kind = if is_sse { "sse" } else { "http" };
            ConfigValue::map([
                ("type", ConfigValue::text(kind)),
                ("url", url),
                ("headers", headers),
            ])
        }
        Assistant::Cursor | Assistant::ClaudeDesktop => {
            ConfigValue::map([("url", url), ("headers", headers)])
        }
        Assistant::Codex => ConfigValue::map([
            ("url", url),
            ("bearer_token_env_var", ConfigValue::text(token.name)),
        ]),
        Assistant::Gemini => {
            let field = if is_sse { "url" } else { "httpUrl" };
            ConfigValue::map([(field, url), ("headers", headers)])
        }
        Assistant::Goose => goose(
            server,
            "streamable_http",
            [("uri", url), ("headers", headers)],
            std::slice::from_ref(token),
        ),
    }
}

fn goose_program(
    server: &Server,
    command: &str,
    arguments: &[String],
    secrets: &[SecretVariable],
) -> ConfigValue {
    let connection = [
        ("cmd", ConfigValue::text(command)),
        ("args", ConfigValue::list(arguments)),
    ];
    goose(server, "stdio", connection, secrets)
}

fn goose(
    server: &Server,
    kind: &str,
    [first, second]: [(&str, ConfigValue); 2],
    secrets: &[SecretVariable],
) -> ConfigValue {
    ConfigValue::map([
        ("enabled", ConfigValue::Bool(true)),
        ("type", ConfigValue::text(kind)),
        ("name", ConfigValue::text(server.name)),
        ("description", ConfigValue::text(server.description)),
        first,
        second,
        ("envs", ConfigValue::Map(Vec::new())),
        ("env_keys", names(secrets)),
        ("timeout", ConfigValue::Number(GOOSE_TIMEOUT.to_owned())),
    ])
}
