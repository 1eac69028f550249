//! The remote registry: its URL, the HTTP client for it, and the API key.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the idle time-out of usual proxies and servers, so that a request rarely meets a closed connection.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// The address of a registry, and the certificates that are trusted.
#[derive(Debug, Clone, Copy)]
pub struct RemoteOptions<'a> {
    /// Without a path, `/mcp` is added. A slash at its end is removed.
    pub url: &'a str,
    /// Whether the API key may travel unencrypted to another machine.
    pub allow_http: bool,
    /// Certificates (PEM) that are trusted in addition to the system's root certificates.
    pub ca_file: Option<&'a Path>,
}

/// Why the registry's address or the client's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("the address is not a URL ({0}); use a URL like https://skills.example.com/mcp")]
    InvalidUrl(String),
    #[error("the address has the scheme {0}:; use an https: address")]
    Scheme(String),
    #[error(
        "the address has a user name, a password, a query or a fragment; servers and proxies log addresses, so remove \
         these parts and set the API key in SKILLKEEP_API_KEY"
    )]
    UnexpectedPart,
    #[error(
        "with an http: address, anyone on the network between here and {0} can read the API key; use https:, or \
         --allow-http on a private network"
    )]
    Unencrypted(String),
    #[error("cannot read certificates from {}: {reason}", .file.display())]
    CaFile { file: PathBuf, reason: String },
    #[error(
        "this machine has no root certificates; install its package `ca-certificates`, or name a file with --ca-file"
    )]
    NoRootCertificates,
    #[error("cannot set up the HTTP client: {0}")]
    HttpClient(String),
}

/// A registry that is called over Streamable HTTP with one API key.
#[derive(Debug)]
pub struct Remote {
    pub(super) client: Client,
    pub(super) url: Url,
    /// Host and port, for messages to people.
    pub(super) host: String,
    pub(super) timeouts: Timeouts,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// Until a response begins, and between two chunks of a response that is not a stream. A registry sends nothing while
    /// a tool runs.
    pub(super) response: Duration,
    /// Between two chunks of a stream, in which a registry sends a comment every 15 s.
    pub(super) stream_idle: Duration,
    /// How long the download of a skill may take as a whole, however slowly its chunks arrive.
    pub(super) download: Duration,
    /// How long to retry while the registry is unreachable.
    pub(super) retry: Duration,
    /// How long requests in flight may take to end after the client has closed its output.
    pub(super) drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            response: Duration::from_secs(300),
            download: Duration::from_secs(600),
            stream_idle: Duration::from_secs(90),
            retry: Duration::from_secs(5),
            drain: Duration::from_secs(5),
        }
    }
}

impl Remote {
    /// Sets up the HTTP client. Sends nothing.
    ///
    /// # Errors
    /// If the address, the certificates or the API key cannot be used.
    pub fn new(options: &RemoteOptions<'_>, api_key: &str) -> Result<Self, RemoteError> {
        let url = parse(options)?;
        let mut default_headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {api_key}"))
            .map_err(|error| RemoteError::HttpClient(error.to_string()))?;
        bearer.set_sensitive(true);
        default_headers.insert(header::AUTHORIZATION, bearer);
        let mut builder = Client::builder()
            .use_preconfigured_tls(tls_config(&url, options.ca_file)?)
            .default_headers(default_headers)
            // A redirect would send the API key to another server. Let the user decide.
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .tcp_keepalive(TCP_KEEPALIVE);
        if is_loopback(&url) {
            // A proxy must not see a connection within this machine, which can be unencrypted.
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder
                .build()
                .map_err(|error| RemoteError::HttpClient(error.to_string()))?,
            host: authority(&url),
            url,
            timeouts: Timeouts::default(),
        })
    }
}

impl Remote {
    /// Where the registry serves HTTP+SSE: `/sse` in the place of `/mcp`.
    pub(super) fn sse_url(&self) -> Url {
        let mut url = self.url.clone();
        if let Some(folder) = self.url.path().strip_suffix("/mcp") {
            url.set_path(&format!("{folder}/sse"));
        }
        url
    }
}

