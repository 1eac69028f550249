//! Tool calls that install and check skills on the disk of the bridge's machine: the registry answers, and the bridge writes or reads
//! the files and completes the answer.

use serde_json::{Map, Value, json};

use super::message::{Message, RequestId};
use super::remote::Remote;
use crate::local_install::{
    LocalInstallError, LocalTools, PreparedCheck, PreparedInstall, RegistryClient as _,
};

/// A tool call that the bridge completes, and the message for the registry in its place.
pub(super) struct LocalCall {
    pub(super) message: Message,
    prepared: Prepared,
}

enum Prepared {
    Install(PreparedInstall),
    Check(PreparedCheck),
}

/// Whether the message is an install into a project, and no folder of one is allowed.
pub(super) fn needs_project(tools: &LocalTools, message: &Message) -> bool {
    if message.method != "tools/call" || message.name.as_deref() != Some("install_skill") {
        return false;
    }
    let request = serde_json::from_slice::<Value>(&message.text).unwrap_or_default();
    match request.pointer("/params/arguments") {
        Some(Value::Object(arguments)) => tools.needs_project(arguments),
        Some(_) | None => false,
    }
}

/// Prepares a call whose files the bridge writes or reads; `None` for every other message.
///
/// # Errors
/// The response for the client, if its disk cannot be read.
pub(super) async fn prepare(
    remote: &Remote,
    tools: &LocalTools,
    message: &Message,
    id: &RequestId,
) -> Result<Option<LocalCall>, Vec<u8>> {
    if message.method != "tools/call" {
        return Ok(None);
    }
    let Ok(mut request) = serde_json::from_slice::<Value>(&message.text) else {
        return Ok(None);
    };
    let name = request.pointer("/params/name").and_then(Value::as_str);
    let arguments = match request.pointer("/params/arguments") {
        Some(Value::Object(arguments)) => arguments.clone(),
        None => Map::new(),
        Some(_) => return Ok(None),
    };
    let (arguments, prepared) = match name {
        Some("install_skill") => match tools.prepare_install(&arguments) {
            Some(prepared) => (prepared.arguments.clone(), Prepared::Install(prepared)),
            None => return Ok(None),
        },
        Some("check_installed") => match tools.prepare_check(&remote.id(), &arguments).await {
            Ok(Some(prepared)) => (prepared.arguments.clone(), Prepared::Check(prepared)),
            Ok(None) => return Ok(None),
            Err(error) => return Err(failed(id, &error)),
        },
        Some(_) | None => return Ok(None),
    };
    if let Some(params) = request.get_mut("params").and_then(Value::as_object_mut) {
        params.insert("arguments".to_owned(), arguments.into());
    }
    let message = Message::parse(request.to_string().into_bytes()).ok();
    Ok(message.map(|message| LocalCall { message, prepared }))
}

impl Prepared {
    async fn complete(self, remote: &Remote, answer: Value) -> Result<Value, LocalInstallError> {
        match self {
            Self::Install(install) => install.complete(remote, answer).await,
            Self::Check(check) => check.complete(remote, answer).await,
        }
    }
}

impl LocalCall {
    /// Completes the registry's response. An error of the registry is returned as it is.
    pub(super) async fn complete(self, remote: &Remote, id: &RequestId, response: Vec<u8>) -> Vec<u8> {
        let Ok(mut parsed) = serde_json::from_slice::<Value>(&response) else {
            return response;
        };
        let is_error = parsed.pointer("/result/isError") == Some(&Value::Bool(true));
        let answer = parsed.pointer("/result/structuredContent").cloned();
        let Some(answer) = answer.filter(|_| !is_error) else {
            return response;
        };
        match self.prepared.complete(remote, answer).await {
            Ok(answer) => {
                if let Some(result) = parsed.get_mut("result").and_then(Value::as_object_mut) {
                    result.insert(
                        "content".to_owned(),
                        json!([{"type": "text", "text": answer.to_string()}]),
                    );
                    result.insert("structuredContent".to_owned(), answer);
                }
                parsed.to_string().into_bytes()
            }
            Err(error) => {
                if let Some(result) = parsed.get_mut("result").and_then(Value::as_object_mut) {
                    tracing::warn!(
                        code = error.code(),
                        "a skill was not written or read on this machine"
                    );
                    result.extend(tool_error(&error));
                    result.remove("structuredContent");
                    return parsed.to_string().into_bytes();
                }
                failed(id, &error)
            }
        }
    }
}

/// The fields of a tool result that is an error.
fn tool_error(error: &LocalInstallError) -> Map<String, Value> {
    let fields = json!({
        "isError": true,
        "content": [{"type": "text", "text": format!("{error}.")}],
        "_meta": {"skillkeep/error_code": "local_install", "skillkeep/outcome": "tool_error"},
    });
    match fields {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn failed(id: &RequestId, error: &LocalInstallError) -> Vec<u8> {
    tracing::warn!(
        code = error.code(),
        "a skill was not written or read on this machine"
    );
    json!({"jsonrpc": "2.0", "id": id.value(), "result": tool_error(error)})
        .to_string()
        .into_bytes()
}

/// Adds a text to the result of a tool call; other responses stay as they are.
pub(super) fn with_notice(response: Vec<u8>, notice: &str) -> Vec<u8> {
    let Ok(mut parsed) = serde_json::from_slice::<Value>(&response) else {
        return response;
    };
    match parsed
        .pointer_mut("/result/content")
        .and_then(Value::as_array_mut)
    {
        Some(content) => content.push(json!({"type": "text", "text": notice})),
        None => return response,
    }
    parsed.to_string().into_bytes()
}
