//! Cross-origin requests of web pages whose origin is allowed (Fetch standard, section 3.3).
//!
//! The layer is inside the check of `Origin`, so other origins get 403 without any of these headers, and outside the check of the
//! API key, which a preflight request never has.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::head_validation::same_origin;

/// How long a browser may keep the answer to a preflight request.
const PREFLIGHT_TTL: Duration = Duration::from_secs(600);

/// Allows these origins. Cookies are not allowed: a page must send the API key itself.
pub(super) fn layer(origins: Arc<[String]>) -> CorsLayer {
    let is_allowed = move |origin: &axum::http::HeaderValue, _: &axum::http::request::Parts| {
        origin
            .to_str()
            .is_ok_and(|origin| origins.iter().any(|allowed| same_origin(allowed, origin)))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        // DELETE ends a session, which clients try, so that they can read the status 405.
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        // The protocol has headers whose names depend on the tool (`Mcp-Param-*`), and tracing adds its own.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            HeaderName::from_static("mcp-session-id"),
            HeaderName::from_static("mcp-protocol-version"),
            header::WWW_AUTHENTICATE,
            header::RETRY_AFTER,
            header::ALLOW,
        ])
        .max_age(PREFLIGHT_TTL)
}
