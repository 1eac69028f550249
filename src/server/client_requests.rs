//! The recorded requests of one client: with its key, and what its connection says of it.

use std::sync::Arc;

use rmcp::model::CallToolResult;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};

use super::client_connection::ClientConnection;
use super::credentials::CredentialSource;
use super::fetch::RefusedFetch;
use super::request::{InvalidParams, InvalidRequest, RecordedRequest, ToolCall};
use super::service::CallService;
use crate::fetches::{Archive, Download};
use crate::tenancy::ApiKey;

/// The service, and the source of the client's key.
#[derive(Clone)]
pub(super) struct ClientRequests {
    pub(super) service: Arc<CallService>,
    pub(super) credentials: CredentialSource,
}

impl ClientRequests {
    /// The key of a request's client.
    pub(super) fn api_key(&self, context: &RequestContext<RoleServer>) -> Result<ApiKey, ErrorData> {
        self.credentials.api_key(&context.extensions)
    }

    /// Runs a request for its caller and records it.
    ///
    /// # Errors
    /// The request's own error, or that it could not be recorded.
    pub(super) async fn execute<R: RecordedRequest>(
        &self,
        request: R,
        context: &RequestContext<RoleServer>,
    ) -> Result<R::Reply, ErrorData> {
        let key = self.api_key(context)?;
        let metadata = self.credentials.metadata(context);
        let client = ClientConnection::new(context);
        match InvalidParams::of(context) {
            None => self.service.execute(key, request, metadata, client).await,
            Some(invalid) => {
                let request = InvalidRequest { request, invalid };
                self.service.execute(key, request, metadata, client).await
            }
        }
    }

    /// Runs a tool call that belongs to another one of the same client.
    pub(super) async fn execute_beside(
        &self,
        call: ToolCall,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let key = self.api_key(context)?;
        let metadata = self.credentials.metadata(context);
        let client = ClientConnection::without_peer(None);
        self.service.execute(key, call, metadata, client).await
    }

    /// Downloads a version for the client.
    pub(super) async fn download(
        &self,
        download: Download,
        context: &RequestContext<RoleServer>,
    ) -> Result<Result<Archive, RefusedFetch>, ErrorData> {
        let key = self.api_key(context)?;
        let metadata = self.credentials.metadata(context);
        Ok(self.service.download(key, download, metadata, None).await)
    }
}
