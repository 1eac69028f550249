//! Tool calls of a process on the caller's machine: those that install and check skills on its disk.

use std::path::PathBuf;

use rmcp::ErrorData;
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use rmcp::service::RequestContext;
use serde_json::{Map, Value};

use super::client_requests::ClientRequests;
use super::completion::{ERROR_CODE_META, error_result};
use super::request::ToolCall;
use crate::fetches::{ArchiveBytes, Download};
use crate::local_install::{
    LocalInstallError, LocalTools, ROOTS_TIMEOUT, RegistryClient, ToolAnswer, ToolCallError, root_folders,
};
use crate::tenancy::ApiKey;
use crate::tools::ToolName;

/// Identifies a tenant of the registry of this machine in markers and lock files.
#[must_use]
pub fn local_registry_id(key: &ApiKey) -> String {
    format!("local:{}", key.claimed_tenant())
}

/// The registry of this process, with the key of its client.
#[derive(Clone)]
struct OwnRegistry<'a> {
    client: &'a ClientRequests,
    context: &'a RequestContext<RoleServer>,
}

impl RegistryClient for OwnRegistry<'_> {
    fn id(&self) -> String {
        let key = self.client.api_key(self.context);
        key.map_or_else(|_| String::new(), |key| local_registry_id(&key))
    }

    async fn call(&self, tool: &str, arguments: Map<String, Value>) -> ToolAnswer {
        let call = ToolCall {
            name: tool.to_owned(),
            arguments: Some(arguments),
        };
        let result = self.client.execute_beside(call, self.context).await;
        structured(result.map_err(|error| ToolCallError::Failed(error.message.to_string()))?)
    }

    async fn download(&self, slug: &str, version: &str) -> Result<Vec<u8>, ToolCallError> {
        let download = Download {
            skill: slug.to_owned(),
            version: Some(version.to_owned()),
            known: Vec::new(),
        };
        let archive = self.client.download(download, self.context).await;
        let archive = archive.map_err(|error| ToolCallError::Failed(error.message.to_string()))?;
        match archive {
            Ok(archive) => match archive.bytes {
                ArchiveBytes::Zip(bytes) => Ok(bytes),
                ArchiveBytes::Known => Err(ToolCallError::Failed("the registry sent no files".to_owned())),
            },
            Err(refused) => Err(ToolCallError::Refused {
                code: refused.error_code.to_owned(),
                message: refused.message,
            }),
        }
    }
}

fn structured(result: CallToolResult) -> ToolAnswer {
    if result.is_error == Some(true) {
        let text = |block: &ContentBlock| block.as_text().map(|text| text.text.clone());
        let code = result.meta.as_ref().and_then(|meta| meta.get(ERROR_CODE_META));
        return Err(ToolCallError::Refused {
            code: code.and_then(Value::as_str).unwrap_or_default().to_owned(),
            message: result.content.iter().find_map(text).unwrap_or_default(),
        });
    }
    let missing = || ToolCallError::Failed("the registry sent no result".to_owned());
    result.structured_content.ok_or_else(missing)
}

/// Runs a tool call. Its files are written or read here if it is about the caller's disk.
///
/// # Errors
/// The call's own error, or that it could not be recorded.
pub(super) async fn call(
    client: &ClientRequests,
    tools: &LocalTools,
    call: ToolCall,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let registry = OwnRegistry { client, context };
    let arguments = call.arguments.clone().unwrap_or_default();
    let result = match ToolName::from_name(&call.name) {
        Some(ToolName::InstallSkill) => install(&registry, tools, call, arguments).await,
        Some(ToolName::CheckInstalled) => check(&registry, tools, call, arguments).await,
        Some(_) | None => client.execute(call, context).await,
    };
    if tools.is_check_due() {
        tools.check_withdrawn(&registry).await;
    }
    result.map(|mut result| {
        result.content.extend(tools.take_notice().map(ContentBlock::text));
        result
    })
}

async fn install(
    registry: &OwnRegistry<'_>,
    tools: &LocalTools,
    mut call: ToolCall,
    arguments: JsonObject,
) -> Result<CallToolResult, ErrorData> {
    let OwnRegistry { client, context } = registry;
    let tools = if tools.needs_project(&arguments) {
        tools.or_projects(roots(context).await)
    } else {
        tools.clone()
    };
    let Some(prepared) = tools.prepare_install(&arguments) else {
        return client.execute(call, context).await;
    };
    call.arguments = Some(prepared.arguments.clone());
    let result = client.execute(call, context).await?;
    match result.structured_content.clone() {
        Some(answer) if result.is_error != Some(true) => {
            Ok(answered(prepared.complete(registry, answer).await))
        }
        Some(_) | None => Ok(result),
    }
}

async fn check(
    registry: &OwnRegistry<'_>,
    tools: &LocalTools,
    mut call: ToolCall,
    arguments: JsonObject,
) -> Result<CallToolResult, ErrorData> {
    let OwnRegistry { client, context } = registry;
    let prepared = match tools.prepare_check(&registry.id(), &arguments).await {
        Ok(Some(prepared)) => prepared,
        Ok(None) => return client.execute(call, context).await,
        Err(error) => return Ok(answered(Err(error))),
    };
    call.arguments = Some(prepared.arguments.clone());
    let result = client.execute(call, context).await?;
    match result.structured_content.clone() {
        Some(answer) if result.is_error != Some(true) => {
            Ok(answered(prepared.complete(registry, answer).await))
        }
        Some(_) | None => Ok(result),
    }
}

fn answered(answer: Result<Value, LocalInstallError>) -> CallToolResult {
    match answer {
        Ok(answer) => CallToolResult::structured(answer),
        Err(error) => {
            tracing::warn!(
                code = error.code(),
                "a skill was not written or read on this machine"
            );
            error_result(
                crate::registry::usage::CallOutcome::ToolError,
                "local_install",
                format!("{error}."),
            )
        }
    }
}

/// The project folders that the client names. Empty if it names none: not every client can be asked.
#[expect(
    deprecated,
    reason = "clients of earlier protocol versions have no other way to name their folders"
)]
async fn roots(context: &RequestContext<RoleServer>) -> Vec<PathBuf> {
    let is_supported = context
        .peer
        .peer_info()
        .is_some_and(|info| info.capabilities.roots.is_some());
    if !is_supported {
        return Vec::new();
    }
    let asked = tokio::time::timeout(ROOTS_TIMEOUT, context.peer.list_roots()).await;
    let roots = match asked {
        Ok(Ok(answer)) => answer.roots,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the client did not name its project folders");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!("the client did not name its project folders in time");
            Vec::new()
        }
    };
    root_folders(roots.into_iter().map(|root| root.uri).collect()).await
}
