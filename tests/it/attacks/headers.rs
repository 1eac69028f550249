//! A tenant named in a header, in the URL or by another's session changes nothing: the key alone decides.

use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::isolation_probe::Fixtures;

use super::clients::Sse;
use crate::harness::TestDb;
use crate::helpers::table_checksums;
use crate::http_server::{call, post, serve};

/// Headers that other products take a tenant, a user or a session from.
const HEADERS: [&str; 26] = [
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
async fn no_header_but_the_keys_own_names_a_tenant() {
    let db = TestDb::new().await;
    let service = db.service();
    let world = Fixtures::create(&db.admin, &service).await.unwrap();
    let at = serve(&service).await;
    let before = table_checksums(&db, world.victim.tenant).await;
    let body = call(1, "whoami", &json!({}));
    let bearer = format!("Bearer {}", world.victim.key.reveal());
    for header in HEADERS {
        for value in [
            world.victim.tenant.to_string().as_str(),
            &world.victim.slug,
            world.victim.key.reveal(),
            &bearer,
            "session=1; tenant=1",
        ] {
            let asked = post(at, &world.attacker.key, &body).header(header, value);
            let response = asked.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{header}: {value}");
            let answer: Value = response.json().await.unwrap();
            assert_eq!(
                answer["result"]["structuredContent"]["tenant"], world.attacker.slug,
                "{header}: {value}: {answer}"
            );
        }
        // And without a key of one's own, none of them opens anything.
        let asked = reqwest::Client::new()
            .post(format!("http://{at}/mcp"))
            .header("accept", "application/json, text/event-stream")
            .header(header, &bearer)
            .json(&body);
        assert_eq!(
            asked.send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED,
            "{header}"
        );
    }
    // The two that may carry a key must not disagree, whichever comes first.
    for (first, second) in [
        (&world.attacker.key, &world.victim.key),
        (&world.victim.key, &world.attacker.key),
    ] {
        let asked = post(at, first, &body).header("x-api-key", second.reveal());
        assert_eq!(asked.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
        let asked = post(at, first, &body).header("authorization", format!("Bearer {}", second.reveal()));
        assert_eq!(asked.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(table_checksums(&db, world.victim.tenant).await, before);
}

/// The same on the two routes of HTTP+SSE: the stream and the messages to one's own session.
#[tokio::test(flavor = "multi_thread")]
async fn no_header_but_the_keys_own_names_a_tenant_to_an_event_stream() {
    let db = TestDb::new().await;
    let service = db.service();
    let world = Fixtures::create(&db.admin, &service).await.unwrap();
    let at = serve(&service).await;
    let before = table_checksums(&db, world.victim.tenant).await;
    let bearer = format!("Bearer {}", world.victim.key.reveal());
    let mut mine = Sse::greet(at, &world.attacker.key).await;
    let client = reqwest::Client::new();
    let mut id = 100;
    for header in HEADERS {
        for value in [
            world.victim.tenant.to_string().as_str(),
            &world.victim.slug,
            &bearer,
        ] {
            id += 1;
            let asked = mine.agent.message(&world.attacker.key).header(header, value);
            let response = asked.json(&call(id, "whoami", &json!({}))).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::ACCEPTED, "{header}: {value}");
            let answer = mine.agent.receive(id).await;
            assert_eq!(
                answer["result"]["structuredContent"]["tenant"], world.attacker.slug,
                "{header}: {value}: {answer}"
            );
        }
        // Without a key of one's own, neither opens.
        let stream = client.get(format!("http://{at}/sse")).header(header, &bearer);
        let message = client
            .post(format!("http://{at}{}", mine.agent.endpoint))
            .header(header, &bearer)
            .json(&call(1, "whoami", &json!({})));
        for asked in [stream, message] {
            let response = asked.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{header}");
        }
    }
    // A stream that is opened with the victim's key in another header is the attacker's own all the same.
    let opened = client
        .get(format!("http://{at}/sse"))
        .bearer_auth(world.attacker.key.reveal())
        .header("x-auth-token", world.victim.key.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(opened.status(), StatusCode::OK);
    // And one with two keys is nobody's.
    let opened = client
        .get(format!("http://{at}/sse"))
        .bearer_auth(world.attacker.key.reveal())
        .header("x-api-key", world.victim.key.reveal());
    assert_eq!(opened.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(table_checksums(&db, world.victim.tenant).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_to_strangers_tells_of_no_tenant_and_there_are_no_metrics() {
    let db = TestDb::new().await;
    let service = db.service();
    let world = Fixtures::create(&db.admin, &service).await.unwrap();
    let at = serve(&service).await;
    let client = reqwest::Client::new();
    let get = async |path: &str, key: Option<&str>| {
        let asked = client.get(format!("http://{at}{path}"));
        let asked = match key {
            Some(key) => asked.bearer_auth(key),
            None => asked,
        };
        let response = asked.send().await.unwrap();
        let headers = format!("{:?}", response.headers());
        (response.status(), headers, response.text().await.unwrap())
    };
    // The same few words for everybody: with a key, with another's, and with none.
    for key in [
        None,
        Some(world.attacker.key.reveal()),
        Some(world.victim.key.reveal()),
    ] {
        for (path, words) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
            for tail in [String::new(), format!("?tenant={}", world.victim.slug)] {
                let (status, headers, text) = get(&format!("{path}{tail}"), key).await;
                assert_eq!((status, text.as_str()), (StatusCode::OK, words), "{path}");
                for secret in &world.secrets {
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
async fn no_part_of_the_url_names_a_tenant_or_a_key() {
    let db = TestDb::new().await;
    let service = db.service();
    let world = Fixtures::create(&db.admin, &service).await.unwrap();
    let at = serve(&service).await;
    let body = call(1, "whoami", &json!({}));
    let key = world.victim.key.reveal();
    for tail in [
        format!("?tenant={}", world.victim.slug),
        format!("?tenant_id={}", world.victim.tenant),
        format!("?api_key={key}"),
        format!("?access_token={key}"),
        format!("?authorization=Bearer%20{key}"),
        format!("#{key}"),
    ] {
        let asked = |with_key: bool| {
            let request = reqwest::Client::new()
                .post(format!("http://{at}/mcp{tail}"))
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2025-11-25")
                .json(&body);
            if with_key {
                request.bearer_auth(world.attacker.key.reveal())
            } else {
                request
            }
        };
        let answer: Value = asked(true).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            answer["result"]["structuredContent"]["tenant"], world.attacker.slug,
            "{tail}: {answer}"
        );
        assert_eq!(
            asked(false).send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED,
            "{tail}"
        );
    }
    for path in [
        format!("/{}/mcp", world.victim.slug),
        format!("/mcp/{}", world.victim.tenant),
        format!("/tenants/{}/mcp", world.victim.slug),
    ] {
        let asked = reqwest::Client::new()
            .post(format!("http://{at}{path}"))
            .bearer_auth(world.attacker.key.reveal())
            .json(&body);
        assert_eq!(
            asked.send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_session_does_not_exist_on_any_transport_that_has_them() {
    let db = TestDb::new().await;
    let service = db.service();
    let world = Fixtures::create(&db.admin, &service).await.unwrap();
    let at = serve(&service).await;
    let other_tenant = Sse::greet(at, &world.victim.key).await;
    let session = other_tenant
        .agent
        .endpoint
        .split_once("sessionId=")
        .unwrap()
        .1
        .to_owned();
    let body = call(1, "whoami", &json!({}));
    // Where there are sessions.
    let foreign = other_tenant
        .agent
        .message(&world.attacker.key)
        .json(&body)
        .send()
        .await
        .unwrap();
    let nothing = reqwest::Client::new()
        .post(format!(
            "http://{at}/messages?sessionId={}",
            "0".repeat(session.len())
        ))
        .bearer_auth(world.attacker.key.reveal())
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    assert_eq!(foreign.text().await.unwrap(), nothing.text().await.unwrap());
    // Where there are none, the id of one is nothing.
    let asked = post(at, &world.attacker.key, &body).header("mcp-session-id", &session);
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], world.attacker.slug,
        "{answer}"
    );
    let ended = reqwest::Client::new()
        .delete(format!("http://{at}/mcp"))
        .bearer_auth(world.attacker.key.reveal())
        .header("mcp-session-id", &session)
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), StatusCode::METHOD_NOT_ALLOWED);
    let mut other_tenant = other_tenant;
    let still = skillkeep::isolation_probe::ProbeClient::ask(&mut other_tenant, "ping", json!({}))
        .await
        .unwrap();
    assert!(still.get("result").is_some(), "{still}");
}
