//! TLS for tokio-postgres, with the channel binding `tls-server-end-point` (RFC 5929, section 4), which SCRAM-SHA-256-PLUS
//! needs.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt as _};
use rustls::ClientConfig;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::ObjectIdentifier;

/// Makes TLS connections to a database.
#[derive(Clone)]
pub(in crate::db) struct TlsConnector(Arc<ClientConfig>);

impl TlsConnector {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self(Arc::new(config))
    }
}

impl<S> MakeTlsConnect<S> for TlsConnector
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = TlsStream<S>;
    type TlsConnect = Handshake;
    type Error = InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, InvalidDnsNameError> {
        Ok(Handshake {
            server: ServerName::try_from(host.to_owned())?,
            connector: Arc::clone(&self.0).into(),
        })
    }
}

/// A connection before its TLS handshake.
pub(in crate::db) struct Handshake {
    server: ServerName<'static>,
    connector: tokio_rustls::TlsConnector,
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = TlsStream<S>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TlsStream<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        async move { self.connector.connect(self.server, stream).await.map(TlsStream) }.boxed()
    }
}

/// A connection that is encrypted with TLS.
pub(in crate::db) struct TlsStream<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for TlsStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        session
            .peer_certificates()
            .and_then(<[_]>::first)
            .and_then(|certificate| end_point(certificate))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

/// A hash function that a certificate is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// Signature algorithms with one hash function (RFC 4055, RFC 5758, RFC 3279). MD5 and SHA-1 are replaced by SHA-256, as RFC
/// 5929 says. Ed25519 uses none, so there is no channel binding with it.
const SIGNATURES: [(ObjectIdentifier, Hash); 11] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), Hash::Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), Hash::Sha256),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.14"),
        Hash::Sha224,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
        Hash::Sha256,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
        Hash::Sha384,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
        Hash::Sha512,
    ),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), Hash::Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.1"), Hash::Sha224),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), Hash::Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), Hash::Sha384),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), Hash::Sha512),
];

/// Hash functions in the parameters of RSASSA-PSS (RFC 4055, section 2.1).
const PSS_HASHES: [(ObjectIdentifier, Hash); 5] = [
    (ObjectIdentifier::new_unwrap("1.3.14.3.2.26"), Hash::Sha256),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.4"),
        Hash::Sha224,
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        Hash::Sha256,
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"),
        Hash::Sha384,
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"),
        Hash::Sha512,
    ),
];

/// The hash of a certificate, in the hash function of its signature; `None` if that has no single one.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let hash = if algorithm.oid == RSASSA_PSS {
        // Without parameters, the hash function is SHA-1.
        match &algorithm.parameters {
            Some(parameters) => pss_hash(parameters.value())?,
            None => Hash::Sha256,
        }
    } else {
        find(&SIGNATURES, algorithm.oid)?
    };
    Some(match hash {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

fn find(table: &[(ObjectIdentifier, Hash)], wanted: ObjectIdentifier) -> Option<Hash> {
    table
        .iter()
        .find(|(identifier, _)| *identifier == wanted)
        .map(|(_, hash)| *hash)
}

/// Reads `[0] { SEQUENCE { OBJECT IDENTIFIER, … } }`, the optional first field of the parameters.
fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    match parameters {
        [0xa0, _, 0x30, _, 0x06, length, rest @ ..] => {
            let bytes = rest.get(..usize::from(*length))?;
            find(&PSS_HASHES, ObjectIdentifier::from_bytes(bytes).ok()?)
        }
        // The default, SHA-1.
        _ => Some(Hash::Sha256),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(["db.example.com".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn end_point_uses_the_hash_of_the_signature() {
        let sha256 = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(end_point(&sha256), Some(Sha256::digest(&sha256).to_vec()));
        let sha384 = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(end_point(&sha384), Some(Sha384::digest(&sha384).to_vec()));
        assert_eq!(end_point(&certificate(&rcgen::PKCS_ED25519)), None);
        assert_eq!(end_point(b"no certificate"), None);
    }

    #[test]
    fn pss_parameters_name_the_hash() {
        // From `openssl req -x509 -sha384 -sigopt rsa_padding_mode:pss`.
        let sha384 = [
            0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05,
            0x00,
        ];
        assert_eq!(pss_hash(&sha384), Some(Hash::Sha384));
        assert_eq!(pss_hash(&[]), Some(Hash::Sha256));
        assert_eq!(pss_hash(&sha384[..8]), None);
    }
}
