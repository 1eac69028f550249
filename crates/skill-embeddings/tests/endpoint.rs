//! The endpoint's client against servers that answer well, badly, late, or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic fails the test and shows where"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skill_embeddings::{
    EmbedError, Embedder as _, EndpointEmbedder, EndpointKey, EndpointSettings, VectorFault,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
enum Reply {
    /// Status, further headers, body.
    Send(u16, String, String),
    /// The numbers 1, 0, 0 for the first text, 2, 1, 0 for the second, and so on.
    Numbers,
    /// Headers, then bytes without end.
    Endless,
    /// Headers, then nothing.
    Silent,
    /// The end of the connection.
    Hangup,
}

/// A server on this machine. Answers with the replies in turn, and repeats the last.
struct Server {
    url: String,
    /// Head and body of each request.
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Server {
    async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut replies = VecDeque::from(replies);
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (head, body) = read_request(&mut stream).await;
                let texts = body["input"].as_array().unwrap().len();
                recorded.lock().unwrap().push((head, body));
                match replies.front().unwrap() {
                    Reply::Send(status, headers, body) => send(&mut stream, *status, headers, body).await,
                    Reply::Numbers => send(&mut stream, 200, "", &numbers(texts).to_string()).await,
                    Reply::Endless => {
                        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"data\": [";
                        let mut sent = stream.write_all(head.as_bytes()).await;
                        while sent.is_ok() {
                            sent = stream.write_all(&[b' '; 65_536]).await;
                        }
                    }
                    Reply::Silent => {
                        let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
                        stream.write_all(head.as_bytes()).await.unwrap();
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_secs(60)).await;
                            drop(stream);
                        });
                    }
                    Reply::Hangup => drop(stream),
                }
                if replies.len() > 1 {
                    replies.pop_front();
                }
            }
        });
        Self { url, requests }
    }

    fn settings(&self) -> EndpointSettings {
        EndpointSettings::new(self.url.as_str(), "all-minilm", 3)
    }

    fn embedder(&self) -> EndpointEmbedder {
        EndpointEmbedder::new(self.settings()).unwrap()
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn read_request(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4_096];
        let count = stream.read(&mut part).await.unwrap();
        assert_ne!(count, 0, "the request is cut off");
        bytes.extend_from_slice(&part[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec())
            .unwrap()
            .to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        let body = &bytes[end + 4..];
        if body.len() == length.parse::<usize>().unwrap() {
            return (head, serde_json::from_slice(body).unwrap());
        }
    }
}

async fn send(stream: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    // The client may have given up.
    let _ = stream.write_all(text.as_bytes()).await;
}

fn numbers(texts: usize) -> Value {
    let item =
        |index: usize| json!({"object": "embedding", "index": index, "embedding": [index + 1, index, 0]});
    json!({"object": "list", "model": "m", "data": (0..texts).rev().map(item).collect::<Vec<_>>()})
}

fn status(status: u16, headers: &str) -> Reply {
    Reply::Send(
        status,
        headers.to_owned(),
        "private text of the server".to_owned(),
    )
}

fn body(body: &str) -> Reply {
    Reply::Send(200, String::new(), body.to_owned())
}

/// The error of embedding two documents with one reply.
async fn error_of(reply: Reply) -> EmbedError {
    let server = Server::start(vec![reply]).await;
    let error = server.embedder().embed_documents(&["a", "b"]).await.unwrap_err();
    let message = error.to_string();
    assert!(!message.contains("private"), "{message}");
    assert_eq!(server.count(), 1, "{message}");
    error
}

#[tokio::test]
async fn documents_are_sent_in_batches_with_key_and_prefix() {
    let server = Server::start(vec![Reply::Numbers]).await;
    let settings = EndpointSettings {
        key: Some(EndpointKey::new("sk-1")),
        batch_size: 2,
        document_prefix: "passage: ".to_owned(),
        query_prefix: "query: ".to_owned(),
        ..server.settings()
    };
    let embedder = EndpointEmbedder::new(settings).unwrap();
    let embeddings = embedder.embed_documents(&["a", "b", "c"]).await.unwrap();
    let first: Vec<f32> = embeddings
        .iter()
        .map(|embedding| embedding.as_slice()[0])
        .collect();
    // The server answers in reverse order with indexes.
    assert_eq!(first, [1.0, 2.0 / 5.0_f32.sqrt(), 1.0]);
    embedder.embed_query("d").await.unwrap();
    let requests = server.requests.lock().unwrap();
    let bodies: Vec<&Value> = requests.iter().map(|(_, body)| body).collect();
    assert_eq!(
        *bodies[0],
        json!({"model": "all-minilm", "input": ["passage: a", "passage: b"]})
    );
    assert_eq!(bodies[1]["input"], json!(["passage: c"]));
    assert_eq!(bodies[2]["input"], json!(["query: d"]));
    for (head, _) in requests.iter() {
        assert!(head.starts_with("post /v1/embeddings http/1.1"), "{head}");
        assert!(head.contains("authorization: bearer sk-1"), "{head}");
    }
}

