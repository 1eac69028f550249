//! A tenant named in a header, in the URL or by another's session changes nothing: the key alone decides.

use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::proof::World;

use super::speakers::Sse;
use crate::harness::TestDb;
use crate::served::{call, post, serve};
use crate::support::sums;

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
    let door = db.door();
    let world = World::plant(&db.admin, &door).await.unwrap();
    let at = serve(&door).await;
    let before = sums(&db, world.victim.tenant).await;
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
    assert_eq!(sums(&db, world.victim.tenant).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_the_url_names_a_tenant_or_a_key() {
    let db = TestDb::new().await;
    let door = db.door();
    let world = World::plant(&db.admin, &door).await.unwrap();
    let at = serve(&door).await;
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
    let door = db.door();
    let world = World::plant(&db.admin, &door).await.unwrap();
    let at = serve(&door).await;
    let theirs = Sse::greet(at, &world.victim.key).await;
    let session = theirs
        .agent
        .endpoint
        .split_once("sessionId=")
        .unwrap()
        .1
        .to_owned();
    let body = call(1, "whoami", &json!({}));
    // Where there are sessions.
    let foreign = theirs
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
    let mut theirs = theirs;
    let still = skillkeep::proof::Asking::ask(&mut theirs, "ping", json!({}))
        .await
        .unwrap();
    assert!(still.get("result").is_some(), "{still}");
}
