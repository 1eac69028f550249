//! Each read of a skill leaves one event, which names the skill and contains no text of the caller; lists leave none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use skillkeep::ids::TenantId;

use super::client::{TRANSPORTS, Transport, WireClient};
use super::{LISTS, reads, uri};
use crate::harness::TestDb;

async fn with_a_skill() -> (TestDb, TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let files: [(&str, &[u8]); 2] = [
        ("docs/a.md", b"text \xc3\xa9"),
        ("logo.png", b"\x89PNG\0\xff\xfe"),
    ];
    db.skill(tenant, "pdf", "Fills forms.", &files).await;
    (db, tenant)
}

/// The number of events, and the newest as JSON.
async fn newest(db: &TestDb) -> (i64, Value) {
    let row = db
        .superuser()
        .await
        .query_one(
            "SELECT count(*) OVER (), to_jsonb(e) || jsonb_build_object(
                 'slug', s.slug, 'label', v.version, 'right_digest', e.digest = v.digest)
             FROM usage_events e
             LEFT JOIN skills s ON s.tenant_id = e.tenant_id AND s.id = e.skill_id
             LEFT JOIN skill_versions v ON v.tenant_id = e.tenant_id AND v.id = e.version_id
             ORDER BY e.id DESC LIMIT 1",
            &[],
        )
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

