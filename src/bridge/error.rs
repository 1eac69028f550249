//! What went wrong on the way, in words for the client's model and its person. None of them ever holds the key.

use std::error::Error;

use reqwest::StatusCode;

/// The registry did not answer; a later try may do.
const AWAY: i32 = -31_010;
/// What answered is not a registry, or not the one that was meant.
const FOREIGN: i32 = -31_011;
/// The registry refuses the key, as it says so itself.
const INVALID_KEY: i32 = -31_001;

/// Why a request has no answer of the registry's.
#[derive(Debug, thiserror::Error)]
pub(super) enum BridgeError {
    #[error(
        "The skill registry at {host} is away: {why}. Nothing was changed. Try again in a moment; if it stays away, check \
         this machine's network, or ask whoever runs the registry."
    )]
    Unreachable { host: String, why: String },
    #[error(
        "The skill registry at {host} broke off before it had answered: {why}. Whether the call was carried out is not \
         known, so look before you repeat it."
    )]
    Interrupted { host: String, why: String },
    #[error(
        "The skill registry at {host} shows a certificate that this machine does not trust: {why}. Where a company signs \
         its own certificates, start the bridge with --ca-file."
    )]
    Certificate { host: String, why: String },
    #[error(
        "There is no secure connection to the skill registry at {host}: {why}. Check the address that the bridge was \
         started with, and any proxy on the way."
    )]
    Insecure { host: String, why: String },
    #[error(
        "The skill registry at {host} refuses the API key in SKILLKEEP_API_KEY (status 401). Ask its administrator for \
         a new one."
    )]
    KeyRefused { host: String },
    #[error("The skill registry at {host} has too much to do (status 429). Try again in a moment.")]
    Busy { host: String },
    #[error("The skill registry at {host} takes no message as long as this one (status 413).")]
    TooLarge { host: String },
    #[error(
        "The skill registry at {host} sends its callers elsewhere (status {status}), and the API key is not taken there. \
         Start the bridge with the registry's new address."
    )]
    Redirected { host: String, status: StatusCode },
    #[error(
        "What answers at {host} does not speak MCP (status {status}): {why}. Check the address that the bridge was \
         started with, and any proxy on the way."
    )]
    NotMcp {
        host: String,
        status: StatusCode,
        why: &'static str,
    },
}

impl BridgeError {
    /// The code of the JSON-RPC error; all lie outside the ranges that JSON-RPC and MCP keep for themselves.
    pub(super) const fn code(&self) -> i32 {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Busy { .. } => AWAY,
            Self::KeyRefused { .. } => INVALID_KEY,
            Self::Certificate { .. }
            | Self::Insecure { .. }
            | Self::TooLarge { .. }
            | Self::Redirected { .. }
            | Self::NotMcp { .. } => FOREIGN,
        }
    }

    /// The same of a message that changes nothing: then it is enough to know that the registry is away.
    pub(super) fn of_reading(self) -> Self {
        if let Self::Interrupted { host, why } = self {
            return Self::Unreachable { host, why };
        }
        self
    }

    /// Of a request that was not answered at all.
    pub(super) fn of_error(host: &str, error: &reqwest::Error) -> Self {
        let host = host.to_owned();
        if let Some(tls) = tls_cause(error) {
            let why = tls.to_string();
            return if matches!(tls, rustls::Error::InvalidCertificate(_)) {
                Self::Certificate { host, why }
            } else {
                Self::Insecure { host, why }
            };
        }
        let why = words(error);
        if error.is_connect() {
            Self::Unreachable { host, why }
        } else {
            Self::Interrupted { host, why }
        }
    }

    /// Of an answer whose body is not the registry's.
    pub(super) fn of_status(host: &str, status: StatusCode) -> Self {
        let host = host.to_owned();
        match status {
            StatusCode::UNAUTHORIZED => Self::KeyRefused { host },
            StatusCode::TOO_MANY_REQUESTS => Self::Busy { host },
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge { host },
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::Interrupted {
                    host,
                    why: format!("the way to it ends with status {status}"),
                }
            }
            _ if status.is_redirection() => Self::Redirected { host, status },
            _ => Self::NotMcp {
                host,
                status,
                why: "its answer is not a JSON-RPC message",
            },
        }
    }
}

/// What TLS has against the peer, if that is what went wrong: nothing that another try would mend.
pub(super) fn tls_cause(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| tls_error(cause))
}

/// The TLS library's error, which comes hidden in the system's, sometimes twice: those do not name it as their source.
fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = cause.downcast_ref() {
        return Some(found);
    }
    let hidden = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls_error(hidden)
}

/// The innermost cause, which is the one that people know: "Connection refused".
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let innermost = causes(error).last().map(ToString::to_string);
    innermost.unwrap_or_else(|| "the connection failed".to_owned())
}

/// The causes below the error itself, whose own words would repeat the address.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}
