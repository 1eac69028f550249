//! Why the bridge has no answer of the registry, as text for the client's model and its user. No text contains the API key.

use std::error::Error;

use reqwest::StatusCode;

use super::BridgeFailure;

/// JSON-RPC error codes of the bridge. They are outside the ranges that JSON-RPC and MCP reserve.
mod code {
    /// No answer from the registry; a later attempt may succeed.
    pub(super) const UNAVAILABLE: i32 = -31_010;
    /// The answer does not come from a registry, or from another one than intended.
    pub(super) const NOT_A_REGISTRY: i32 = -31_011;
    /// The registry itself uses this code for a rejected API key.
    pub(super) const INVALID_KEY: i32 = -31_001;
}

pub(super) const fn failure(code: i32) -> Option<BridgeFailure> {
    match code {
        code::UNAVAILABLE => Some(BridgeFailure::Unavailable),
        code::NOT_A_REGISTRY => Some(BridgeFailure::NotARegistry),
        code::INVALID_KEY => Some(BridgeFailure::InvalidKey),
        _ => None,
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum BridgeError {
    #[error(
        "The skill registry at {host} is unreachable: {reason}. Nothing was changed. Try again later; if the error \
         persists, check this machine's network or ask the registry's administrator."
    )]
    Unreachable { host: String, reason: String },
    #[error(
        "The skill registry at {host} did not complete its answer: {reason}. The call may have been carried out; check \
         before you repeat it."
    )]
    Interrupted { host: String, reason: String },
    #[error(
        "This machine does not trust the certificate of the skill registry at {host}: {reason}. If your company signs \
         its own certificates, start the bridge with --ca-file."
    )]
    Certificate { host: String, reason: String },
    #[error(
        "There is no TLS connection to the skill registry at {host}: {reason}. Check the address that the bridge was \
         started with, and any proxy in between."
    )]
    Tls { host: String, reason: String },
    #[error(
        "The skill registry at {host} rejected the API key in SKILLKEEP_API_KEY (status 401). Ask its administrator \
         for a new key."
    )]
    KeyRejected { host: String },
    #[error("The skill registry at {host} limits the rate of calls (status 429). Try again later.")]
    RateLimited { host: String },
    #[error(
        "The message is longer than the skill registry at {host} accepts (status 413). Send a shorter one."
    )]
    TooLarge { host: String },
    #[error(
        "The skill registry at {host} redirects to another address (status {status}), and the bridge does not send the \
         API key there. Start the bridge with the registry's new address."
    )]
    Redirected { host: String, status: StatusCode },
    #[error(
        "The server at {host} does not speak MCP (status {status}): {reason}. Check the address that the bridge was \
         started with, and any proxy in between."
    )]
    NotMcp {
        host: String,
        status: StatusCode,
        reason: &'static str,
    },
}

impl BridgeError {
    /// The code of the JSON-RPC error.
    pub(super) const fn code(&self) -> i32 {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::RateLimited { .. } => {
                code::UNAVAILABLE
            }
            Self::KeyRejected { .. } => code::INVALID_KEY,
            Self::Certificate { .. }
            | Self::Tls { .. }
            | Self::TooLarge { .. }
            | Self::Redirected { .. }
            | Self::NotMcp { .. } => code::NOT_A_REGISTRY,
        }
    }

    /// The error for a message that changes nothing, where an interrupted call is as harmless as an unreachable registry.
    pub(super) fn for_read_only(self) -> Self {
        if let Self::Interrupted { host, reason } = self {
            return Self::Unreachable { host, reason };
        }
        self
    }

    /// The error for a request without a response.
    pub(super) fn from_request_error(host: &str, error: &reqwest::Error) -> Self {
        let host = host.to_owned();
        if let Some(tls) = tls_cause(error) {
            let reason = tls.to_string();
            return if matches!(tls, rustls::Error::InvalidCertificate(_)) {
                Self::Certificate { host, reason }
            } else {
                Self::Tls { host, reason }
            };
        }
        let reason = describe(error);
        if error.is_connect() {
            Self::Unreachable { host, reason }
        } else {
            Self::Interrupted { host, reason }
        }
    }

    /// The error for a response whose body is not a JSON-RPC message of the registry.
    pub(super) fn from_status(host: &str, status: StatusCode) -> Self {
        let host = host.to_owned();
        match status {
            StatusCode::UNAUTHORIZED => Self::KeyRejected { host },
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { host },
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge { host },
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::Interrupted {
                    host,
                    reason: format!("status {status}"),
                }
            }
            _ if status.is_redirection() => Self::Redirected { host, status },
            _ => Self::NotMcp {
                host,
                status,
                reason: "the answer is not a JSON-RPC message",
            },
        }
    }
}

/// The TLS error that caused the failure, if any. Trying again does not help against it.
pub(super) fn tls_cause(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| tls_error(cause))
}

/// Unwraps the TLS error from `io::Error`s, which do not report their content as their source. They can be nested.
fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = cause.downcast_ref() {
        return Some(found);
    }
    let inner = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls_error(inner)
}

/// The innermost cause, which is the one that people know, for example "Connection refused".
pub(super) fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let innermost = causes(error).last().map(ToString::to_string);
    innermost.unwrap_or_else(|| "the connection failed".to_owned())
}

/// The causes without the error itself, whose text repeats the address.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}
