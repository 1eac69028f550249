//! The MCP methods that the server knows.

use rmcp::RoleServer;
use rmcp::model::ProtocolVersion;
use rmcp::service::RequestContext;

/// Requests that are recorded, even when their parameters do not have the protocol's form.
pub(super) const RECORDED: [&str; 5] = [
    "tools/call",
    "resources/read",
    "resources/directory/read",
    "skills/get",
    "prompts/get",
];

/// Requests that read the registry with the caller's key and leave no record.
pub(super) const UNRECORDED: [&str; 5] = [
    "tools/list",
    "resources/list",
    "prompts/list",
    "skills/list",
    "completion/complete",
];

/// Answered without reading the registry.
const STATIC: [&str; 1] = ["resources/templates/list"];

/// Methods of the protocol versions before 2026-07-28 alone, and of that version alone.
pub(super) const ONLY_LEGACY: [&str; 4] = [
    "initialize",
    "ping",
    "resources/subscribe",
    "resources/unsubscribe",
];
pub(super) const ONLY_CURRENT: [&str; 2] = ["server/discover", "subscriptions/listen"];

/// Every method that the server knows, of all protocol versions.
#[must_use]
pub fn all() -> Vec<&'static str> {
    [&RECORDED[..], &UNRECORDED, &STATIC, &ONLY_LEGACY, &ONLY_CURRENT].concat()
}

/// Whether a request of this method is a call: every answer to it leaves a usage event, and it counts against the limits of calls,
/// over every transport.
#[must_use]
pub fn is_recorded(method: &str) -> bool {
    RECORDED.contains(&method)
}

/// Whether a request of this method needs a database connection: calls, lists and completions.
#[must_use]
pub fn reads_registry(method: &str) -> bool {
    RECORDED.contains(&method) || UNRECORDED.contains(&method)
}

/// Whether this request's protocol version has the method. rmcp reports malformed requests as unknown methods.
pub(super) fn is_known(method: &str, context: &RequestContext<RoleServer>) -> bool {
    let is_current = context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    let of_version: &[&str] = if is_current { &ONLY_CURRENT } else { &ONLY_LEGACY };
    STATIC.contains(&method) || of_version.contains(&method)
}
