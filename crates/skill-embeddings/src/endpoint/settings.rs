//! Settings of an endpoint, checked once.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::embedder::MAX_DIMENSIONS;
use crate::error::SettingsError;
use crate::prefixes::Prefixes;

/// Maximum number of texts in one request.
pub const MAX_BATCH_SIZE: usize = 256;

const MAX_ATTEMPTS: usize = 10;
const MAX_TIMEOUT: Duration = Duration::from_secs(600);
/// Shorter than the idle time-out of usual servers, so that a request rarely meets a closed connection.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// An endpoint with OpenAI's API for embeddings: OpenAI, Ollama, vLLM, text-embeddings-inference, and others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSettings {
    /// The address without `/embeddings`, for example `http://127.0.0.1:11434/v1`.
    pub url: String,
    /// The name of the model at the endpoint.
    pub model: String,
    /// Number of dimensions that the model returns, at most [`MAX_DIMENSIONS`].
    pub dimensions: usize,
    /// Sent as a bearer token. Local servers need none.
    #[serde(default)]
    pub key: Option<EndpointKey>,
    /// Whether texts and key may travel unencrypted to another machine.
    #[serde(default)]
    pub allow_http: bool,
    /// Texts in one request, at most [`MAX_BATCH_SIZE`].
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// Seconds until a connection is made.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout_seconds: u64,
    /// Seconds until an answer is complete, at most 600.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// How often documents are tried, from 1. A query is tried once, because somebody waits for it.
    #[serde(default = "default_attempts")]
    pub attempts: usize,
    /// Text before each document, for models that need it, for example `passage: `.
    #[serde(default)]
    pub document_prefix: String,
    /// Text before each query, for example `query: `.
    #[serde(default)]
    pub query_prefix: String,
}

const fn default_batch_size() -> usize {
    32
}

const fn default_connect_timeout() -> u64 {
    5
}

const fn default_timeout() -> u64 {
    60
}

const fn default_attempts() -> usize {
    4
}

impl EndpointSettings {
    /// Settings with defaults for all that is optional.
    #[must_use]
    pub fn new(url: impl Into<String>, model: impl Into<String>, dimensions: usize) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            dimensions,
            key: None,
            allow_http: false,
            batch_size: default_batch_size(),
            connect_timeout_seconds: default_connect_timeout(),
            timeout_seconds: default_timeout(),
            attempts: default_attempts(),
            document_prefix: String::new(),
            query_prefix: String::new(),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        in_range("dimensions", self.dimensions, 1, MAX_DIMENSIONS)?;
        in_range("batch_size", self.batch_size, 1, MAX_BATCH_SIZE)?;
        in_range("attempts", self.attempts, 1, MAX_ATTEMPTS)?;
        for (name, seconds) in [
            ("connect_timeout_seconds", self.connect_timeout_seconds),
            ("timeout_seconds", self.timeout_seconds),
        ] {
            let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
            in_range(name, seconds, 1, MAX_TIMEOUT.as_secs() as usize)?;
        }
        self.prefixes().map(drop)
    }

    pub(super) fn prefixes(&self) -> Result<Prefixes, SettingsError> {
        Prefixes::new(self.query_prefix.as_str(), self.document_prefix.as_str())
    }

    /// The address of the request.
    pub(super) fn request_url(&self) -> Result<Url, SettingsError> {
        let mut url: Url = self
            .url
            .parse()
            .map_err(|error: <Url as std::str::FromStr>::Err| SettingsError::InvalidUrl(error.to_string()))?;
        let has_unexpected_part = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        match url.scheme() {
            "https" | "http" if has_unexpected_part => return Err(SettingsError::UnexpectedPart),
            "https" => {}
            "http" if self.allow_http || is_loopback(&url) => {}
            "http" => return Err(SettingsError::Unencrypted(authority(&url))),
            other => return Err(SettingsError::Scheme(other.to_owned())),
        }
        let path = format!("{}/embeddings", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(url)
    }

    pub(super) fn client(&self, url: &Url) -> Result<Client, SettingsError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            let mut bearer =
                HeaderValue::from_str(&format!("Bearer {}", key.0)).map_err(|_| SettingsError::BadKey)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let mut builder = Client::builder()
            .use_preconfigured_tls(tls_config(url)?)
            .default_headers(headers)
            // A redirect would send the texts and the key to another server.
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(self.connect_timeout_seconds))
            .timeout(self.timeout())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT);
        if is_loopback(url) {
            // A proxy must not see a connection within this machine, which can be unencrypted.
            builder = builder.no_proxy();
        }
        builder
            .build()
            .map_err(|error| SettingsError::HttpClient(error.to_string()))
    }
}

