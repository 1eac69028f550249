//! A tenant named in a header, in the URL or by another tenant's session is ignored: only the API key selects the tenant.

use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::isolation_probe::{Fixtures, ProbeClient};

use super::clients::SseClient;
use crate::harness::TestDb;
use crate::helpers::table_checksums;
use crate::http_server::{call, post, serve};

/// Headers that other products read a tenant, a user or a session from.
pub(super) const HEADERS: [&str; 26] = [
    "x-tenant-id",
    "x-tenant",
    "tenant",
    "tenant-id",
    "x-organization-id",
    "x-org-id",
    "x-account-id",
    "x-workspace-id",
    "x-user-id",
    "x-user",
    "x-forwarded-user",
    "x-remote-user",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
    "from",
    "cookie",
    "x-session-id",
    "proxy-authorization",
    "x-auth-token",
    "x-access-token",
    "baggage",
    "traceparent",
    "x-http-method-override",
];

#[tokio::test(flavor = "multi_thread")]
async fn tenant_in_any_header_is_ignored_over_http() {
    let db = TestDb::new().await;
    let service = db.service();
    let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
    let address = serve(&service).await;
    let before = table_checksums(&db, fixtures.victim.tenant).await;
    let body = call(1, "whoami", &json!({}));
    let bearer = format!("Bearer {}", fixtures.victim.key.reveal());
    for header in HEADERS {
        for value in [
            fixtures.victim.tenant.to_string().as_str(),
            &fixtures.victim.slug,
            fixtures.victim.key.reveal(),
            &bearer,
            "session=1; tenant=1",
        ] {
            let request = post(address, &fixtures.attacker.key, &body).header(header, value);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{header}: {value}");
            let response: Value = response.json().await.unwrap();
            assert_eq!(
                response["result"]["structuredContent"]["tenant"], fixtures.attacker.slug,
                "{header}: {value}: {response}"
            );
        }
        // Without an API key of its own the request is rejected.
        let request = reqwest::Client::new()
            .post(format!("http://{address}/mcp"))
            .header("accept", "application/json, text/event-stream")
            .header(header, &bearer)
            .json(&body);
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED,
            "{header}"
        );
    }
    // Two different API keys in the two headers that may carry one are rejected.
    for (first, second) in [
        (&fixtures.attacker.key, &fixtures.victim.key),
        (&fixtures.victim.key, &fixtures.attacker.key),
    ] {
        let request = post(address, first, &body).header("x-api-key", second.reveal());
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
        let request =
            post(address, first, &body).header("authorization", format!("Bearer {}", second.reveal()));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(table_checksums(&db, fixtures.victim.tenant).await, before);
}

