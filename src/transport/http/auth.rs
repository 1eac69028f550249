//! Checks the key of each request before the protocol layer sees it.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::auth_cache::{AuthRejection, CachingAuthenticator};
use super::error_response::{json_rpc_error, try_later};
use crate::db::DbError;
use crate::tenancy::{ApiKey, AuthError};

/// Where a request came from, as far as is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientAddress(pub(super) IpAddr);

/// Where a request came from, for the audit log.
pub(in crate::transport) fn source(extensions: &Extensions) -> String {
    match extensions.get::<ClientAddress>() {
        Some(ClientAddress(address)) => format!("http {address}"),
        None => "http".to_owned(),
    }
}

/// Lets requests with a good key through, with the [`ApiKey`] and the [`Principal`] in their extensions; answers 401 to the
/// others (RFC 6750), and 429 to an address that brings too many keys that do not hold.
pub(super) async fn require_key(
    State(keys): State<CachingAuthenticator>,
    mut request: Request,
    next: Next,
) -> Response {
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
    let address = request.extensions().get::<ClientAddress>().map(|client| client.0);
    let principal = match keys
        .authenticate(&key, address, source(request.extensions()))
        .await
    {
        Ok(principal) => principal,
        Err(refused) => return rejection_response(&refused),
    };
    request.extensions_mut().insert(key);
    request.extensions_mut().insert(principal);
    // From here on nobody needs them, and what is not there cannot be logged.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove("x-api-key");
    next.run(request).await
}

fn rejection_response(refused: &AuthRejection) -> Response {
    match refused {
        AuthRejection::MustWait(seconds) => {
            let words = format!(
                "Too many API keys that are not valid came from your address. Try again in {seconds} seconds."
            );
            try_later(StatusCode::TOO_MANY_REQUESTS, *seconds, &words)
        }
        AuthRejection::Busy => unavailable_response(&DbError::Busy, false),
        AuthRejection::Key { error, well_known } => match &**error {
            AuthError::Invalid(_) => unauthorized(Some("invalid_token"), &format!("{error}.")),
            AuthError::Db(error) => unavailable_response(error, *well_known),
        },
    }
}

/// A database that does not answer tells nothing of a key. A stranger is not told of any organisation: the one that his key names
/// need not be his.
pub(super) fn unavailable_response(error: &DbError, well_known: bool) -> Response {
    tracing::error!(%error, "a key could not be checked");
    let words = match (matches!(error, DbError::Busy), well_known) {
        (true, true) => {
            "The registry is busy with other calls, most of them your organisation's. Try again in a moment."
        }
        (true, false) => "The registry is busy. Try again in a moment.",
        (false, _) => "The registry's database is not available. Try again in a moment.",
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
