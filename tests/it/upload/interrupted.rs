//! Uploads that break off, stall, or are too many.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use skillkeep::transport::http::HttpOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Fixture, answer, events_after, zip};
use crate::http_server::TestHttpServer;

/// Sends the head of an upload and the first bytes of its body.
async fn begin(fixture: &Fixture, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.at).await.unwrap();
    let head = format!(
        "POST /skills HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n\r\n",
        fixture.at,
        fixture.key.reveal()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

fn recorded(outcome: &str) -> (String, String) {
    ("publish_skill".to_owned(), outcome.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_that_breaks_off_is_recorded_and_publishes_nothing() {
    let fixture = Fixture::new().await;
    let archive = zip();
    for (number, cut) in [1, archive.len() / 2, archive.len() - 1].into_iter().enumerate() {
        drop(begin(&fixture, archive.len(), &archive[..cut]).await);
        let events = events_after(&fixture, number + 1).await;
        assert_eq!(events, vec![recorded("client_gone"); number + 1]);
    }
    assert_eq!(fixture.skills().await, 0);
    assert_eq!(answer(fixture.post("", archive)).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_that_stalls_is_ended_and_recorded() {
    let mut fixture = Fixture::new().await;
    let options = HttpOptions {
        request_timeout: Duration::from_secs(1),
        ..HttpOptions::default()
    };
    let served = TestHttpServer::start(Arc::clone(&fixture.service), options).await;
    fixture.at = served.at;
    let mut stream = begin(&fixture, 1000, b"PK\x03\x04").await;
    let mut response = vec![0; 1024];
    let read = stream.read(&mut response).await.unwrap();
    let response = String::from_utf8_lossy(&response[..read]).into_owned();
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert_eq!(events_after(&fixture, 1).await, [recorded("timed_out")]);
    assert_eq!(fixture.skills().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn third_upload_of_a_tenant_at_once_is_refused() {
    let fixture = Fixture::new().await;
    let mut waiting = Vec::new();
    let mut last = StatusCode::OK;
    for _ in 0..100 {
        // More than two: one may be refused while the archive below is read.
        waiting.push(begin(&fixture, 1000, b"PK").await);
        last = answer(fixture.post("", b"no archive".to_vec())).await.0;
        if last == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    // Another tenant is not affected.
    let other = fixture.db.tenant("other").await;
    let key = fixture.db.full_key(other).await;
    let request = reqwest::Client::new()
        .post(format!("http://{}/skills", fixture.at))
        .bearer_auth(key.reveal())
        .body(zip());
    assert_eq!(answer(request).await.0, StatusCode::OK);
    drop(waiting);
    for _ in 0..100 {
        last = answer(fixture.post("", zip())).await.0;
        if last == StatusCode::OK {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the permits were not released: {last}");
}
