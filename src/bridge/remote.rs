//! The registry far away: its address, the way there, and the key for it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::tenancy::ApiKey;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// Shorter than the idle time of usual proxies and servers, so that a call seldom meets a connection that just ended.
const POOL_IDLE: Duration = Duration::from_secs(20);
/// How often the system asks a silent peer whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Where the registry is, and what of the way there may be trusted.
#[derive(Debug, Clone, Copy)]
pub struct RemoteOptions<'a> {
    /// The address of the registry; without a path, `/mcp` is meant.
    pub url: &'a str,
    /// Whether the key may travel unencrypted to another machine.
    pub allow_http: bool,
    /// A file of certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<&'a Path>,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It is no URL.
    #[error("the address is not a URL ({0}); it looks like https://skills.example.com/mcp")]
    NoUrl(String),
    /// It is a URL of something else.
    #[error("the address begins with {0}:, and a registry's begins with https:")]
    Scheme(String),
    /// It holds a user name, a password, a query or a fragment.
    #[error(
        "the address holds a user name, a password, a query or a fragment; addresses are logged on their way, so the \
         key belongs into SKILLKEEP_API_KEY and the address ends with its path"
    )]
    Extra,
    /// The key would travel in the clear.
    #[error(
        "the address begins with http:, so anyone on the way to {0} could read the API key; use https:, or \
         --allow-http if the network is yours alone"
    )]
    Clear(String),
    /// The file of certificates cannot be used.
    #[error("no certificates can be read from {}: {why}", .file.display())]
    CaFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// This machine trusts no certificate at all.
    #[error(
        "this machine has no root certificates; install its ca-certificates package, or name a file with --ca-file"
    )]
    NoRoots,
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be set up: {0}")]
    Client(String),
}

/// A registry that is reached over Streamable HTTP with one key.
#[derive(Debug)]
pub struct Remote {
    pub(super) client: Client,
    pub(super) url: Url,
    /// Host and port, for people.
    pub(super) host: String,
    pub(super) patience: Timeouts,
}

/// How long is waited for what, and when silence is taken for a dead peer, not for work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// Until a reply begins, and between the parts of one that is not a stream. A registry sends nothing while a tool works.
    pub(super) reply: Duration,
    /// Between two parts of a stream, in which a registry sends a comment every 15 s.
    pub(super) stream: Duration,
    /// How long to try again while the registry is away.
    pub(super) away: Duration,
    /// How long requests in flight may take to end after the end of stdin.
    pub(super) drain: Duration,
}

impl Timeouts {
    pub(super) const USUAL: Self = Self {
        reply: Duration::from_secs(300),
        stream: Duration::from_secs(90),
        away: Duration::from_secs(5),
        drain: Duration::from_secs(5),
    };
}

impl Remote {
    /// Prepares the way to a registry; nothing is sent yet.
    ///
    /// # Errors
    /// When the address, or what is to be trusted, cannot be used.
    pub fn new(options: &RemoteOptions<'_>, key: &ApiKey) -> Result<Self, RemoteError> {
        let url = parse(options)?;
        let is_near = is_loopback(&url);
        let mut sent_always = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.reveal()))
            .map_err(|error| RemoteError::Client(error.to_string()))?;
        bearer.set_sensitive(true);
        sent_always.insert(header::AUTHORIZATION, bearer);
        let mut builder = Client::builder()
            .use_preconfigured_tls(tls(&url, options.ca_file)?)
            .default_headers(sent_always)
            // The key is for this host; where it sends us is for a person to judge.
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_keepalive(KEEP_ALIVE);
        if is_near {
            // A proxy has no business between two programs of one machine, least of all unencrypted.
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder
                .build()
                .map_err(|error| RemoteError::Client(error.to_string()))?,
            host: authority(&url),
            url,
            patience: Timeouts::USUAL,
        })
    }
}

/// The address as a registry's, complete with its path.
///
/// # Errors
/// When it cannot be used, or when the key would travel unencrypted and that is not allowed.
pub fn address(url: &str, allow_http: bool) -> Result<String, RemoteError> {
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
        .map_err(|error: <Url as std::str::FromStr>::Err| RemoteError::NoUrl(error.to_string()))?;
    let has_extra = !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    match url.scheme() {
        "https" | "http" if has_extra => return Err(RemoteError::Extra),
        "https" => {}
        "http" if options.allow_http || is_loopback(&url) => {}
        "http" => return Err(RemoteError::Clear(authority(&url))),
        other => return Err(RemoteError::Scheme(other.to_owned())),
    }
    if url.path() == "/" {
        url.set_path("/mcp");
    }
    Ok(url)
}

/// Host and port as in the address.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Whether the address is this machine's own.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn tls(url: &Url, ca_file: Option<&Path>) -> Result<rustls::ClientConfig, RemoteError> {
    let mut roots = rustls::RootCertStore::empty();
    if url.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(file) = ca_file {
        let wrong = |why: String| RemoteError::CaFile {
            file: file.to_owned(),
            why,
        };
        let mut count = 0_u32;
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("it holds no CERTIFICATE block".to_owned()));
        }
    }
    if roots.is_empty() && url.scheme() == "https" {
        return Err(RemoteError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| RemoteError::Client(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str, allow_http: bool) -> Result<String, String> {
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
    fn an_address_without_a_path_means_the_usual_one() {
        assert_eq!(
            address("https://a.example", false).unwrap(),
            "https://a.example/mcp"
        );
        assert_eq!(
            address("https://a.example/", false).unwrap(),
            "https://a.example/mcp"
        );
        assert_eq!(
            address("https://a.example/skills/mcp", false).unwrap(),
            "https://a.example/skills/mcp"
        );
    }

    #[test]
    fn the_key_travels_in_the_clear_on_this_machine_only_unless_that_is_wished() {
        for near in [
            "http://localhost:8080",
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:2/mcp",
        ] {
            assert!(address(near, false).is_ok(), "{near}");
        }
        for far in [
            "http://a.example",
            "http://localhost.a.example",
            "http://10.0.0.1",
            "http://127.0.0.1.a.example",
            "http://0.0.0.0",
        ] {
            let words = address(far, false).unwrap_err();
            assert!(words.contains("--allow-http"), "{words}");
            assert!(address(far, true).is_ok(), "{far}");
        }
    }

    #[test]
    fn an_address_that_holds_more_than_a_place_is_refused_without_repeating_it() {
        for url in [
            "https://ada:secret@a.example",
            "https://a.example/mcp?key=secret",
            "http://secret@a.example",
            "https://a.example/mcp#secret",
            "skeep_secret",
            "file:///secret",
        ] {
            let words = address(url, true).unwrap_err();
            assert!(!words.contains("secret"), "{words}");
        }
    }
}
