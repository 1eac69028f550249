//! Checks the head of each request, in this order: `Host` and `Origin`, then the API key. Between them, preflight requests are
//! answered.
//!
//! `Host` and `Origin` are checked on every path, since rmcp checks only its own: a web page must not reach a local server
//! under a name of its own (DNS rebinding), nor a page of another origin call it from a browser.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::connections::OpenConnection;
use super::error_response::{access_denied, json_rpc_error, unauthorized};
use crate::access::{AccessControl, Origin};
use crate::tenancy::{ApiKey, Principal};

/// The hosts and origins that requests may name.
#[derive(Clone)]
pub(super) struct AllowedNames {
    pub(super) hosts: Arc<[String]>,
    pub(super) origins: Arc<[String]>,
    /// Logs refused requests.
    pub(super) access: Arc<AccessControl>,
}

/// The client's address, as far as it is known. Behind a trusted proxy, the address that the proxy saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientAddress(pub(super) IpAddr);

/// The origin of a request, for the throttle and the audit log.
pub(in crate::transport) fn origin(extensions: &Extensions) -> Origin {
    let address = extensions.get().map(|ClientAddress(address)| *address);
    Origin {
        address,
        source: address.map_or_else(|| "http".to_owned(), |address| format!("http {address}")),
    }
}

/// Answers 403 to a `Host` or `Origin` that is not allowed, 400 to a `Host` that is missing or ambiguous.
pub(super) async fn validate_names(
    State(allowed): State<AllowedNames>,
    request: Request,
    next: Next,
) -> Response {
    match allowed.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let address = origin(request.extensions()).address;
            allowed
                .access
                .denials()
                .log_refusal(address, "Host or Origin not allowed");
            *refusal
        }
    }
}

/// Answers 401 to an invalid key (RFC 6750), 429 to an address that sent too many of them. Other requests get an [`ApiKey`] and
/// an `Arc<Principal>` in their extensions.
pub(super) async fn validate_key(
    State(access): State<Arc<AccessControl>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(text) = sent_key(request.headers()) else {
        let message = "This registry needs an API key: send \"Authorization: Bearer skeep_…\".";
        return unauthorized(None, message);
    };
    let key: ApiKey = match text.parse() {
        Ok(key) => key,
        Err(error) => {
            return unauthorized(
                Some("invalid_token"),
                &format!("The API key is invalid: {error}."),
            );
        }
    };
    let origin = origin(request.extensions());
    let principal = match access.check_key(&key, origin).await {
        Ok(principal) => principal,
        Err(error) => return access_denied(&error),
    };
    insert_caller(&mut request, key, principal);
    next.run(request).await
}

/// Puts the caller of a request into its extensions.
pub(super) fn insert_caller(request: &mut Request, key: ApiKey, principal: Arc<Principal>) {
    // Removed, because a handle that outlives the connection would keep its place.
    if let Some(connection) = request.extensions_mut().remove::<OpenConnection>() {
        connection.authenticated(principal.api_key);
    }
    request.extensions_mut().insert(key);
    request.extensions_mut().insert(principal);
    // Not needed any more, and a removed header cannot be logged.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove("x-api-key");
}

impl AllowedNames {
    fn check(&self, request: &Request) -> Result<(), Box<Response>> {
        let host = named_host(request).map_err(|message| refuse(StatusCode::BAD_REQUEST, message))?;
        if !self.hosts.iter().any(|allowed| same_host(allowed, &host)) {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "Host header not allowed. The operator can add it with --allow-host.",
            ));
        }
        if !self.allows_origin(request.headers()) {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "Origin header not allowed. The operator can add it with --allow-origin.",
            ));
        }
        Ok(())
    }

    /// A request without `Origin` does not come from a web page.
    fn allows_origin(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::ORIGIN).iter().all(|value| {
            value
                .to_str()
                .is_ok_and(|origin| self.origins.iter().any(|allowed| same_origin(allowed, origin)))
        })
    }
}

/// The host that the request is for: of the one `Host` header, else of the target.
fn named_host(request: &Request) -> Result<Authority, &'static str> {
    // RFC 9112, section 3.2. Servers and proxies that choose different ones could be played off against each other.
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return Err("The request has more than one Host header.");
    }
    let of_header = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<Authority>().ok());
    let host = of_header
        .or_else(|| request.uri().authority().cloned())
        .ok_or("The request has no Host header.")?;
    let has_user = |authority: &Authority| authority.as_str().contains('@');
    if has_user(&host) || request.uri().authority().is_some_and(has_user) {
        return Err("The host must not have a user name or password.");
    }
    Ok(host)
}

fn refuse(status: StatusCode, message: &str) -> Box<Response> {
    let mut response = json_rpc_error(status, -32_600, message);
    // A cache must not keep it for the pages of other origins.
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("origin"));
    Box::new(response)
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

/// Compares `scheme://host:port`. `:*` allows every port; without a port, the scheme's default (RFC 6454, section 4).
pub(super) fn same_origin(allowed: &str, origin: &str) -> bool {
    let parts = |text: &str| {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => "443",
            "http" => "80",
            _ => "",
        };
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            Some(_) | None => (rest, default_port),
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

/// The key of `Authorization: Bearer` or of `X-API-Key`. If both are present and differ, the request has no key. Another
/// scheme, such as a reverse proxy's `Basic`, is not for this server.
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .filter_map(|value| value.to_str().map(bearer).transpose())
        .map(Result::ok)
        .chain(
            headers
                .get_all("x-api-key")
                .iter()
                .map(|value| value.to_str().ok()),
        );
    let first = sent.next()??.trim();
    sent.all(|other| other.map(str::trim) == Some(first))
        .then_some(first)
}

/// The scheme's name is not case-sensitive (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn key_is_read_from_either_header() {
        assert_eq!(sent_key(&headers(&[("authorization", "Bearer k")])), Some("k"));
        assert_eq!(sent_key(&headers(&[("authorization", "bearer k")])), Some("k"));
        assert_eq!(sent_key(&headers(&[("x-api-key", "k")])), Some("k"));
        assert_eq!(
            sent_key(&headers(&[("x-api-key", "k"), ("authorization", "Bearer k")])),
            Some("k")
        );
    }

    #[test]
    fn key_is_read_beside_another_authorization_scheme() {
        for scheme in ["Basic dXNlcjpwdw==", "Negotiate", "Basic"] {
            let beside = [("authorization", scheme), ("x-api-key", " k ")];
            assert_eq!(sent_key(&headers(&beside)), Some("k"), "{scheme}");
        }
        let not_text = HeaderValue::from_bytes(b"Bearer \xff").unwrap();
        let mut unreadable = headers(&[("x-api-key", "k")]);
        unreadable.insert(header::AUTHORIZATION, not_text);
        assert_eq!(sent_key(&unreadable), None);
    }

    #[test]
    fn differing_keys_count_as_no_key() {
        assert_eq!(
            sent_key(&headers(&[("x-api-key", "a"), ("authorization", "Bearer b")])),
            None
        );
        assert_eq!(
            sent_key(&headers(&[
                ("authorization", "Basic a"),
                ("authorization", "Bearer b"),
                ("x-api-key", "c")
            ])),
            None
        );
        assert_eq!(sent_key(&headers(&[("authorization", "Basic a")])), None);
        assert_eq!(sent_key(&HeaderMap::new()), None);
    }

    #[test]
    fn hosts_are_compared_by_name_and_given_port() {
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
    fn origins_are_compared_by_scheme_host_and_port() {
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
