//! What the routes of fetches share: the limits, the record of a refusal, and conditional answers.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::call_status::call_status;
use super::error_response::access_denied;
use super::head_validation::origin;
use super::held_body;
use crate::fetches::Fetch;
use crate::ids::Digest;
use crate::server::{CallService, RefusedCall, RefusedFetch, RequestMetadata};
use crate::tenancy::{ApiKey, Principal, ShareLimiter, ShareLimits};

/// For a version, which never changes. For an hour only, because it may be yanked, and private, because only this key may have it.
pub(super) const KEEP: HeaderValue = HeaderValue::from_static("private, max-age=3600, immutable");
/// For an answer that changes when something is published.
pub(super) const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Fetches at once. Clients fetch all skills of an index at the same time, and leave out those that are refused: further
/// fetches wait.
const TURNS: ShareLimits = ShareLimits {
    per_key: 4,
    per_tenant: 16,
    total: 64,
};
/// How long a fetch waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(20);

/// What the fetches of a process share.
pub(super) struct Fetches {
    service: Arc<CallService>,
    turns: ShareLimiter,
}

impl Fetches {
    pub(super) fn new(service: &Arc<CallService>) -> Arc<Self> {
        Arc::new(Self {
            service: Arc::clone(service),
            turns: ShareLimiter::new(TURNS),
        })
    }
}

/// Runs and records a fetch, and answers what `respond` makes of its output.
pub(super) async fn answer<F: Fetch>(
    fetches: &Fetches,
    parts: &Parts,
    fetch: F,
    respond: impl FnOnce(F::Output) -> Response,
) -> Response {
    let (Some(key), Some(principal)) = (
        parts.extensions.get::<ApiKey>(),
        parts.extensions.get::<Arc<Principal>>(),
    ) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let service = &fetches.service;
    let turn = fetches.turns.take_when_free(principal.tenant, key.hash(), 1);
    // Without a turn, the limits of calls decide.
    let _turn = tokio::time::timeout(TURN_WAIT, turn).await.ok();
    let source = origin(&parts.extensions).source;
    let guard = match service.access().admit(key, principal, &source).await {
        Ok(guard) => Arc::new(guard),
        Err(error) => {
            let call = || RefusedCall::fetch(F::NAME, &parts.headers);
            service.record_refused(&error, key, principal, call);
            return access_denied(&error);
        }
    };
    let metadata = RequestMetadata::of_http(&parts.headers);
    let fetched = service
        .fetch(key.clone(), fetch, metadata, Some(Arc::clone(&guard)))
        .await;
    let response = match fetched {
        Ok(output) => respond(output),
        Err(refused) => refusal(&refused),
    };
    held_body::hold(response, Some(guard))
}

fn refusal(refused: &RefusedFetch) -> Response {
    let body = json!({"error": {"code": refused.error_code, "message": refused.message}});
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let status = call_status(refused.outcome, Some(refused.error_code));
    (status, headers, body.to_string()).into_response()
}

/// Marks an answer with the digest of its content as a strong entity tag (RFC 9110, section 8.8.3).
pub(super) fn set_validators(headers: &mut HeaderMap, digest: Digest, cache_control: HeaderValue) {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, cache_control);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.append(header::VARY, HeaderValue::from_static("authorization, x-api-key"));
}

/// The digests in `If-None-Match` (RFC 9110, section 13.1.2). Tags of other servers are left out.
pub(super) fn known_digests(headers: &HeaderMap) -> Vec<Digest> {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|tag| {
            let tag = tag.trim();
            // The comparison is weak: caches that compress an answer mark its tag.
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_from_every_form_of_the_header() {
        let (first, second) = (Digest::of(b"1"), Digest::of(b"2"));
        let mut headers = HeaderMap::new();
        let value = format!("\"other\", W/\"{first}\" ,\"unclosed");
        headers.append(header::IF_NONE_MATCH, value.parse().unwrap());
        headers.append(header::IF_NONE_MATCH, format!("\"{second}\"").parse().unwrap());
        assert_eq!(known_digests(&headers), [first, second]);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert_eq!(known_digests(&headers), []);
    }
}
