//! A registry whose certificate is not signed by a public authority.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{BridgeClient, bridge, legacy};

const RESPONSE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"fine":true}}"#;

/// Starts a TLS server that answers the request with id 1. Returns its address and its certificate (PEM).
async fn serve() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let head =
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length";
            let response = format!("{head}: {}\r\n\r\n{RESPONSE}", RESPONSE.len());
            stream.write_all(response.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (address, made.cert.pem())
}

async fn first_response(url: &str, ca_file: Option<&str>) -> Value {
    let key = ApiKey::generate(TenantId::new(), &mut rand::rng());
    let mut command = bridge(url, key.reveal());
    if let Some(file) = ca_file {
        command.args(["--ca-file", file]);
    }
    let mut client = BridgeClient::of(command);
    let answer = client.ask(&legacy(1, "ping", &json!({}))).await;
    client.end_well(&key).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn self_signed_certificate_is_trusted_only_with_ca_file() {
    let (address, certificate) = serve().await;
    let url = format!("https://localhost:{}", address.port());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, certificate).unwrap();
    let path = file.path().to_str().unwrap();

    let answer = first_response(&url, Some(path)).await;
    assert_eq!(answer["result"]["fine"], true, "{answer}");

    let answer = first_response(&url, None).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert_eq!(answer["error"]["code"], -31011, "{answer}");
    assert!(
        message.contains("does not trust") && message.contains("--ca-file"),
        "{message}"
    );

    // The right certificate for another name.
    let by_address = format!("https://{address}");
    let answer = first_response(&by_address, Some(path)).await;
    assert!(
        answer["error"]["message"].to_string().contains("does not trust"),
        "{answer}"
    );

    // A server without TLS.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_url = format!("https://{}", plain.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let answer = first_response(&plain_url, Some(path)).await;
    assert!(
        answer["error"]["message"]
            .to_string()
            .contains("no TLS connection"),
        "{answer}"
    );
}
