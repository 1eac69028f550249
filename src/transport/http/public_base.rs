//! The address of the registry as a client sees it, for answers that must hold absolute URLs.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

use super::forwarded::{PathPrefix, forwarded_prefix};

/// The address of the root, without a slash at the end. The scheme is `https`, but `http` for the machine itself. `None` if the
/// request names no host.
pub(super) fn public_base(uri: &Uri, headers: &HeaderMap, prefix: &PathPrefix) -> Option<String> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let host = host.or_else(|| uri.authority().cloned())?;
    let name = host.host().trim_matches(['[', ']']);
    let is_loopback =
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let scheme = if is_loopback { "http" } else { "https" };
    let forwarded = forwarded_prefix(headers);
    let prefix = forwarded.as_ref().unwrap_or(prefix).as_str();
    Some(format!("{scheme}://{host}{prefix}"))
}
