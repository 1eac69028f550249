//! Checks the key of each request before the protocol layer sees it.
//!
//! This check only keeps strangers out early. The one that counts is made again in the call's own transaction.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::answer::{json_rpc_error, try_later};
use super::strikes::Strikes;
use crate::ids::Digest;
use crate::server::{Denial, Door};
use crate::tenancy::{Admission, ApiKey, AuthError, OverLimit, Principal, authenticate};

/// How long a key that was found good is not asked for again.
const REMEMBERED: Duration = Duration::from_secs(3);
/// How long it is known as one that was good, which lets it be tried even from an address that brings bad ones.
const WELL_KNOWN: Duration = Duration::from_secs(60 * 60);
const MAX_REMEMBERED: usize = 10_000;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerAddress(pub(super) SocketAddr);

struct Known {
    checked: Instant,
    principal: Arc<Principal>,
}

/// The keys that were found good a while ago, by their hashes.
#[derive(Clone)]
pub(in crate::transport) struct KeyCheck {
    door: Arc<Door>,
    good: Arc<Mutex<HashMap<Digest, Known>>>,
    strikes: Arc<Strikes>,
}

impl KeyCheck {
    pub(super) fn new(door: Arc<Door>) -> Self {
        Self {
            door,
            good: Arc::default(),
            strikes: Arc::default(),
        }
    }

    async fn check(&self, key: &ApiKey) -> Result<Arc<Principal>, AuthError> {
        let hash = key.hash();
        if let Some(principal) = self.remembers(hash, REMEMBERED) {
            return Ok(principal);
        }
        let (tx, principal) = match authenticate(self.door.db(), key).await {
            Ok(opened) => opened,
            Err(error) => {
                if matches!(error, AuthError::Invalid(_)) {
                    self.good
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&hash);
                }
                return Err(error);
            }
        };
        tx.roll_back().await?;
        let principal = Arc::new(principal);
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= MAX_REMEMBERED {
            good.retain(|_, known| known.checked.elapsed() < REMEMBERED);
        }
        if good.len() < MAX_REMEMBERED {
            let known = Known {
                checked: Instant::now(),
                principal: Arc::clone(&principal),
            };
            good.insert(hash, known);
        }
        Ok(principal)
    }

    /// Whether the key is known not to hold any more. A database that does not answer tells nothing.
    pub(in crate::transport) async fn has_ended(&self, key: &ApiKey) -> bool {
        matches!(self.check(key).await, Err(AuthError::Invalid(_)))
    }

    fn remembers(&self, hash: Digest, for_so_long: Duration) -> Option<Arc<Principal>> {
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let known = good.get(&hash)?;
        (known.checked.elapsed() < for_so_long).then(|| Arc::clone(&known.principal))
    }

    /// Counts a request against what its key and its tenant may make.
    pub(super) async fn admit(
        &self,
        key: &ApiKey,
        principal: &Principal,
    ) -> Result<Result<Admission, OverLimit>, AuthError> {
        self.door.admit(key, principal).await
    }

    /// Notes for the audit log that a request of this principal was refused.
    pub(super) fn note(&self, denial: Denial) {
        self.door.denials().note(denial);
    }

    /// Seconds that this address has to wait before it may try a key that was not good before.
    fn must_wait(&self, key: &ApiKey, address: IpAddr) -> Option<u32> {
        let seconds = self.strikes.must_wait(address)?;
        self.remembers(key.hash(), WELL_KNOWN)
            .is_none()
            .then_some(seconds)
    }
}

/// Where a request came from, for the audit log.
pub(super) fn source(request: &Request) -> String {
    match request.extensions().get::<PeerAddress>() {
        Some(PeerAddress(address)) => format!("http {}", address.ip().to_canonical()),
        None => "http".to_owned(),
    }
}

/// Lets requests with a good key through, with the [`ApiKey`] and the [`Principal`] in their extensions; answers 401 to the
/// others (RFC 6750), and 429 to an address that brings too many keys that do not hold.
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
    let address = request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip());
    if let Some(seconds) = address.and_then(|address| keys.must_wait(&key, address)) {
        let words = format!(
            "Too many API keys that are not valid came from your address. Try again in {seconds} seconds."
        );
        return try_later(StatusCode::TOO_MANY_REQUESTS, seconds, &words);
    }
    let principal = match keys.check(&key).await {
        Ok(principal) => principal,
        Err(AuthError::Invalid(refused)) => {
            let why = refused.why.as_str();
            tracing::warn!(why, "a request came with an API key that does not hold");
            if let Some(address) = address {
                keys.strikes.note(address);
            }
            if let Some(denial) = Denial::of_key(&refused, &source(&request)) {
                keys.note(denial);
            }
            let words = format!("{}.", AuthError::Invalid(refused));
            return unauthorized(Some("invalid_token"), &words);
        }
        Err(AuthError::Db(error)) => return cannot_check(&error),
    };
    request.extensions_mut().insert(key);
    request.extensions_mut().insert(principal);
    // From here on nobody needs them, and what is not there cannot be logged.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove("x-api-key");
    next.run(request).await
}

/// A database that does not answer tells nothing of a key.
pub(super) fn cannot_check(error: &crate::db::DbError) -> Response {
    tracing::error!(%error, "a key could not be checked");
    let words = if matches!(error, crate::db::DbError::Busy) {
        "The registry is busy with other calls, most of them your organisation's. Try again in a moment."
    } else {
        "The registry's database is not available. Try again in a moment."
    };
    try_later(StatusCode::SERVICE_UNAVAILABLE, 1, words)
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
