//! TLS to the database: libpq's parameters `sslmode`, `sslrootcert`, `sslcert`, `sslkey` and `ssl_min_protocol_version`.

mod connector;
mod verifier;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

pub(super) use self::connector::TlsConnector;
use self::verifier::Verifier;

/// The value of `sslmode`. Unlike in libpq, a certificate is verified in every mode that uses TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SslMode {
    Disable,
    /// `prefer`, the default, and `allow`: TLS to every host but this machine. There is no silent fall-back to a plain
    /// connection.
    #[default]
    Prefer,
    /// `require` and `verify-full`: TLS, and the certificate must be for the host's name.
    VerifyFull,
    /// TLS, and the certificate may be for another name.
    VerifyCa,
}

impl SslMode {
    pub(super) fn parse(value: &str) -> Option<Self> {
        match value {
            "disable" => Some(Self::Disable),
            "allow" | "prefer" => Some(Self::Prefer),
            "require" | "verify-full" => Some(Self::VerifyFull),
            "verify-ca" => Some(Self::VerifyCa),
            _ => None,
        }
    }
}

/// Which certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Roots {
    /// Those of the operating system: also `sslrootcert=system`.
    #[default]
    System,
    /// Those of this PEM file.
    File(PathBuf),
}

/// The TLS parameters of an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TlsSettings {
    pub(super) mode: SslMode,
    pub(super) roots: Roots,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    /// Whether TLS 1.2 is refused.
    pub(super) only_tls13: bool,
    /// Whether the handshake comes first (`sslnegotiation=direct`), for which the server expects the protocol's name.
    pub(super) is_direct: bool,
}

impl TlsSettings {
    /// # Errors
    /// A file cannot be used. The text says which and why.
    pub(super) fn connector(&self) -> Result<TlsConnector, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (roots, pinned) = self.trusted()?;
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|_| {
                "this system has no root certificates; name the database's with sslrootcert=FILE in DATABASE_URL"
                    .to_owned()
            })?;
        let verifier = Verifier {
            chain,
            pinned,
            checks_name: self.mode != SslMode::VerifyCa,
        };
        let versions: &[_] = if self.only_tls13 {
            &[&rustls::version::TLS13]
        } else {
            rustls::ALL_VERSIONS
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| format!("cannot set up TLS: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(certificates("sslcert", certificate)?, private_key(key)?)
                .map_err(|error| {
                    format!("the files of sslcert and sslkey in DATABASE_URL do not belong together: {error}")
                })?,
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err("DATABASE_URL has sslcert but no sslkey; give both".to_owned()),
            (None, Some(_)) => return Err("DATABASE_URL has sslkey but no sslcert; give both".to_owned()),
        };
        if self.is_direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(TlsConnector::new(config))
    }

    fn trusted(&self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
        let mut roots = RootCertStore::empty();
        match &self.roots {
            Roots::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Ok((roots, Vec::new()))
            }
            Roots::File(path) => {
                let pinned = certificates("sslrootcert", path)?;
                roots.add_parsable_certificates(pinned.iter().cloned());
                Ok((roots, pinned))
            }
        }
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file_error(parameter, path, &error))?;
    if read.is_empty() {
        return Err(format!(
            "the file {} of {parameter} in DATABASE_URL holds no certificate in PEM format",
            path.display()
        ));
    }
    Ok(read)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    check_mode(path)?;
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        if matches!(error, rustls::pki_types::pem::Error::NoItemsFound) {
            let path = path.display();
            format!(
                "the file {path} of sslkey in DATABASE_URL holds no unencrypted private key in PEM format"
            )
        } else {
            file_error("sslkey", path, &error)
        }
    })
}

/// Refuses a private key that other accounts can read, as libpq does. A file of root may be readable for its group.
#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).map_err(|error| {
        format!(
            "cannot read the file {} of sslkey in DATABASE_URL: {error}",
            path.display()
        )
    })?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden == 0 {
        return Ok(());
    }
    Err(format!(
        "other accounts can read the private key {} of sslkey in DATABASE_URL; run `chmod 600` on it",
        path.display()
    ))
}

#[cfg(not(unix))]
fn check_mode(_path: &Path) -> Result<(), String> {
    Ok(())
}

fn file_error(parameter: &str, path: &Path, error: &rustls::pki_types::pem::Error) -> String {
    format!(
        "cannot read the file {} of {parameter} in DATABASE_URL: {error}",
        path.display()
    )
}
