//! What is written into a client's file: one entry in that client's own words.

use serde_json::{Map, Value};

use super::client::Client;

/// The variable that holds the key.
pub(super) const KEY: &str = "SKILLKEEP_API_KEY";
/// The variable that holds the address of the database.
pub(super) const DATABASE: &str = "DATABASE_URL";

/// Fields that say how a server is reached; one that is left over from another way would contradict the new entry.
const WAYS: [&str; 16] = [
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
pub(super) enum Node {
    Null,
    Flag(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
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
    pub(super) fn to_json(&self) -> Value {
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
pub(super) struct Input {
    pub(super) id: &'static str,
    pub(super) description: &'static str,
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
    pub(super) const ALL: [Self; 2] = [Self::KEY, Self::DATABASE];

    /// How an entry names it.
    pub(super) fn reference(self) -> String {
        format!("${{input:{}}}", self.id)
    }

    /// Its definition in the file.
    pub(super) fn node(self) -> Node {
        Node::map(vec![
            ("type", Node::text("promptString")),
            ("id", Node::text(self.id)),
            ("description", Node::text(self.description)),
            ("password", Node::Flag(true)),
        ])
    }
}

/// A secret that the server needs.
#[derive(Clone)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// The secret itself, for a client whose file cannot name the variable.
    pub(super) text: Option<String>,
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
pub(super) enum Reach {
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
pub(super) struct Entry {
    pub(super) node: Node,
    pub(super) inputs: Vec<Input>,
}

impl Entry {
    /// The entry for this client.
    pub(super) fn new(client: Client, reach: &Reach) -> Self {
        let node = match reach {
            Reach::Program {
                command,
                arguments,
                secrets,
            } => program(client, command, arguments, secrets),
            Reach::Http(url) => remote(client, url, false),
            Reach::Sse(url) => remote(client, url, true),
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
    pub(super) fn is(&self, there: &Value) -> bool {
        let (Value::Object(ours), Value::Object(there)) = (self.node.to_json(), there) else {
            return false;
        };
        let left_over = |(name, value): (&String, &Value)| {
            WAYS.contains(&name.as_str()) && !ours.contains_key(name) && !is_nothing(value)
        };
        ours.iter().all(|(name, value)| there.get(name) == Some(value)) && !there.iter().any(left_over)
    }

    /// The entry with the settings that its user made beside it, such as a time-out.
    pub(super) fn keeping(self, there: Option<&Value>) -> Self {
        let (Node::Map(mut fields), Some(Value::Object(there))) = (self.node.clone(), there) else {
            return self;
        };
        for (name, value) in there {
            if !WAYS.contains(&name.as_str()) && !fields.iter().any(|(ours, _)| ours == name) {
                fields.push((name.clone(), Node::from_json(value)));
            }
        }
        Self {
            node: Node::Map(fields),
            inputs: self.inputs,
        }
    }

    /// The entry for the eyes of people: without the secrets that it may hold.
    pub(super) fn shown(&self, secrets: &[Variable]) -> Self {
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

fn hide(node: &Node, secrets: &[Variable]) -> Node {
    match node {
        Node::Text(text) if secrets.iter().any(|secret| secret.text.as_ref() == Some(text)) => {
            Node::text("(hidden)")
        }
        Node::Map(fields) => Node::Map(
            fields
                .iter()
                .map(|(name, node)| (name.clone(), hide(node, secrets)))
                .collect(),
        ),
        Node::Null | Node::Flag(_) | Node::Number(_) | Node::Text(_) | Node::List(_) => node.clone(),
    }
}

/// How this client's file names a variable of the environment.
fn reference(client: Client, variable: &Variable) -> String {
    let name = variable.name;
    match client {
        Client::ClaudeCode | Client::Goose => format!("${{{name}}}"),
        Client::Cursor => format!("${{env:{name}}}"),
        Client::Vscode if name == DATABASE => Input::DATABASE.reference(),
        Client::Vscode => Input::KEY.reference(),
        Client::Gemini => format!("${name}"),
        // Codex has fields of its own for this; Claude Desktop has nothing.
        Client::Codex | Client::ClaudeDesktop => variable.text.clone().unwrap_or_default(),
    }
}

fn program(client: Client, command: &str, arguments: &[String], secrets: &[Variable]) -> Node {
    let names: Vec<String> = secrets.iter().map(|secret| secret.name.to_owned()).collect();
    let environment = || {
        Node::map(
            secrets
                .iter()
                .map(|secret| (secret.name, Node::text(reference(client, secret))))
                .collect(),
        )
    };
    let mut fields = Vec::new();
    match client {
        Client::ClaudeCode | Client::Cursor | Client::Vscode => fields.push(("type", Node::text("stdio"))),
        Client::ClaudeDesktop | Client::Codex | Client::Gemini => {}
        Client::Goose => {
            return goose(
                "stdio",
                vec![("cmd", Node::text(command)), ("args", Node::list(arguments))],
                &names,
            );
        }
    }
    fields.push(("command", Node::text(command)));
    fields.push(("args", Node::list(arguments)));
    if client == Client::Codex {
        fields.push(("env_vars", Node::list(&names)));
    } else {
        fields.push(("env", environment()));
    }
    Node::map(fields)
}

fn remote(client: Client, url: &str, sse: bool) -> Node {
    let key = Variable {
        name: KEY,
        text: None,
    };
    let headers = Node::map(vec![(
        "Authorization",
        Node::text(format!("Bearer {}", reference(client, &key))),
    )]);
    let url = Node::text(url);
    match client {
        Client::ClaudeCode | Client::Vscode => {
            let way = if sse { "sse" } else { "http" };
            Node::map(vec![
                ("type", Node::text(way)),
                ("url", url),
                ("headers", headers),
            ])
        }
        Client::Cursor | Client::ClaudeDesktop => Node::map(vec![("url", url), ("headers", headers)]),
        Client::Codex => Node::map(vec![("url", url), ("bearer_token_env_var", Node::text(KEY))]),
        Client::Gemini => {
            let field = if sse { "url" } else { "httpUrl" };
            Node::map(vec![(field, url), ("headers", headers)])
        }
        Client::Goose => goose(
            "streamable_http",
            vec![("uri", url), ("headers", headers)],
            &[KEY.to_owned()],
        ),
    }
}

fn goose(way: &str, reach: Vec<(&str, Node)>, variables: &[String]) -> Node {
    let mut fields = vec![
        ("enabled", Node::Flag(true)),
        ("type", Node::text(way)),
        ("name", Node::text("skillkeep")),
        (
            "description",
            Node::text("Find, install and rate this company's skills"),
        ),
    ];
    fields.extend(reach);
    fields.extend([
        ("envs", Node::Map(Vec::new())),
        ("env_keys", Node::list(variables)),
        ("timeout", Node::Number("300".to_owned())),
    ]);
    Node::map(fields)
}

/// The servers of a file, as its client reads them.
pub(super) fn servers<'a>(document: &'a Value, section: &str) -> Option<&'a Map<String, Value>> {
    document.get(section).and_then(Value::as_object)
}