/// Validates the address of a registry, adds the path `/mcp` if it has none, and removes a slash at its end.
///
/// # Errors
/// If the address cannot be used, or if the API key would travel unencrypted and `allow_http` is not set.
pub fn normalize_url(url: &str, allow_http: bool) -> Result<String, RemoteError> {
    parse(&RemoteOptions {
        url,
        allow_http,
        ca_file: None,
    })
    .map(String::from)
}

fn parse(options: &RemoteOptions<'_>) -> Result<Url, RemoteError> {
    let mut url: Url = options
        .url
        .parse()
        .map_err(|error: <Url as std::str::FromStr>::Err| RemoteError::InvalidUrl(error.to_string()))?;
    let has_unexpected_part = !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    match url.scheme() {
        "https" | "http" if has_unexpected_part => return Err(RemoteError::UnexpectedPart),
        "https" => {}
        "http" if options.allow_http || is_loopback(&url) => {}
        "http" => return Err(RemoteError::Unencrypted(authority(&url))),
        other => return Err(RemoteError::Scheme(other.to_owned())),
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(if path.is_empty() { "/mcp" } else { &path });
    Ok(url)
}

/// Host and port as written in the URL.
fn authority(url: &Url) -> String {
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

fn tls_config(url: &Url, ca_file: Option<&Path>) -> Result<rustls::ClientConfig, RemoteError> {
    let mut roots = rustls::RootCertStore::empty();
    if url.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(file) = ca_file {
        add_certificates(&mut roots, file).map_err(|reason| RemoteError::CaFile {
            file: file.to_owned(),
            reason,
        })?;
    }
    if roots.is_empty() && url.scheme() == "https" {
        return Err(RemoteError::NoRootCertificates);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| RemoteError::HttpClient(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn add_certificates(roots: &mut rustls::RootCertStore, file: &Path) -> Result<(), String> {
    let mut count = 0_u32;
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 {
        return Err("the file has no CERTIFICATE block".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(url: &str, allow_http: bool) -> Result<String, String> {
        let options = RemoteOptions {
            url,
            allow_http,
            ca_file: None,
        };
        parse(&options)
            .map(|url| url.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn url_without_a_path_gets_the_default_path() {
        assert_eq!(
            normalized("https://a.example", false).unwrap(),
            "https://a.example/mcp"
        );
        assert_eq!(
            normalized("https://a.example/", false).unwrap(),
            "https://a.example/mcp"
        );
        assert_eq!(
            normalized("https://a.example/skills/mcp", false).unwrap(),
            "https://a.example/skills/mcp"
        );
    }

    #[test]
    fn slash_at_the_end_of_the_path_is_removed() {
        for (url, expected) in [
            ("https://a.example//", "https://a.example/mcp"),
            ("https://a.example/mcp/", "https://a.example/mcp"),
            ("https://a.example/skills/mcp//", "https://a.example/skills/mcp"),
        ] {
            assert_eq!(normalized(url, false).unwrap(), expected);
        }
    }

    #[test]
    fn http_to_another_machine_needs_allow_http() {
        for local in [
            "http://localhost:8080",
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:2/mcp",
        ] {
            assert!(normalized(local, false).is_ok(), "{local}");
        }
        for remote in [
            "http://a.example",
            "http://localhost.a.example",
            "http://10.0.0.1",
            "http://127.0.0.1.a.example",
            "http://0.0.0.0",
        ] {
            let message = normalized(remote, false).unwrap_err();
            assert!(message.contains("--allow-http"), "{message}");
            assert!(normalized(remote, true).is_ok(), "{remote}");
        }
    }

    #[test]
    fn rejected_url_is_not_repeated_in_the_error() {
        for url in [
            "https://ada:secret@a.example",
            "https://a.example/mcp?key=secret",
            "http://secret@a.example",
            "https://a.example/mcp#secret",
            "skeep_secret",
            "file:///secret",
        ] {
            let message = normalized(url, true).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