/// The size of the content of a result in bytes.
fn content_bytes(method: &str, answer: &Value) -> Option<usize> {
    let contents = &answer["contents"][0];
    match (contents["text"].as_str(), contents["blob"].as_str()) {
        (Some(text), _) => return Some(text.len()),
        (_, Some(blob)) => return Some(BASE64.decode(blob).unwrap().len()),
        (None, None) => {}
    }
    match method {
        "prompts/get" => Some(answer["messages"][0]["content"]["text"].as_str()?.len()),
        "skills/get" => Some(answer["skill"].to_string().len()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_read_leaves_one_event_with_skill_and_client() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let mut count = 0;
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let files =
            ["docs/a.md", "logo.png"].map(|path| ("resources/read", json!({"uri": uri("pdf", "1", path)})));
        for (method, params) in reads("pdf", "1").into_iter().chain(files) {
            let answer = client.ok(method, params.clone()).await;
            count += 1;
            let (events, event) = newest(&db).await;
            assert_eq!(events, count, "{transport:?} {method}");
            assert_eq!(event["tool"], method);
            assert_eq!(event["outcome"], "ok");
            assert_eq!(event["error_code"], Value::Null);
            assert_eq!((&event["slug"], &event["label"]), (&json!("pdf"), &json!("1")));
            assert_eq!(event["right_digest"], true, "{event}");
            match content_bytes(method, &answer) {
                Some(bytes) => assert_eq!(event["result_bytes"], bytes, "{transport:?} {method} {params}"),
                None => assert_eq!(method, "resources/directory/read"),
            }
            let (kind, version, client_name) = match transport {
                Transport::InMemory => ("stdio", "2025-06-18", json!("wire")),
                Transport::Http2025 => ("http", "2025-11-25", Value::Null),
                Transport::Http2026 => ("http", "2026-07-28", json!("new")),
            };
            assert_eq!(event["transport"], kind);
            assert_eq!(event["protocol_version"], version);
            assert_eq!(event["client_name"], client_name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_stores_sizes_of_parameters_and_no_text() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let secret = "swordfish \u{1F41F}";
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for (name, arguments, sizes) in [
            (
                "pdf",
                json!({"task": secret, "version": "1"}),
                json!({"name": 3, "task": 11, "version": 1}),
            ),
            (
                "search_first",
                json!({"task": secret}),
                json!({"name": 12, "task": 11}),
            ),
        ] {
            let params = json!({"name": name, "arguments": arguments});
            let answer = client.ok("prompts/get", params).await;
            assert!(answer.to_string().contains("swordfish"));
            let (_, event) = newest(&db).await;
            assert_eq!(event["arguments"], json!({"sizes": sizes}), "{transport:?}");
        }
        for (method, uri) in [
            ("resources/read", "skill://swordfish/1/x/y"),
            ("resources/directory/read", "file:///swordfish"),
            ("skills/get", "skill://swordfish/1/x/SKILL.md"),
        ] {
            let error = client.error(method, json!({"uri": uri})).await;
            assert!(error.to_string().contains("swordfish"), "{error}");
            let (_, event) = newest(&db).await;
            assert_eq!(event["tool"], method);
            assert_eq!(
                event["arguments"],
                json!({"sizes": {"uri": uri.len()}}),
                "{transport:?}"
            );
        }
        let params = json!({"name": "swordfish", "arguments": {"swordfish": "x"}});
        client.error("prompts/get", params).await;
    }
    let events: String = db
        .value("SELECT string_agg(e::text, ' ') FROM usage_events e")
        .await;
    assert!(events.contains("prompts/get"));
    assert!(!events.contains("swordfish"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_read_leaves_one_event_with_the_reason() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let missing = json!({"uri": uri("nothing", "1", "SKILL.md")});
    let mut count = 0;
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for (method, params, outcome, code) in [
            ("resources/read", missing.clone(), "tool_error", "not_found"),
            (
                "resources/directory/read",
                missing.clone(),
                "tool_error",
                "not_found",
            ),
            ("skills/get", missing.clone(), "tool_error", "not_found"),
            (
                "prompts/get",
                json!({"name": "nothing"}),
                "invalid_arguments",
                "invalid_arguments",
            ),
            (
                "prompts/get",
                json!({"name": "search_first"}),
                "invalid_arguments",
                "invalid_arguments",
            ),
            (
                "resources/directory/read",
                json!({"uri": "skill://pdf/1/pdf", "cursor": "x"}),
                "invalid_arguments",
                "invalid_arguments",
            ),
        ] {
            client.error(method, params.clone()).await;
            count += 1;
            let (events, event) = newest(&db).await;
            assert_eq!(events, count, "{transport:?} {method} {params}");
            assert_eq!(
                (&event["tool"], &event["outcome"], &event["error_code"]),
                (&json!(method), &json!(outcome), &json!(code)),
                "{transport:?} {params}"
            );
            assert_eq!(
                (&event["skill_id"], &event["digest"]),
                (&Value::Null, &Value::Null)
            );
            assert_eq!(event["result_bytes"], 0, "{transport:?} {params}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_read_names_its_parameter_and_leaves_one_event() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let mut count = 0;
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let by_uri = ["resources/read", "resources/directory/read", "skills/get"];
        let wrong_uris = [
            json!({}),
            json!({"uri": 7}),
            json!({"uri": null}),
            json!({"uri": ["a"]}),
        ];
        let wrong_names = [
            json!({}),
            json!({"name": 7}),
            json!({"arguments": {}}),
            json!({"name": "pdf", "arguments": []}),
            json!({"name": "pdf", "arguments": "task"}),
        ];
        let cases = by_uri
            .into_iter()
            .flat_map(|method| wrong_uris.clone().map(|params| (method, params, "\"uri\"")))
            .chain(wrong_names.map(|params| ("prompts/get", params, "\"name\"")));
        for (method, params, needed) in cases {
            let error = client.error(method, params.clone()).await;
            assert_eq!(error["code"], -32_602, "{transport:?} {method} {params}: {error}");
            assert!(error["message"].as_str().unwrap().contains(needed), "{error}");
            count += 1;
            let (events, event) = newest(&db).await;
            assert_eq!(events, count, "{transport:?} {method} {params}");
            assert_eq!(
                (&event["tool"], &event["outcome"]),
                (&json!(method), &json!("malformed")),
                "{transport:?} {params}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_completions_leave_no_event() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for method in LISTS
            .map(|(method, ..)| method)
            .into_iter()
            .chain(["tools/list", "resources/templates/list"])
        {
            client.ok(method, json!({})).await;
            client.error(method, json!({"cursor": "x"})).await;
        }
        let reference = json!({"type": "ref/prompt", "name": "pdf"});
        let right = json!({"ref": reference, "argument": {"name": "version", "value": ""}});
        client.ok("completion/complete", right).await;
        let wrong = json!({"ref": reference, "argument": {"name": "colour", "value": ""}});
        client.error("completion/complete", wrong).await;
        client.error("completion/complete", json!({})).await;
        client.error("resources/lost", json!({})).await;
    }
    assert_eq!(db.events(tenant).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn unrecordable_read_is_rejected() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let superuser = db.superuser().await;
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        superuser
            .batch_execute("REVOKE INSERT ON usage_events FROM skillkeep_app")
            .await
            .unwrap();
        let before = db.events(tenant).await.len();
        for (method, params) in reads("pdf", "1") {
            let answer = client.request(method, params).await;
            let error = answer.result.unwrap_err();
            assert_eq!(error["code"], -32_603, "{transport:?} {method}: {error}");
            let text = format!("{error} {:?}", answer.notifications);
            assert!(text.contains("could not record"), "{text}");
            for internal in ["Do it.", "Fills forms", "sha256", "usage_events", "permission"] {
                assert!(!text.contains(internal), "{transport:?} {method}: {text}");
            }
        }
        // An error of the method itself is not returned either.
        let error = client.error("prompts/get", json!({"name": "nothing"})).await;
        assert_eq!(error["code"], -32_603, "{error}");
        assert_eq!(db.events(tenant).await.len(), before);
        superuser
            .batch_execute("GRANT INSERT ON usage_events TO skillkeep_app")
            .await
            .unwrap();
        for (method, params) in reads("pdf", "1") {
            client.ok(method, params).await;
        }
        assert_eq!(db.events(tenant).await.len(), before + 4);
    }
}