#[tokio::test]
async fn no_texts_need_no_request() {
    let server = Server::start(vec![Reply::Numbers]).await;
    assert_eq!(server.embedder().embed_documents(&[]).await, Ok(Vec::new()));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn model_id_changes_with_the_prefix() {
    let server = Server::start(vec![Reply::Numbers]).await;
    assert_eq!(server.embedder().model_id().as_str(), "all-minilm");
    let with_prefix = |prefix: &str| {
        let settings = EndpointSettings {
            document_prefix: prefix.to_owned(),
            ..server.settings()
        };
        EndpointEmbedder::new(settings).unwrap().model_id().clone()
    };
    assert!(with_prefix("a").as_str().starts_with("all-minilm+"));
    assert_ne!(with_prefix("a"), with_prefix("b"));
}

#[tokio::test]
async fn wrong_answers_are_rejected_without_another_attempt() {
    let one = r#"{"data": [{"index": 0, "embedding": [1, 0, 0]}]}"#;
    assert!(matches!(
        error_of(body(one)).await,
        EmbedError::WrongCount {
            expected: 2,
            returned: 1,
            ..
        }
    ));
    let short = r#"{"data": [{"embedding": [1, 0]}, {"embedding": [1, 0]}]}"#;
    assert!(matches!(
        error_of(body(short)).await,
        EmbedError::WrongDimensions {
            expected: 3,
            returned: 2
        }
    ));
    let zero = r#"{"data": [{"embedding": [0, 0, 0]}, {"embedding": [1, 0, 0]}]}"#;
    assert_eq!(
        error_of(body(zero)).await,
        EmbedError::BadVector(VectorFault::Zero)
    );
    for bad in [
        r#"{"data": [{"embedding": [NaN, 0, 0]}, {"embedding": [1, 0, 0]}]}"#,
        r#"{"error": "private"}"#,
        "<html>private</html>",
        "",
    ] {
        let error = error_of(body(bad)).await;
        assert!(matches!(error, EmbedError::BadAnswer { .. }), "{bad}: {error}");
    }
    assert!(matches!(
        error_of(Reply::Endless).await,
        EmbedError::AnswerTooLarge { .. }
    ));
}

#[tokio::test]
async fn rejected_key_and_wrong_address_are_not_tried_again() {
    assert!(matches!(
        error_of(status(401, "")).await,
        EmbedError::KeyRejected { status: 401, .. }
    ));
    assert!(matches!(
        error_of(status(403, "")).await,
        EmbedError::KeyRejected { status: 403, .. }
    ));
    assert!(matches!(
        error_of(status(404, "")).await,
        EmbedError::Status { status: 404, .. }
    ));
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let other = Server::start(vec![Reply::Numbers]).await;
    for code in [301, 302, 307, 308] {
        let location = format!("Location: {}/embeddings\r\n", other.url);
        let error = error_of(status(code, &location)).await;
        assert!(matches!(error, EmbedError::Redirected { .. }), "{error}");
    }
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn overloaded_server_is_asked_again_after_the_time_it_names() {
    let server = Server::start(vec![
        status(429, "Retry-After: 1\r\n"),
        status(503, ""),
        Reply::Hangup,
        Reply::Numbers,
    ])
    .await;
    let start = Instant::now();
    assert_eq!(server.embedder().embed_documents(&["a"]).await.unwrap().len(), 1);
    assert_eq!(server.count(), 4);
    // One second as the server asks, then the client's own one and two seconds.
    assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn attempts_and_waits_are_bounded() {
    let server = Server::start(vec![status(500, "")]).await;
    let settings = EndpointSettings {
        attempts: 2,
        ..server.settings()
    };
    let error = EndpointEmbedder::new(settings)
        .unwrap()
        .embed_documents(&["a"])
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EmbedError::Overloaded {
                status: 500,
                attempts: 2,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.count(), 2);
    let error = error_of(status(429, "Retry-After: 86400\r\n")).await;
    assert!(
        matches!(error, EmbedError::Overloaded { attempts: 1, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn query_is_tried_once() {
    let server = Server::start(vec![status(503, ""), Reply::Numbers]).await;
    assert!(server.embedder().embed_query("a").await.is_err());
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn slow_answer_ends_with_the_time_out() {
    let server = Server::start(vec![Reply::Silent]).await;
    let settings = EndpointSettings {
        timeout_seconds: 1,
        ..server.settings()
    };
    let start = Instant::now();
    let error = EndpointEmbedder::new(settings)
        .unwrap()
        .embed_documents(&["a"])
        .await
        .unwrap_err();
    assert!(matches!(error, EmbedError::TimedOut { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn missing_server_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let settings = EndpointSettings {
        attempts: 1,
        ..EndpointSettings::new(format!("http://{address}/v1"), "m", 3)
    };
    let error = EndpointEmbedder::new(settings)
        .unwrap()
        .embed_documents(&["a"])
        .await
        .unwrap_err();
    assert!(matches!(error, EmbedError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