/// The key of an endpoint. `Debug` does not show it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct EndpointKey(String);

impl EndpointKey {
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointKey(..)")
    }
}

fn in_range(name: &'static str, value: usize, min: usize, max: usize) -> Result<(), SettingsError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(SettingsError::OutOfRange {
        name,
        value,
        min,
        max,
    })
}

/// Host and port as written in the address.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let without_brackets = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || without_brackets
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn tls_config(url: &Url) -> Result<rustls::ClientConfig, SettingsError> {
    let mut roots = rustls::RootCertStore::empty();
    if url.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(SettingsError::NoRootCertificates);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::HttpClient(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> EndpointSettings {
        EndpointSettings::new(url, "m", 3)
    }

    #[test]
    fn address_gets_the_path_of_the_method() {
        for url in ["https://a.example/v1", "https://a.example/v1/"] {
            let url = settings(url).request_url().unwrap();
            assert_eq!(url.as_str(), "https://a.example/v1/embeddings");
        }
    }

    #[test]
    fn unencrypted_address_is_for_this_machine_or_on_request() {
        for local in ["http://localhost:1/v1", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert!(settings(local).request_url().is_ok(), "{local}");
        }
        for remote in [
            "http://ollama:11434/v1",
            "http://10.0.0.1/v1",
            "http://localhost.a.example",
        ] {
            let message = settings(remote).request_url().unwrap_err().to_string();
            assert!(message.contains("allow_http"), "{message}");
            let allowed = EndpointSettings {
                allow_http: true,
                ..settings(remote)
            };
            assert!(allowed.request_url().is_ok(), "{remote}");
        }
        for wrong in [
            "ftp://a.example",
            "a.example/v1",
            "https://u:p@a.example",
            "https://a.example/?key=1",
        ] {
            let message = settings(wrong).request_url().unwrap_err().to_string();
            assert!(
                !message.contains("u:p") && !message.contains("key=1"),
                "{message}"
            );
        }
    }

    #[test]
    fn numbers_out_of_range_are_rejected() {
        let good = || settings("https://a.example/v1");
        assert!(good().check().is_ok());
        for bad in [
            EndpointSettings {
                dimensions: 0,
                ..good()
            },
            EndpointSettings {
                dimensions: MAX_DIMENSIONS + 1,
                ..good()
            },
            EndpointSettings {
                batch_size: 0,
                ..good()
            },
            EndpointSettings {
                attempts: 0,
                ..good()
            },
            EndpointSettings {
                timeout_seconds: 0,
                ..good()
            },
            EndpointSettings {
                connect_timeout_seconds: u64::MAX,
                ..good()
            },
            EndpointSettings {
                query_prefix: "x".repeat(501),
                ..good()
            },
        ] {
            assert!(
                matches!(bad.check(), Err(SettingsError::OutOfRange { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn key_is_not_shown() {
        let mut settings = settings("https://a.example/v1");
        settings.key = Some(EndpointKey::new("sk-secret"));
        assert!(!format!("{settings:?}").contains("secret"));
        settings.key = Some(EndpointKey::new("sk\nsecret"));
        let url = settings.request_url().unwrap();
        let message = settings.client(&url).unwrap_err().to_string();
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn optional_settings_have_defaults_and_others_are_refused() {
        let text = r#"{"url": "https://a.example/v1", "model": "m", "dimensions": 3}"#;
        let settings: EndpointSettings = serde_json::from_str(text).unwrap();
        assert_eq!((settings.batch_size, settings.attempts), (32, 4));
        let unknown = text.replace("\"model\"", "\"batchsize\": 1, \"model\"");
        assert!(serde_json::from_str::<EndpointSettings>(&unknown).is_err());
    }
}
