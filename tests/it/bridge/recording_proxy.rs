//! A proxy between the bridge and a registry that shows what the bridge sends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use serde_json::Value;

/// Forwards requests to the registry and records the messages in them.
pub(super) async fn proxy(registry: SocketAddr, sent: Arc<Mutex<Vec<Value>>>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let app = Router::new().fallback(
        move |method: Method, uri: Uri, mut headers: HeaderMap, body: Bytes| {
            sent.lock()
                .unwrap()
                .push(serde_json::from_slice(&body).unwrap_or_default());
            headers.remove("host");
            let request = client.request(method, format!("http://{registry}{uri}"));
            async move {
                let response = request.headers(headers).body(body).send().await.unwrap();
                let (status, mut headers) = (response.status(), response.headers().clone());
                headers.remove("transfer-encoding");
                (status, headers, response.bytes().await.unwrap())
            }
        },
    );
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}
