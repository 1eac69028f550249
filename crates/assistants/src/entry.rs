//! What is written into a client's file: one entry in that client's own words.

use serde_json::{Map, Value};

use super::assistant::Assistant;

/// The variable that holds the key.
pub const KEY: &str = "SKILLKEEP_API_KEY";
/// The variable that holds the address of the database.
pub const DATABASE: &str = "DATABASE_URL";

/// Fields that say how a server is reached; one that is left over from another way would contradict the new entry.
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

/// A value in the order in which it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigValue {
    Null,
    Flag(bool),
    Number(String),
    Text(String),
    List(Vec<ConfigValue>),
    Map(Vec<(String, ConfigValue)>),
}

impl ConfigValue {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn list(texts: &[String]) -> Self {
        Self::List(texts.iter().map(Self::text).collect())
    }

    fn map(fields: Vec<(&str, Self)>) -> Self {
        Self::Map(
            fields
                .into_iter()
                .map(|(name, node)| (name.to_owned(), node))
                .collect(),
        )
    }

    /// The same for comparing and for printing.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Number(digits) => serde_json::from_str(digits).unwrap_or(Value::Null),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(nodes) => Value::Array(nodes.iter().map(Self::to_json).collect()),
            Self::Map(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, node)| (name.clone(), node.to_json()))
                    .collect(),
            ),
        }
    }

    fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Flag(*flag),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::String(text) => Self::text(text),
            Value::Array(values) => Self::List(values.iter().map(Self::from_json).collect()),
            Value::Object(fields) => Self::Map(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::from_json(value)))
                    .collect(),
            ),
        }
    }
}

/// A value that VS Code asks its user for, once, and keeps in the system's store of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    pub id: &'static str,
    pub description: &'static str,
}

impl Input {
    const KEY: Self = Self {
        id: "skillkeep-api-key",
        description: "The API key of skillkeep",
    };
    const DATABASE: Self = Self {
        id: "skillkeep-database-url",
        description: "The address of skillkeep's database",
    };
    /// All that an entry may need.
    pub const ALL: [Self; 2] = [Self::KEY, Self::DATABASE];

    /// How an entry names it.
    pub fn reference(self) -> String {
        format!("${{input:{}}}", self.id)
    }

    /// Its definition in the file.
    pub fn node(self) -> ConfigValue {
        ConfigValue::map(vec![
            ("type", ConfigValue::text("promptString")),
            ("id", ConfigValue::text(self.id)),
            ("description", ConfigValue::text(self.description)),
            ("password", ConfigValue::Flag(true)),
        ])
    }
}

/// A secret that the server needs.
#[derive(Clone)]
pub struct Variable {
    pub name: &'static str,
    /// The secret itself, for a client whose file cannot name the variable.
    pub text: Option<String>,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How the client is to reach the registry.
#[derive(Debug)]
pub enum Endpoint {
    Program {
        command: String,
        arguments: Vec<String>,
        secrets: Vec<Variable>,
    },
    Http(String),
    Sse(String),
}

/// One entry, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub node: ConfigValue,
    pub inputs: Vec<Input>,
}

impl Entry {
    /// The entry for this client.
    pub fn new(client: Assistant, reach: &Endpoint) -> Self {
        let node = match reach {
            Endpoint::Program {
                command,
                arguments,
                secrets,
            } => program(client, command, arguments, secrets),
            Endpoint::Http(url) => remote(client, url, false),
            Endpoint::Sse(url) => remote(client, url, true),
        };
        let written = node.to_json().to_string();
        let inputs = Input::ALL
            .into_iter()
            .filter(|input| written.contains(&input.reference()));
        Self {
            inputs: inputs.collect(),
            node,
        }
    }

    /// Whether the client has it already; what a client or its user added to it does not count.
    pub fn is(&self, there: &Value) -> bool {
        let (Value::Object(ours), Value::Object(there)) = (self.node.to_json(), there) else {
            return false;
        };
        let left_over = |(name, value): (&String, &Value)| {
            CONNECTION_FIELDS.contains(&name.as_str()) && !ours.contains_key(name) && !is_nothing(value)
        };
        ours.iter().all(|(name, value)| there.get(name) == Some(value)) && !there.iter().any(left_over)
    }

    /// The entry with the settings that its user made beside it, such as a time-out.
    pub fn keeping(self, there: Option<&Value>) -> Self {
        let (ConfigValue::Map(mut fields), Some(Value::Object(there))) = (self.node.clone(), there) else {
            return self;
        };
        for (name, value) in there {
            if !CONNECTION_FIELDS.contains(&name.as_str()) && !fields.iter().any(|(ours, _)| ours == name) {
                fields.push((name.clone(), ConfigValue::from_json(value)));
            }
        }
        Self {
            node: ConfigValue::Map(fields),
            inputs: self.inputs,
        }
    }

