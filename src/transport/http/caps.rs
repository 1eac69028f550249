//! Keeps one tenant's calls from taking what belongs to all.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt as _;

use super::answer::try_later;
use super::auth;
use super::key_check::KeyCheck;
use super::screen::LastsLong;
use crate::server::{Denial, Reason};
use crate::tenancy::{ApiKey, AuthError, Principal, Quota};

/// Answers 429 to more requests in a minute or a month than the key or its tenant may make.
pub(super) async fn limit_rate(State(keys): State<KeyCheck>, request: Request, next: Next) -> Response {
    let key = request.extensions().get::<ApiKey>().cloned();
    let principal = request.extensions().get::<Arc<Principal>>().map(Arc::clone);
    // Opening a stream or ending a session is no call.
    let (Some(key), Some(principal), &Method::POST) = (key, principal, request.method()) else {
        return next.run(request).await;
    };
    match keys.admit(&key, &principal).await {
        Ok(Ok(_admission)) => next.run(request).await,
        Ok(Err(over)) => {
            keys.note(Denial {
                tenant: principal.tenant,
                api_key: Some(principal.api_key),
                reason: Reason::Limit,
                what: String::new(),
                source: auth::source(&request),
            });
            try_later(StatusCode::TOO_MANY_REQUESTS, over.retry_after, &over.to_string())
        }
        Err(AuthError::Db(error)) => auth::cannot_check(&error, true),
        // It ended since it was checked; what is behind this will say so.
        Err(AuthError::Invalid(_)) => next.run(request).await,
    }
}

/// Answers 429 to more calls at once than a tenant may have.
pub(super) async fn limit_calls(State(quota): State<Quota>, request: Request, next: Next) -> Response {
    // The key has been checked, so the tenant that it claims is its own.
    let Some(tenant) = request.extensions().get::<ApiKey>().map(ApiKey::claimed_tenant) else {
        return next.run(request).await;
    };
    let Some(place) = quota.take(tenant) else {
        let words = format!(
            "Your organisation has {} calls running on this server, which is as many as it may have. Try again in a moment.",
            quota.per_tenant()
        );
        return try_later(StatusCode::TOO_MANY_REQUESTS, 1, &words);
    };
    let response = next.run(request).await;
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"));
    // Subscriptions are counted by themselves: they would leave no place for calls.
    if !is_stream || response.extensions().get::<LastsLong>().is_some() {
        return response;
    }
    // The call goes on until its stream ends.
    response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |chunk| {
            let _held = &place;
            chunk
        }))
    })
}
