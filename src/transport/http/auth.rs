//! Checks the key of each request before the protocol layer sees it.
//!
//! This check only keeps strangers out early. The one that counts is made again in the call's own transaction.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::answer::{json_rpc_error, try_later};
use crate::db::ServerDb;
use crate::ids::Digest;
use crate::tenancy::{ApiKey, AuthError, authenticate};

/// How long a key that was found good is not asked for again.
const REMEMBERED: Duration = Duration::from_secs(3);
const MAX_REMEMBERED: usize = 10_000;

/// The keys that were found good a moment ago, by their hashes.
#[derive(Clone)]
pub(in crate::transport) struct KeyCheck {
    db: ServerDb,
    good: Arc<Mutex<HashMap<Digest, Instant>>>,
}

impl KeyCheck {
    pub(super) fn new(db: ServerDb) -> Self {
        Self {
            db,
            good: Arc::default(),
        }
    }

    async fn check(&self, key: &ApiKey) -> Result<(), AuthError> {
        let hash = key.hash();
        if self.remembers(hash) {
            return Ok(());
        }
        let (tx, _principal) = authenticate(&self.db, key).await?;
        tx.roll_back().await?;
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= MAX_REMEMBERED {
            good.retain(|_, seen| seen.elapsed() < REMEMBERED);
        }
        if good.len() < MAX_REMEMBERED {
            good.insert(hash, Instant::now());
        }
        Ok(())
    }

    /// Whether the key is known not to hold any more. A database that does not answer tells nothing.
    pub(in crate::transport) async fn has_ended(&self, key: &ApiKey) -> bool {
        matches!(self.check(key).await, Err(AuthError::Invalid))
    }

    fn remembers(&self, hash: Digest) -> bool {
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        good.get(&hash).is_some_and(|seen| seen.elapsed() < REMEMBERED)
    }
}

/// Lets requests with a good key through, with the [`ApiKey`] in their extensions; answers 401 to the others (RFC 6750).
pub(super) async fn require_key(State(keys): State<KeyCheck>, mut request: Request, next: Next) -> Response {
    let Some(text) = sent_key(request.headers()) else {
        let words = "This registry needs an API key: send \"Authorization: Bearer skeep_…\".";
        return unauthorized(None, words);
    };
    let key: ApiKey = match text.parse() {
        Ok(key) => key,
        Err(error) => {
            return unauthorized(
                Some("invalid_token"),
                &format!("The API key is refused: {error}."),
            );
        }
    };
    match keys.check(&key).await {
        Ok(()) => {}
        Err(error @ AuthError::Invalid) => {
            tracing::warn!("a request came with an API key that does not hold");
            return unauthorized(Some("invalid_token"), &format!("{error}."));
        }
        Err(AuthError::Db(error)) => {
            tracing::error!(%error, "a key could not be checked");
            let words = "The registry's database is not available. Try again in a moment.";
            return try_later(StatusCode::SERVICE_UNAVAILABLE, 1, words);
        }
    }
    request.extensions_mut().insert(key);
    // From here on nobody needs them, and what is not there cannot be logged.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove("x-api-key");
    next.run(request).await
}

/// The key of `Authorization: Bearer` or of `X-API-Key`; two different ones are none.
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .map(|value| value.to_str().ok().and_then(bearer))
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

fn unauthorized(error: Option<&str>, words: &str) -> Response {
    let mut response = json_rpc_error(StatusCode::UNAUTHORIZED, -31_001, words);
    let challenge = match error {
        None => "Bearer realm=\"skillkeep\"".to_owned(),
        Some(error) => format!("Bearer realm=\"skillkeep\", error=\"{error}\""),
    };
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
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
    fn a_key_is_taken_from_either_header() {
        assert_eq!(sent_key(&headers(&[("authorization", "Bearer k")])), Some("k"));
        assert_eq!(sent_key(&headers(&[("authorization", "bearer k")])), Some("k"));
        assert_eq!(sent_key(&headers(&[("x-api-key", "k")])), Some("k"));
        assert_eq!(
            sent_key(&headers(&[("x-api-key", "k"), ("authorization", "Bearer k")])),
            Some("k")
        );
    }

    #[test]
    fn two_different_keys_are_none() {
        assert_eq!(
            sent_key(&headers(&[("x-api-key", "a"), ("authorization", "Bearer b")])),
            None
        );
        assert_eq!(sent_key(&headers(&[("authorization", "Basic a")])), None);
        assert_eq!(sent_key(&HeaderMap::new()), None);
    }
}
