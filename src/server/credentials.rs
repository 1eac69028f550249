//! The API key of a request, and what its connection says about the client.

use rmcp::model::Extensions;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};

use super::event_metadata::{RequestMetadata, TransportKind, trace_id};
use crate::tenancy::ApiKey;

/// The source of the API key of each request.
#[derive(Clone)]
pub enum CredentialSource {
    /// One key for the whole connection, over stdio.
    Stdio(ApiKey),
    /// One key for the whole session, over HTTP+SSE.
    Sse(ApiKey),
    /// Each HTTP request has its own, in its extensions.
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

    /// Whether the server can send notifications between requests.
    pub(super) const fn has_connection(&self) -> bool {
        match self {
            Self::Stdio(_) | Self::Sse(_) => true,
            Self::Request => false,
        }
    }

    pub(super) fn api_key(&self, extensions: &Extensions) -> Result<ApiKey, ErrorData> {
        match self {
            Self::Stdio(key) | Self::Sse(key) => Ok(key.clone()),
            Self::Request => extensions
                .get::<http::request::Parts>()
                .and_then(|parts| parts.extensions.get::<ApiKey>())
                .cloned()
                .ok_or_else(|| ErrorData::invalid_request("The request carries no API key.", None)),
        }
    }

    pub(super) fn metadata(&self, context: &RequestContext<RoleServer>) -> RequestMetadata {
        let parts = context.extensions.get::<http::request::Parts>();
        let header = |name: &str| {
            parts
                .and_then(|parts| parts.headers.get(name))
                .and_then(|value| value.to_str().ok())
        };
        let declared = match self {
            Self::Stdio(_) | Self::Sse(_) => context.client_info(),
            // Without a session, rmcp returns its own name for clients of protocol versions before 2026-07-28.
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

impl RequestMetadata {
    /// Of a request over HTTP that is not a message of the protocol.
    #[must_use]
    pub fn of_http(headers: &http::HeaderMap) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (client_name, client_version) = split_user_agent(header("user-agent"));
        Self {
            transport: TransportKind::Http,
            protocol_version: None,
            client_name,
            client_version,
            request_id: None,
            trace_id: header("traceparent").and_then(trace_id),
        }
    }
}

/// Name and version of a `User-Agent` (RFC 9110, section 10.1.5): `name/version (comment)`.
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
    fn user_agent_is_split_into_name_and_version() {
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
