//! Keeps one tenant's calls from taking what belongs to all.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Extensions, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::auth;
use super::auth_cache::CachingAuthenticator;
use super::error_response::try_later;
use crate::server::{CallGuard, Denial, Reason};
use crate::tenancy::{ApiKey, AuthError, CallPermit, Principal, TenantPermit, TenantSemaphore};

/// Answers 429 to more requests in a minute or a month than the key or its tenant may make.
pub(super) async fn enforce_rate_limit(
    State(keys): State<CachingAuthenticator>,
    mut request: Request,
    next: Next,
) -> Response {
    let key = request.extensions().get::<ApiKey>().cloned();
    let principal = request.extensions().get::<Arc<Principal>>().map(Arc::clone);
    // Opening a stream or ending a session is no call.
    let (Some(key), Some(principal), &Method::POST) = (key, principal, request.method()) else {
        return next.run(request).await;
    };
    match keys.admit(&key, &principal).await {
        Ok(Ok(admission)) => {
            request.extensions_mut().insert(Arc::new(admission));
            next.run(request).await
        }
        Ok(Err(over)) => {
            keys.note(Denial {
                tenant: principal.tenant,
                api_key: Some(principal.api_key),
                reason: Reason::Limit,
                what: String::new(),
                source: auth::source(request.extensions()),
            });
            try_later(StatusCode::TOO_MANY_REQUESTS, over.retry_after, &over.to_string())
        }
        Err(AuthError::Db(error)) => auth::unavailable_response(&error, true),
        // It ended since it was checked; what is behind this will say so.
        Err(AuthError::Invalid(_)) => next.run(request).await,
    }
}

/// Answers 429 to more calls at once than a tenant may have. A call has its place until it has ended, also when its caller has
/// left: he could otherwise have ever more of them running.
pub(super) async fn enforce_concurrency_limit(
    State(calls): State<CallsAtOnce>,
    mut request: Request,
    next: Next,
) -> Response {
    // The key has been checked, so the tenant that it claims is its own.
    let Some(principal) = request.extensions().get::<Arc<Principal>>().map(Arc::clone) else {
        return next.run(request).await;
    };
    match calls.take(&principal, &auth::source(request.extensions())) {
        Ok(place) => {
            let admission = admission(request.extensions_mut());
            request
                .extensions_mut()
                .insert(CallGuard::new((place, admission)));
            next.run(request).await
        }
        Err(refusal) => *refusal,
    }
}

/// What lets a request count as running; whoever takes it keeps it until the call has ended.
pub(in crate::transport) fn admission(extensions: &mut Extensions) -> Option<Arc<CallPermit>> {
    extensions.remove()
}

/// The calls that tenants have running on this server, over whatever path.
#[derive(Clone)]
pub(in crate::transport) struct CallsAtOnce {
    quota: TenantSemaphore,
    keys: CachingAuthenticator,
}

impl CallsAtOnce {
    pub(super) fn new(per_tenant: usize, keys: CachingAuthenticator) -> Self {
        Self {
            quota: TenantSemaphore::new(per_tenant),
            keys,
        }
    }

    /// A place for a call of this principal, or the refusal.
    pub(in crate::transport) fn take(
        &self,
        principal: &Principal,
        source: &str,
    ) -> Result<TenantPermit, Box<Response>> {
        if let Some(place) = self.quota.take(principal.tenant) {
            return Ok(place);
        }
        self.keys.note(Denial {
            tenant: principal.tenant,
            api_key: Some(principal.api_key),
            reason: Reason::Limit,
            what: "calls at once".to_owned(),
            source: source.to_owned(),
        });
        let words = format!(
            "Your organisation has {} calls running on this server, which is as many as it may have. Try again in a moment.",
            self.quota.per_tenant()
        );
        Err(Box::new(try_later(StatusCode::TOO_MANY_REQUESTS, 1, &words)))
    }
}
