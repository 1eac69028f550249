//! Paths with a slash at the end, and a registry below a path of a reverse proxy.

use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::HttpOptions;

use crate::command::{CommandOutput, program};
use crate::harness::TestDb;
use crate::http_server::{PATIENCE, TestHttpServer, call};

async fn set_up(options: HttpOptions) -> (TestDb, ApiKey, TestHttpServer) {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let served = TestHttpServer::start(db.service(), options).await;
    (db, key, served)
}

fn below_prefix() -> HttpOptions {
    HttpOptions {
        path_prefix: "/skills-registry".parse().unwrap(),
        ..HttpOptions::default()
    }
}

/// The address for messages that an event stream begins with, without its session.
async fn endpoint(request: RequestBuilder) -> String {
    let mut response = request.timeout(PATIENCE).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{response:?}");
    let mut text = String::new();
    while !text.contains("\n\n") {
        let chunk = response.chunk().await.unwrap().expect("the stream ended");
        text += std::str::from_utf8(&chunk).unwrap();
    }
    let data = text.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
    data.trim().split_once("?sessionId=").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn path_with_slash_at_its_end_is_the_same_path() {
    let (_db, key, served) = set_up(HttpOptions::default()).await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("http://{}{path}", served.at);
    let answer = client
        .post(url("/mcp/"))
        .bearer_auth(key.reveal())
        .json(&call(1, "whoami", &json!({})));
    assert_eq!(answer.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        endpoint(client.get(url("/sse/")).bearer_auth(key.reveal())).await,
        "/messages"
    );
    for (path, status) in [
        ("/messages/?sessionId=0", StatusCode::NOT_FOUND),
        ("/skills/", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let request = client.post(url(path)).bearer_auth(key.reveal()).json(&json!({}));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert!(!response.text().await.unwrap().is_empty(), "{path}");
    }
    for path in ["/healthz/", "/readyz/"] {
        assert_eq!(
            client.get(url(path)).send().await.unwrap().status(),
            StatusCode::OK,
            "{path}"
        );
    }
    // The key is checked on these paths too.
    let keyless = client.post(url("/mcp/")).json(&json!({}));
    assert_eq!(keyless.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_served_with_and_without_the_path_prefix() {
    let (_db, key, served) = set_up(below_prefix()).await;
    let client = reqwest::Client::new();
    for prefix in ["", "/skills-registry"] {
        let url = format!("http://{}{prefix}", served.at);
        let answer = client
            .post(format!("{url}/mcp"))
            .bearer_auth(key.reveal())
            .json(&call(1, "whoami", &json!({})));
        assert_eq!(answer.send().await.unwrap().status(), StatusCode::OK, "{prefix}");
        let stream = client.get(format!("{url}/sse")).bearer_auth(key.reveal());
        assert_eq!(endpoint(stream).await, "/skills-registry/messages", "{prefix}");
        let keyless = client.post(format!("{url}/mcp")).json(&json!({}));
        assert_eq!(keyless.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_sse_client_works_below_the_path_prefix() {
    let (_db, key, served) = set_up(below_prefix()).await;
    let url = format!("http://{}/skills-registry/mcp/", served.at);
    let mut command = program(&["call", "whoami", "--url", &url, "--transport", "sse", "--json"]);
    command.env("SKILLKEEP_API_KEY", format!("{}\n", key.reveal()));
    let output = tokio::task::spawn_blocking(move || CommandOutput::of(&mut command));
    let output = output.await.unwrap();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.out.contains("acme"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_prefix_is_used_from_trusted_proxies_only() {
    let trusting = HttpOptions {
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..below_prefix()
    };
    for (options, expected) in [
        (trusting, "/from-proxy/messages"),
        (below_prefix(), "/skills-registry/messages"),
        (HttpOptions::default(), "/messages"),
    ] {
        let (_db, key, served) = set_up(options).await;
        let stream = |prefix: &str| {
            reqwest::Client::new()
                .get(format!("http://{}/sse", served.at))
                .bearer_auth(key.reveal())
                .header("x-forwarded-prefix", prefix)
        };
        assert_eq!(endpoint(stream("/from-proxy/")).await, expected);
        let unusable = expected.replace("from-proxy", "skills-registry");
        for prefix in ["//evil.example", "https://evil.example", "/a/../b", "/a\u{e9}"] {
            assert_eq!(endpoint(stream(prefix)).await, unusable, "{prefix}");
        }
    }
}
