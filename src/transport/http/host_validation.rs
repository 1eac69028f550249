//! The same check of `Host` and `Origin` for every path: a web page must not reach a local server by a name of its own
//! (DNS rebinding), nor a foreign page call it from a browser. rmcp guards its own service only.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error_response::json_rpc_error;

/// Who may call, by the names that requests carry.
#[derive(Clone)]
pub(super) struct HostValidation {
    pub(super) hosts: Arc<[String]>,
    pub(super) origins: Arc<[String]>,
}

/// Answers 403 to a `Host` or an `Origin` that is not allowed.
pub(super) async fn check(State(gate): State<HostValidation>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .or_else(|| request.uri().authority().cloned());
    let Some(host) = host else {
        return refuse(StatusCode::BAD_REQUEST, "The request names no host.");
    };
    if !gate.hosts.iter().any(|allowed| same_host(allowed, &host)) {
        return refuse(
            StatusCode::FORBIDDEN,
            "This server is not called that. Its operator allows names with --allow-host.",
        );
    }
    if !gate.allows_origin(request.headers()) {
        return refuse(
            StatusCode::FORBIDDEN,
            "Pages of this origin may not call the server. Its operator allows origins with --allow-origin.",
        );
    }
    next.run(request).await
}

fn refuse(status: StatusCode, words: &str) -> Response {
    tracing::warn!(status = status.as_u16(), "a request's Host or Origin was refused");
    json_rpc_error(status, -32_600, words)
}

impl HostValidation {
    /// Requests without an `Origin` do not come from a page.
    fn allows_origin(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::ORIGIN).iter().all(|value| {
            value
                .to_str()
                .is_ok_and(|origin| self.origins.iter().any(|allowed| same_origin(allowed, origin)))
        })
    }
}

/// A host without a port is allowed on every port.
fn same_host(allowed: &str, host: &Authority) -> bool {
    let name = |text: &str| text.trim_matches(['[', ']']).to_ascii_lowercase();
    match allowed.parse::<Authority>() {
        Ok(with_port) if with_port.port_u16().is_some() => {
            name(with_port.host()) == name(host.host()) && with_port.port_u16() == host.port_u16()
        }
        Ok(_) | Err(_) => name(allowed) == name(host.host()),
    }
}

/// `scheme://host` with its port, `:*` for every port; without one, the scheme's own (RFC 6454, section 4).
fn same_origin(allowed: &str, origin: &str) -> bool {
    let parts = |text: &str| {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let own_port = match scheme.as_str() {
            "https" => "443",
            "http" => "80",
            _ => "",
        };
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            Some(_) | None => (rest, own_port),
        };
        Some((scheme, host.to_ascii_lowercase(), port.to_owned()))
    };
    match (parts(allowed), parts(origin)) {
        (Some((scheme, host, port)), Some(sent)) => {
            scheme == sent.0 && host == sent.1 && (port == "*" || port == sent.2)
        }
        (Some(_) | None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_by_name_and_where_one_is_given_by_port() {
        let host = |text: &str| text.parse::<Authority>().unwrap();
        assert!(same_host("localhost", &host("LOCALHOST:8787")));
        assert!(same_host("::1", &host("[::1]:8787")));
        assert!(same_host(
            "skills.example.com:443",
            &host("skills.example.com:443")
        ));
        assert!(!same_host(
            "skills.example.com:443",
            &host("skills.example.com:444")
        ));
        assert!(!same_host("localhost", &host("localhost.evil.example")));
        assert!(!same_host("localhost", &host("evil.example")));
    }

    #[test]
    fn origins_are_compared_whole() {
        assert!(same_origin("http://localhost:*", "http://localhost:3000"));
        assert!(same_origin("http://[::1]:*", "http://[::1]:3000"));
        assert!(same_origin(
            "https://tools.example.com",
            "https://tools.example.com"
        ));
        assert!(same_origin(
            "https://tools.example.com",
            "https://tools.example.com:443"
        ));
        for other in [
            "https://tools.example.com:8443",
            "http://tools.example.com",
            "https://tools.example.com.evil.example",
            "null",
            "",
        ] {
            assert!(!same_origin("https://tools.example.com", other), "{other}");
        }
    }
}
