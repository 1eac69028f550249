//! The MCP handler: turns each protocol request into a request of the call service.
//!
//! Written by hand rather than with rmcp's router macros: `call_tool` alone does not see every call (a malformed one
//! arrives at `on_custom_request`), and the macros would make the handler depend on every tool.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest,
    CustomResult, DiscoverResult, GetPromptRequestParams, GetPromptResponse, GetSkillRequestParams,
    GetSkillResult, Implementation, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListSkillsResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceDirectoryRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::client_connection::ClientConnection;
use super::client_requests::ClientRequests;
use super::credentials::CredentialSource;
use super::local_calls;
use super::methods;
use super::notifications::{self, ResourceSubscriptions};
use super::request::{InvalidParams, MalformedRequest, ReadRequest, RecordedRequest, ToolCall, malformed};
use super::service::CallService;
use crate::local_install::LocalTools;
use crate::mcp_methods::{
    Complete, DirectoryRead, LIST_TTL_MS, Method, PromptsGet, PromptsList, ResourcesList, ResourcesRead,
    SkillsGet, SkillsList, ToolsList, resource_templates,
};
use crate::tools::ToolName;

const INSTRUCTIONS: &str = "This is your organisation's private registry of skills: tested instructions for tasks. Before a task that somebody may \
     have solved before, call search_skills with the task in plain words. Read a promising skill with get_skill (file \
     SKILL.md) and follow it, or put it on disk with install_skill. Afterwards report with record_usage \
     whether it helped.\n\
     Use the tools for all of this. Prompts are for a person who picks a skill from a menu. Resources and the Skills extension \
     give programs the same files by URI, with digests. whoami says what this key may not do; imports, keys and users are \
     managed by an administrator with the command line, not here.";

/// The handler of one connection, or of one HTTP request. Cheap to clone; holds no tenant data.
#[derive(Clone)]
pub struct McpHandler {
    requests: ClientRequests,
    subscribed: ResourceSubscriptions,
    /// Set if this process runs on the caller's machine.
    local: Option<LocalTools>,
}

impl McpHandler {
    /// A handler that runs its requests with this service.
    #[must_use]
    pub fn new(service: Arc<CallService>, credentials: CredentialSource) -> Self {
        Self {
            requests: ClientRequests { service, credentials },
            subscribed: ResourceSubscriptions::default(),
            local: None,
        }
    }

    /// The same for a process on the caller's machine: it installs skills to disk.
    #[must_use]
    pub fn with_local_tools(mut self, tools: LocalTools) -> Self {
        self.local = Some(tools);
        self
    }

    /// Runs a request for its caller and records it.
    ///
    /// # Errors
    /// The request's own error, or that it could not be recorded.
    pub async fn execute<R: RecordedRequest>(
        &self,
        request: R,
        context: &RequestContext<RoleServer>,
    ) -> Result<R::Reply, ErrorData> {
        self.requests.execute(request, context).await
    }

    async fn execute_unrecorded<M: Method>(
        &self,
        method: M,
        context: &RequestContext<RoleServer>,
    ) -> Result<M::Reply, ErrorData> {
        let key = self.requests.credentials.api_key(&context.extensions)?;
        let transport = self.requests.credentials.transport();
        if let Some(InvalidParams(message)) = InvalidParams::of(context) {
            return Err(self
                .requests
                .service
                .reject_malformed(&key, transport, message)
                .await);
        }
        let client = ClientConnection::new(context);
        self.requests
            .service
            .execute_unrecorded(&key, method, transport, &client)
            .await
    }
}

fn cursor(request: Option<PaginatedRequestParams>) -> Option<String> {
    request.and_then(|request| request.cursor)
}

