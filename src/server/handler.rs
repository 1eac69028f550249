//! The protocol's side of the server: hands every `tools/call`, well formed or not, to the door.
//!
//! Written by hand rather than with rmcp's router macros: `call_tool` alone is not a complete choke point (a malformed
//! call arrives at `on_custom_request`), and the macros would pull every tool up to this floor.

use std::sync::Arc;

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, Extensions,
    Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::door::{Door, Gone, Request};
use super::record::{Envelope, Transport, trace_id};
use crate::tenancy::ApiKey;
use crate::tools::ToolName;

const INSTRUCTIONS: &str = "This is your organisation's private registry of skills: tested instructions for tasks. Before a task that somebody may \
     have solved before, call search_skills with the task in plain words. Read a promising skill with get_skill (file \
     SKILL.md) and follow it, or put it on disk with install_skill and confirm_install. Afterwards tell with record_usage \
     whether it helped.";

/// How long a client may keep the list of tools, in milliseconds. Short: it depends on the key's scopes.
const LIST_TTL_MS: u64 = 60_000;

/// Where a call's key comes from.
#[derive(Clone)]
pub enum KeySource {
    /// One for the whole connection, over stdio.
    Stdio(ApiKey),
    /// One for the whole session, over HTTP+SSE.
    Sse(ApiKey),
    /// Each HTTP request brings its own; the transport has put it into the request's extensions.
    Request,
}

impl KeySource {
    const fn transport(&self) -> Transport {
        match self {
            Self::Stdio(_) => Transport::Stdio,
            Self::Sse(_) => Transport::Sse,
            Self::Request => Transport::Http,
        }
    }
}

/// One connection to the registry. Cheap to clone; it holds nothing of any tenant.
#[derive(Clone)]
pub struct Registry {
    door: Arc<Door>,
    key: KeySource,
}

impl Registry {
    /// A handler whose calls go through this door.
    #[must_use]
    pub const fn new(door: Arc<Door>, key: KeySource) -> Self {
        Self { door, key }
    }

    fn key(&self, extensions: &Extensions) -> Result<ApiKey, ErrorData> {
        match &self.key {
            KeySource::Stdio(key) | KeySource::Sse(key) => Ok(key.clone()),
            KeySource::Request => extensions
                .get::<http::request::Parts>()
                .and_then(|parts| parts.extensions.get::<ApiKey>())
                .cloned()
                .ok_or_else(|| ErrorData::invalid_request("The request carries no API key.", None)),
        }
    }

    fn envelope(&self, context: &RequestContext<RoleServer>) -> Envelope {
        let parts = context.extensions.get::<http::request::Parts>();
        let header = |name: &str| {
            parts
                .and_then(|parts| parts.headers.get(name))
                .and_then(|value| value.to_str().ok())
        };
        let declared = match &self.key {
            KeySource::Stdio(_) | KeySource::Sse(_) => context.client_info(),
            // Without a session, rmcp would answer with its own name for clients of the older revisions.
            KeySource::Request => context.meta.client_info(),
        };
        let (client_name, client_version) = match declared {
            Some(client) => (Some(client.name), Some(client.version)),
            None => split_user_agent(header("user-agent")),
        };
        let protocol_version = match &self.key {
            KeySource::Stdio(_) | KeySource::Sse(_) => {
                context.protocol_version().map(|version| version.to_string())
            }
            KeySource::Request => context
                .meta
                .protocol_version()
                .map(|version| version.to_string())
                .or_else(|| header("mcp-protocol-version").map(str::to_owned)),
        };
        Envelope {
            transport: self.key.transport(),
            protocol_version,
            client_name,
            client_version,
            request_id: Some(context.id.to_string()),
            trace_id: context
                .meta
                .0
                .get_traceparent()
                .or_else(|| header("traceparent"))
                .and_then(trace_id),
        }
    }

    async fn through_the_door(
        &self,
        request: Request,
        context: &RequestContext<RoleServer>,
    ) -> Result<rmcp::model::CallToolResult, ErrorData> {
        let key = self.key(&context.extensions)?;
        let peer = context.peer.clone();
        let gone = Gone {
            cancelled: context.ct.clone(),
            connection_closed: Box::new(move || peer.is_transport_closed()),
        };
        self.door.call(key, request, self.envelope(context), gone).await
    }
}

/// `name/version (comment)` into its first two parts.
fn split_user_agent(user_agent: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(first) = user_agent.and_then(|text| text.split_whitespace().next()) else {
        return (None, None);
    };
    match first.split_once('/') {
        Some((name, version)) => (Some(name.to_owned()), Some(version.to_owned())),
        None => (Some(first.to_owned()), None),
    }
}

impl ServerHandler for Registry {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(
                Implementation::new("skillkeep", env!("CARGO_PKG_VERSION")).with_title("skillkeep"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let request = Request::Tool {
            name: request.name.into_owned(),
            arguments: request.arguments,
        };
        self.through_the_door(request, &context)
            .await
            .map(CallToolResponse::from)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method == "tools/call" {
            return match self.through_the_door(Request::Malformed, &context).await {
                Err(error) => Err(error),
                Ok(_) => Err(ErrorData::invalid_params("This tools/call is malformed.", None)),
            };
        }
        Err(ErrorData::new(
            rmcp::model::ErrorCode::METHOD_NOT_FOUND,
            format!(
                "Method not found: {}",
                super::record::recordable(&request.method, 128)
            ),
            None,
        ))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let principal = self.door.principal(&self.key(&context.extensions)?).await?;
        let tools = ToolName::ALL
            .iter()
            .filter(|tool| tool.allowed_for(&principal))
            .map(|tool| tool.describe())
            .collect();
        Ok(ListToolsResult::with_all_items(tools)
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        ToolName::from_name(name).map(ToolName::describe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_split_into_name_and_version() {
        let split = |text| {
            let (name, version) = split_user_agent(Some(text));
            (name.unwrap_or_default(), version.unwrap_or_default())
        };
        assert_eq!(
            split("python-httpx/0.28.1"),
            ("python-httpx".to_owned(), "0.28.1".to_owned())
        );
        assert_eq!(split("node"), ("node".to_owned(), String::new()));
        assert_eq!(split_user_agent(Some("")), (None, None));
    }
}
