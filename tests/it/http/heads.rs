//! Requests whose headers or bodies disagree: with `initialize`, with a proxy's own authorization, or with themselves.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{LEGACY, result_of, send, set_up};
use crate::http_server::{Agent, call};

#[tokio::test(flavor = "multi_thread")]
async fn initialize_decides_the_version_and_not_its_header() {
    let (_db, key, server) = set_up().await;
    for (header, requested, negotiated) in [
        ("2025-06-18", "2025-03-26", "2025-03-26"),
        ("2024-11-05", LEGACY, LEGACY),
        ("1999-01-01", LEGACY, LEGACY),
        (LEGACY, "1999-01-01", LEGACY),
    ] {
        let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": requested, "capabilities": {}, "clientInfo": {"name": "client", "version": "1"}}});
        let request = server
            .request(reqwest::Method::POST, "/mcp")
            .header("mcp-protocol-version", header)
            .json(&initialize);
        let initialized = result_of(request, &key).await;
        let version = initialized["protocolVersion"].as_str().unwrap();
        if requested == "1999-01-01" {
            assert_ne!(version, requested, "{header}");
        } else {
            assert_eq!(version, negotiated, "{header}");
        }
    }
    // Other requests negotiate nothing.
    let unknown = server
        .request(reqwest::Method::POST, "/mcp")
        .header("mcp-protocol-version", "1999-01-01")
        .json(&call(1, "whoami", &json!({})));
    assert_eq!(send(unknown, &key).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_message_gets_415_on_every_path() {
    let (db, key, server) = set_up().await;
    let agent = Agent::greet(server.served.at, &key).await;
    let body = call(1, "whoami", &json!({}));
    for encoding in ["gzip", "deflate", "br", "zstd", "identity, gzip"] {
        for request in [
            server.legacy(&body).bearer_auth(key.reveal()),
            agent.message(&key).json(&body),
        ] {
            let response = request.header("content-encoding", encoding).send().await.unwrap();
            assert_eq!(
                response.status(),
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{encoding}"
            );
            assert_eq!(response.headers()["accept-encoding"], "identity");
            let error: Value = response.json().await.unwrap();
            assert!(error.to_string().contains("Content-Encoding"), "{error}");
        }
    }
    assert_eq!(super::event_count(&db).await, 0);
    result_of(server.legacy(&body).header("content-encoding", "Identity"), &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x_api_key_works_beside_basic_authorization_of_a_proxy() {
    let (_db, key, server) = set_up().await;
    let body = call(1, "whoami", &json!({}));
    let beside = server
        .legacy(&body)
        .basic_auth("proxy", Some("secret"))
        .header("x-api-key", format!(" {} ", key.reveal()));
    assert_eq!(beside.send().await.unwrap().status(), StatusCode::OK);
    let other = server
        .legacy(&body)
        .bearer_auth("another-token")
        .header("x-api-key", key.reveal());
    assert_eq!(other.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_field_in_arguments_is_refused_and_recorded_over_http() {
    let (db, key, server) = set_up().await;
    let mut agent = Agent::greet(server.served.at, &key).await;
    let twice = |id: i64| {
        let search = call(id, "search_skills", &json!({"query": "a", "tag": "b"}));
        search.to_string().replace("\"tag\"", "\"query\"")
    };
    let post = server.legacy(&json!({})).body(twice(1));
    let over_http = result_of(post, &key).await;
    let sent = agent
        .message(&key)
        .header("content-type", "application/json")
        .body(twice(2));
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::ACCEPTED);
    let over_sse = agent.receive(2).await["result"].clone();
    for result in [over_http, over_sse] {
        assert_eq!(result["isError"], true, "{result}");
        assert!(result.to_string().contains("occurs twice"), "{result}");
    }
    let list =
        r#"{"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {"cursor": "a", "cursor": "b"}}"#;
    let refused: Value = send(server.legacy(&json!({})).body(list), &key)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!(3), &json!(-32_602)),
        "{refused}"
    );
    let recorded: String = db
        .value(
            "SELECT string_agg(concat_ws(' ', transport, tool, outcome), '; ' ORDER BY id) FROM usage_events",
        )
        .await;
    assert_eq!(
        recorded,
        "http search_skills invalid_arguments; sse search_skills invalid_arguments"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_surrogate_pair_is_answered_over_http() {
    let (db, key, server) = set_up().await;
    let mut agent = Agent::greet(server.served.at, &key).await;
    let search = |id: i64| {
        let search = call(id, "search_skills", &json!({"query": "HALF"}));
        search.to_string().replace("HALF", "\\ud83d")
    };
    let over_http = result_of(server.legacy(&json!({})).body(search(1)), &key).await;
    let sent = agent
        .message(&key)
        .header("content-type", "application/json")
        .body(search(2));
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::ACCEPTED);
    let over_sse = agent.receive(2).await["result"].clone();
    for result in [over_http, over_sse] {
        assert_eq!(result["isError"], false, "{result}");
    }
    let texts: i64 = db
        .value("SELECT count(*) FROM usage_events WHERE arguments->>'search_text' = U&'\\FFFD'")
        .await;
    assert_eq!(texts, 2);
}