/// The same on the two endpoints of HTTP+SSE: the stream and the messages to the session.
#[tokio::test(flavor = "multi_thread")]
async fn tenant_in_any_header_is_ignored_over_sse() {
    let db = TestDb::new().await;
    let service = db.service();
    let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
    let address = serve(&service).await;
    let before = table_checksums(&db, fixtures.victim.tenant).await;
    let bearer = format!("Bearer {}", fixtures.victim.key.reveal());
    let mut client_of_attacker = SseClient::connect(address, &fixtures.attacker.key).await;
    let client = reqwest::Client::new();
    let mut id = 100;
    for header in HEADERS {
        for value in [
            fixtures.victim.tenant.to_string().as_str(),
            &fixtures.victim.slug,
            &bearer,
        ] {
            id += 1;
            let request = client_of_attacker
                .agent
                .message(&fixtures.attacker.key)
                .header(header, value);
            let response = request
                .json(&call(id, "whoami", &json!({})))
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), StatusCode::ACCEPTED, "{header}: {value}");
            let response = client_of_attacker.agent.receive(id).await;
            assert_eq!(
                response["result"]["structuredContent"]["tenant"], fixtures.attacker.slug,
                "{header}: {value}: {response}"
            );
        }
        // Without an API key of its own either request is rejected.
        let stream = client
            .get(format!("http://{address}/sse"))
            .header(header, &bearer);
        let message = client
            .post(format!("http://{address}{}", client_of_attacker.agent.endpoint))
            .header(header, &bearer)
            .json(&call(1, "whoami", &json!({})));
        for request in [stream, message] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{header}");
        }
    }
    // A key in a header that is not read is ignored.
    let opened = client
        .get(format!("http://{address}/sse"))
        .bearer_auth(fixtures.attacker.key.reveal())
        .header("x-auth-token", fixtures.victim.key.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(opened.status(), StatusCode::OK);
    // Two different API keys are rejected.
    let opened = client
        .get(format!("http://{address}/sse"))
        .bearer_auth(fixtures.attacker.key.reveal())
        .header("x-api-key", fixtures.victim.key.reveal());
    assert_eq!(opened.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(table_checksums(&db, fixtures.victim.tenant).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn unauthenticated_endpoints_reveal_no_tenant_and_no_metrics() {
    let db = TestDb::new().await;
    let service = db.service();
    let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
    let address = serve(&service).await;
    let client = reqwest::Client::new();
    let get = async |path: &str, key: Option<&str>| {
        let request = client.get(format!("http://{address}{path}"));
        let request = match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let response = request.send().await.unwrap();
        let headers = format!("{:?}", response.headers());
        (response.status(), headers, response.text().await.unwrap())
    };
    // The same response without an API key and with any tenant's.
    for key in [
        None,
        Some(fixtures.attacker.key.reveal()),
        Some(fixtures.victim.key.reveal()),
    ] {
        for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
            for tail in [String::new(), format!("?tenant={}", fixtures.victim.slug)] {
                let (status, headers, text) = get(&format!("{path}{tail}"), key).await;
                assert_eq!((status, text.as_str()), (StatusCode::OK, body), "{path}");
                for secret in &fixtures.secrets {
                    assert!(!headers.contains(secret), "{path}: {headers}");
                }
            }
        }
        for path in [
            "/metrics",
            "/stats",
            "/status",
            "/debug/vars",
            "/healthz/tenants",
            "/tenants",
        ] {
            assert_eq!(get(path, key).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_or_api_key_in_the_url_is_ignored() {
    let db = TestDb::new().await;
    let service = db.service();
    let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
    let address = serve(&service).await;
    let body = call(1, "whoami", &json!({}));
    let key = fixtures.victim.key.reveal();
    for tail in [
        format!("?tenant={}", fixtures.victim.slug),
        format!("?tenant_id={}", fixtures.victim.tenant),
        format!("?api_key={key}"),
        format!("?access_token={key}"),
        format!("?authorization=Bearer%20{key}"),
        format!("#{key}"),
    ] {
        let request = |with_key: bool| {
            let request = reqwest::Client::new()
                .post(format!("http://{address}/mcp{tail}"))
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2025-11-25")
                .json(&body);
            if with_key {
                request.bearer_auth(fixtures.attacker.key.reveal())
            } else {
                request
            }
        };
        let response: Value = request(true).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            response["result"]["structuredContent"]["tenant"], fixtures.attacker.slug,
            "{tail}: {response}"
        );
        assert_eq!(
            request(false).send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED,
            "{tail}"
        );
    }
    for path in [
        format!("/{}/mcp", fixtures.victim.slug),
        format!("/mcp/{}", fixtures.victim.tenant),
        format!("/tenants/{}/mcp", fixtures.victim.slug),
    ] {
        let request = reqwest::Client::new()
            .post(format!("http://{address}{path}"))
            .bearer_auth(fixtures.attacker.key.reveal())
            .json(&body);
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_of_another_tenant_is_not_found() {
    let db = TestDb::new().await;
    let service = db.service();
    let fixtures = Fixtures::create(&db.admin, &service).await.unwrap();
    let address = serve(&service).await;
    let other_tenant = SseClient::connect(address, &fixtures.victim.key).await;
    let session = other_tenant
        .agent
        .endpoint
        .split_once("sessionId=")
        .unwrap()
        .1
        .to_owned();
    let body = call(1, "whoami", &json!({}));
    let foreign = other_tenant
        .agent
        .message(&fixtures.attacker.key)
        .json(&body)
        .send()
        .await
        .unwrap();
    let nothing = reqwest::Client::new()
        .post(format!(
            "http://{address}/messages?sessionId={}",
            "0".repeat(session.len())
        ))
        .bearer_auth(fixtures.attacker.key.reveal())
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    assert_eq!(foreign.text().await.unwrap(), nothing.text().await.unwrap());
    // Streamable HTTP has no sessions, so the id is ignored.
    let request = post(address, &fixtures.attacker.key, &body).header("mcp-session-id", &session);
    let response: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        response["result"]["structuredContent"]["tenant"], fixtures.attacker.slug,
        "{response}"
    );
    let ended = reqwest::Client::new()
        .delete(format!("http://{address}/mcp"))
        .bearer_auth(fixtures.attacker.key.reveal())
        .header("mcp-session-id", &session)
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), StatusCode::METHOD_NOT_ALLOWED);
    let mut other_tenant = other_tenant;
    let response = ProbeClient::request(&mut other_tenant, "ping", json!({}))
        .await
        .unwrap();
    assert!(response.get("result").is_some(), "{response}");
}