    /// The entry for the eyes of people: without the secrets that it may hold.
    pub fn shown(&self, secrets: &[Variable]) -> Self {
        Self {
            node: hide(&self.node, secrets),
            inputs: self.inputs.clone(),
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn hide(node: &ConfigValue, secrets: &[Variable]) -> ConfigValue {
    match node {
        ConfigValue::Text(text) if secrets.iter().any(|secret| secret.text.as_ref() == Some(text)) => {
            ConfigValue::text("(hidden)")
        }
        ConfigValue::Map(fields) => ConfigValue::Map(
            fields
                .iter()
                .map(|(name, node)| (name.clone(), hide(node, secrets)))
                .collect(),
        ),
        ConfigValue::Null
        | ConfigValue::Flag(_)
        | ConfigValue::Number(_)
        | ConfigValue::Text(_)
        | ConfigValue::List(_) => node.clone(),
    }
}

/// How this client's file names a variable of the environment.
fn reference(client: Assistant, variable: &Variable) -> String {
    let name = variable.name;
    match client {
        Assistant::ClaudeCode | Assistant::Goose => format!("${{{name}}}"),
        Assistant::Cursor => format!("${{env:{name}}}"),
        Assistant::Vscode if name == DATABASE => Input::DATABASE.reference(),
        Assistant::Vscode => Input::KEY.reference(),
        Assistant::Gemini => format!("${name}"),
        // Codex has fields of its own for this; Claude Desktop has nothing.
        Assistant::Codex | Assistant::ClaudeDesktop => variable.text.clone().unwrap_or_default(),
    }
}

fn program(client: Assistant, command: &str, arguments: &[String], secrets: &[Variable]) -> ConfigValue {
    let names: Vec<String> = secrets.iter().map(|secret| secret.name.to_owned()).collect();
    let environment = || {
        ConfigValue::map(
            secrets
                .iter()
                .map(|secret| (secret.name, ConfigValue::text(reference(client, secret))))
                .collect(),
        )
    };
    let mut fields = Vec::new();
    match client {
        Assistant::ClaudeCode | Assistant::Cursor | Assistant::Vscode => {
            fields.push(("type", ConfigValue::text("stdio")))
        }
        Assistant::ClaudeDesktop | Assistant::Codex | Assistant::Gemini => {}
        Assistant::Goose => {
            return goose(
                "stdio",
                vec![
                    ("cmd", ConfigValue::text(command)),
                    ("args", ConfigValue::list(arguments)),
                ],
                &names,
            );
        }
    }
    fields.push(("command", ConfigValue::text(command)));
    fields.push(("args", ConfigValue::list(arguments)));
    if client == Assistant::Codex {
        fields.push(("env_vars", ConfigValue::list(&names)));
    } else {
        fields.push(("env", environment()));
    }
    ConfigValue::map(fields)
}

fn remote(client: Assistant, url: &str, sse: bool) -> ConfigValue {
    let key = Variable {
        name: KEY,
        text: None,
    };
    let headers = ConfigValue::map(vec![(
        "Authorization",
        ConfigValue::text(format!("Bearer {}", reference(client, &key))),
    )]);
    let url = ConfigValue::text(url);
    match client {
        Assistant::ClaudeCode | Assistant::Vscode => {
            let way = if sse { "sse" } else { "http" };
            ConfigValue::map(vec![
                ("type", ConfigValue::text(way)),
                ("url", url),
                ("headers", headers),
            ])
        }
        Assistant::Cursor | Assistant::ClaudeDesktop => {
            ConfigValue::map(vec![("url", url), ("headers", headers)])
        }
        Assistant::Codex => ConfigValue::map(vec![
            ("url", url),
            ("bearer_token_env_var", ConfigValue::text(KEY)),
        ]),
        Assistant::Gemini => {
            let field = if sse { "url" } else { "httpUrl" };
            ConfigValue::map(vec![(field, url), ("headers", headers)])
        }
        Assistant::Goose => goose(
            "streamable_http",
            vec![("uri", url), ("headers", headers)],
            &[KEY.to_owned()],
        ),
    }
}

fn goose(way: &str, reach: Vec<(&str, ConfigValue)>, variables: &[String]) -> ConfigValue {
    let mut fields = vec![
        ("enabled", ConfigValue::Flag(true)),
        ("type", ConfigValue::text(way)),
        ("name", ConfigValue::text("skillkeep")),
        (
            "description",
            ConfigValue::text("Find, install and rate this company's skills"),
        ),
    ];
    fields.extend(reach);
    fields.extend([
        ("envs", ConfigValue::Map(Vec::new())),
        ("env_keys", ConfigValue::list(variables)),
        ("timeout", ConfigValue::Number("300".to_owned())),
    ]);
    ConfigValue::map(fields)
}

/// The servers of a file, as its client reads them.
pub fn servers<'a>(document: &'a Value, section: &str) -> Option<&'a Map<String, Value>> {
    document.get(section).and_then(Value::as_object)
}
