//! HTTP+SSE servers that are broken or hostile.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::call_remote;
use crate::harness::TestDb;

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// A server that answers each connection with this text and closes it. Returns the requests too.
async fn upstream(answer: &'static str) -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).await.unwrap();
            seen.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&request[..count]));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_sse_servers_end_the_call_with_an_error() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    for (body, message) in [
        ("", "ended at its beginning"),
        (
            "event: endpoint\ndata: http://127.0.0.2:1/messages\n\n",
            "no address on the same server",
        ),
        (
            "event: endpoint\ndata: https://[\n\n",
            "no address on the same server",
        ),
        (
            "event: endpoint\ndata: /messages\n\ndata: hello\n\n",
            "not a JSON-RPC message",
        ),
    ] {
        let answer: &'static str = Box::leak(format!("{STREAM}{body}").into_boxed_str());
        let (at, requests) = upstream(answer).await;
        let output = call_remote(at, &key, &["whoami", "--transport", "sse"]);
        assert_eq!(output.code, 5, "{body:?}: {output:?}");
        assert!(output.err.contains(message), "{body:?}: {output:?}");
        let requests = requests.lock().unwrap();
        assert!(requests.starts_with("GET /sse "), "{requests}");
    }
    let (at, _) = upstream("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let output = call_remote(at, &key, &["whoami", "--transport", "sse"]);
    assert_eq!(output.code, 5, "{output:?}");
    assert!(output.err.contains("does not speak MCP"), "{output:?}");
}