impl ServerHandler for McpHandler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_completions()
            .enable_skills_with_directory_read()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new("skillkeep", env!("CARGO_PKG_VERSION")).with_title("skillkeep"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let mut info = self.negotiate_initialize(&request)?;
        context.peer.set_peer_info(request);
        if !self.requests.credentials.has_connection() {
            // Before 2026-07-28, notifications need a connection, which single HTTP requests do not have.
            if let Some(resources) = &mut info.capabilities.resources {
                resources.subscribe = None;
                resources.list_changed = None;
            }
            if let Some(prompts) = &mut info.capabilities.prompts {
                prompts.list_changed = None;
            }
        }
        Ok(info)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        if self.requests.credentials.has_connection()
            && let Ok(key) = self.requests.credentials.api_key(&context.extensions)
        {
            let changes = notifications::forward_changes(
                self.requests.service.subscriptions().clone(),
                key,
                context.peer,
                self.subscribed.clone(),
            );
            tokio::spawn(changes);
        }
    }

    async fn discover(&self, _context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        // The answer is the same for all keys, but a shared cache must not hold answers of this server.
        Ok(DiscoverResult::from_server_info(versions, self.get_info()).with_ttl_ms(LIST_TTL_MS))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = ToolCall {
            name: request.name.into_owned(),
            arguments: request.arguments,
        };
        let result = match &self.local {
            Some(tools) => local_calls::call(&self.requests, tools, call, &context).await,
            None => self.execute(call, &context).await,
        };
        result.map(CallToolResponse::from)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if let Some(method) = methods::RECORDED
            .into_iter()
            .find(|method| *method == request.method)
        {
            return match self.execute(MalformedRequest { method }, &context).await {
                Err(error) => Err(error),
                Ok(never) => match never {},
            };
        }
        let is_same = |method: &&str| *method == request.method;
        if let Some(method) = methods::UNRECORDED.into_iter().find(is_same) {
            let key = self.requests.credentials.api_key(&context.extensions)?;
            let transport = self.requests.credentials.transport();
            let message = malformed(method);
            return Err(self
                .requests
                .service
                .reject_malformed(&key, transport, message)
                .await);
        }
        if methods::is_known(&request.method, &context) {
            return Err(ErrorData::invalid_params(malformed(&request.method), None));
        }
        let method = super::event_metadata::recordable(&request.method, 128);
        Err(ErrorData::new(
            rmcp::model::ErrorCode::METHOD_NOT_FOUND,
            format!("Method not found: {method}"),
            None,
        ))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let cursor = cursor(request);
        self.execute_unrecorded(ToolsList { cursor }, &context).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        ToolName::from_name(name).map(ToolName::describe)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = cursor(request);
        self.execute_unrecorded(ResourcesList { cursor }, &context).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        match cursor(request) {
            None => Ok(resource_templates()),
            Some(_) => Err(ErrorData::invalid_params(
                "Invalid cursor: this list has one page.",
                None,
            )),
        }
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = ResourcesRead { uri: request.uri };
        self.execute(ReadRequest(read), &context)
            .await
            .map(ReadResourceResponse::from)
    }

    async fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let read = DirectoryRead {
            uri: request.uri,
            cursor: request.cursor,
        };
        self.execute(ReadRequest(read), &context).await
    }

    async fn list_skills(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListSkillsResult, ErrorData> {
        let cursor = cursor(request);
        self.execute_unrecorded(SkillsList { cursor }, &context).await
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetSkillResult, ErrorData> {
        let get = SkillsGet { uri: request.uri };
        self.execute(ReadRequest(get), &context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let cursor = cursor(request);
        self.execute_unrecorded(PromptsList { cursor }, &context).await
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let get = PromptsGet::new(request.name, request.arguments);
        self.execute(ReadRequest(get), &context)
            .await
            .map(GetPromptResponse::from)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.execute_unrecorded(Complete(request), &context).await
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(notifications::accepted(requested))
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let key = self
            .requests
            .credentials
            .api_key(&subscription.request_context().extensions)?;
        notifications::listen(self.requests.service.subscriptions(), key, subscription).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if self.requests.credentials.has_connection() {
            return self.subscribed.add(request.uri);
        }
        Err(ErrorData::new(
            rmcp::model::ErrorCode::METHOD_NOT_FOUND,
            "Subscriptions over HTTP need a connection: use subscriptions/listen of protocol version 2026-07-28, or HTTP+SSE.",
            None,
        ))
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscribed.remove(&request.uri);
        Ok(())
    }
}
