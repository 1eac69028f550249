//! Who calls, as far as a connection can tell: his key, and what is recorded of his program.

use rmcp::model::Extensions;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};

use super::event_metadata::{RequestMetadata, TransportKind, trace_id};
use crate::tenancy::ApiKey;

/// Where a call's key comes from.
#[derive(Clone)]
pub enum CredentialSource {
    /// One for the whole connection, over stdio.
    Stdio(ApiKey),
    /// One for the whole session, over HTTP+SSE.
    Sse(ApiKey),
    /// Each HTTP request brings its own; the transport has put it into the request's extensions.
    Request,
}

impl CredentialSource {
    pub(super) const fn transport(&self) -> TransportKind {
        match self {
            Self::Stdio(_) => TransportKind::Stdio,
            Self::Sse(_) => TransportKind::Sse,
            Self::Request => TransportKind::Http,
        }
    }

    /// Whether the server can send what was not asked for: the connection lasts longer than a request.
    pub(super) const fn has_connection(&self) -> bool {
        match self {
            Self::Stdio(_) | Self::Sse(_) => true,
            Self::Request => false,
        }
    }

    pub(super) fn key(&self, extensions: &Extensions) -> Result<ApiKey, ErrorData> {
        match self {
            Self::Stdio(key) | Self::Sse(key) => Ok(key.clone()),
            Self::Request => extensions
                .get::<http::request::Parts>()
                .and_then(|parts| parts.extensions.get::<ApiKey>())
                .cloned()
                .ok_or_else(|| ErrorData::invalid_request("The request carries no API key.", None)),
        }
    }

    pub(super) fn envelope(&self, context: &RequestContext<RoleServer>) -> RequestMetadata {
        let parts = context.extensions.get::<http::request::Parts>();
        let header = |name: &str| {
            parts
                .and_then(|parts| parts.headers.get(name))
                .and_then(|value| value.to_str().ok())
        };
        let declared = match self {
            Self::Stdio(_) | Self::Sse(_) => context.client_info(),
            // Without a session, rmcp would answer with its own name for clients of the older revisions.
            Self::Request => context.meta.client_info(),
        };
        let (client_name, client_version) = match declared {
            Some(client) => (Some(client.name), Some(client.version)),
            None => split_user_agent(header("user-agent")),
        };
        let protocol_version = match self {
            Self::Stdio(_) | Self::Sse(_) => context.protocol_version().map(|version| version.to_string()),
            Self::Request => context
                .meta
                .protocol_version()
                .map(|version| version.to_string())
                .or_else(|| header("mcp-protocol-version").map(str::to_owned)),
        };
        RequestMetadata {
            transport: self.transport(),
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
