//! Each read of a skill leaves one event, with what it was about and nothing of what was said; a look leaves none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use skillkeep::ids::TenantId;

use super::client::{Speaker, WAYS, Way};
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

/// The newest event as JSON, and how many there are.
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

/// Bytes of what an answer carries.
fn carried(method: &str, answer: &Value) -> Option<usize> {
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
async fn each_read_leaves_one_event_that_tells_what_was_read_and_how() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let mut count = 0;
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        let files =
            ["docs/a.md", "logo.png"].map(|path| ("resources/read", json!({"uri": uri("pdf", "1", path)})));
        for (method, params) in reads("pdf", "1").into_iter().chain(files) {
            let answer = speaker.ok(method, params.clone()).await;
            count += 1;
            let (events, event) = newest(&db).await;
            assert_eq!(events, count, "{way:?} {method}");
            assert_eq!(event["tool"], method);
            assert_eq!(event["outcome"], "ok");
            assert_eq!(event["error_code"], Value::Null);
            assert_eq!((&event["slug"], &event["label"]), (&json!("pdf"), &json!("1")));
            assert_eq!(event["right_digest"], true, "{event}");
            match carried(method, &answer) {
                Some(bytes) => assert_eq!(event["result_bytes"], bytes, "{way:?} {method} {params}"),
                None => assert_eq!(method, "resources/directory/read"),
            }
            let (transport, revision, client) = match way {
                Way::Memory => ("stdio", "2025-06-18", json!("wire")),
                Way::Old => ("http", "2025-11-25", Value::Null),
                Way::New => ("http", "2026-07-28", json!("new")),
            };
            assert_eq!(event["transport"], transport);
            assert_eq!(event["protocol_version"], revision);
            assert_eq!(event["client_name"], client);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_a_caller_writes_the_sizes_are_kept_and_no_word() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let secret = "swordfish \u{1F41F}";
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
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
            let answer = speaker.ok("prompts/get", params).await;
            assert!(answer.to_string().contains("swordfish"));
            let (_, event) = newest(&db).await;
            assert_eq!(event["arguments"], json!({"sizes": sizes}), "{way:?}");
        }
        for (method, sought) in [
            ("resources/read", "skill://swordfish/1/x/y"),
            ("resources/directory/read", "file:///swordfish"),
            ("skills/get", "skill://swordfish/1/x/SKILL.md"),
        ] {
            let error = speaker.error(method, json!({"uri": sought})).await;
            assert!(error.to_string().contains("swordfish"), "{error}");
            let (_, event) = newest(&db).await;
            assert_eq!(event["tool"], method);
            assert_eq!(
                event["arguments"],
                json!({"sizes": {"uri": sought.len()}}),
                "{way:?}"
            );
        }
        let params = json!({"name": "swordfish", "arguments": {"swordfish": "x"}});
        speaker.error("prompts/get", params).await;
    }
    let told: String = db
        .value("SELECT string_agg(e::text, ' ') FROM usage_events e")
        .await;
    assert!(told.contains("prompts/get"));
    assert!(!told.contains("swordfish"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_leaves_one_event_with_the_reason() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let nowhere = json!({"uri": uri("nothing", "1", "SKILL.md")});
    let mut count = 0;
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        for (method, params, outcome, code) in [
            ("resources/read", nowhere.clone(), "tool_error", "not_found"),
            (
                "resources/directory/read",
                nowhere.clone(),
                "tool_error",
                "not_found",
            ),
            ("skills/get", nowhere.clone(), "tool_error", "not_found"),
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
            speaker.error(method, params.clone()).await;
            count += 1;
            let (events, event) = newest(&db).await;
            assert_eq!(events, count, "{way:?} {method} {params}");
            assert_eq!(
                (&event["tool"], &event["outcome"], &event["error_code"]),
                (&json!(method), &json!(outcome), &json!(code)),
                "{way:?} {params}"
            );
            assert_eq!(
                (&event["skill_id"], &event["digest"]),
                (&Value::Null, &Value::Null)
            );
            assert_eq!(event["result_bytes"], 0, "{way:?} {params}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_read_is_answered_with_what_it_needs_and_leaves_one_event() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let mut count = 0;
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
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
            let error = speaker.error(method, params.clone()).await;
            assert_eq!(error["code"], -32_602, "{way:?} {method} {params}: {error}");
            assert!(error["message"].as_str().unwrap().contains(needed), "{error}");
            count += 1;
            let (events, event) = newest(&db).await;
            assert_eq!(events, count, "{way:?} {method} {params}");
            assert_eq!(
                (&event["tool"], &event["outcome"]),
                (&json!(method), &json!("malformed")),
                "{way:?} {params}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_completions_leave_no_event_whether_right_or_wrong() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        for method in LISTS
            .map(|(method, ..)| method)
            .into_iter()
            .chain(["tools/list", "resources/templates/list"])
        {
            speaker.ok(method, json!({})).await;
            speaker.error(method, json!({"cursor": "x"})).await;
        }
        let reference = json!({"type": "ref/prompt", "name": "pdf"});
        let right = json!({"ref": reference, "argument": {"name": "version", "value": ""}});
        speaker.ok("completion/complete", right).await;
        let wrong = json!({"ref": reference, "argument": {"name": "colour", "value": ""}});
        speaker.error("completion/complete", wrong).await;
        speaker.error("completion/complete", json!({})).await;
        speaker.error("resources/lost", json!({})).await;
    }
    assert_eq!(db.events(tenant).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_not_read() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let superuser = db.superuser().await;
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        superuser
            .batch_execute("REVOKE INSERT ON usage_events FROM skillkeep_app")
            .await
            .unwrap();
        let before = db.events(tenant).await.len();
        for (method, params) in reads("pdf", "1") {
            let answer = speaker.ask(method, params).await;
            let error = answer.answer.unwrap_err();
            assert_eq!(error["code"], -32_603, "{way:?} {method}: {error}");
            let text = format!("{error} {:?}", answer.told);
            assert!(text.contains("could not record"), "{text}");
            for inside in ["Do it.", "Fills forms", "sha256", "usage_events", "permission"] {
                assert!(!text.contains(inside), "{way:?} {method}: {text}");
            }
        }
        // Nor is a refusal given away.
        let error = speaker.error("prompts/get", json!({"name": "nothing"})).await;
        assert_eq!(error["code"], -32_603, "{error}");
        assert_eq!(db.events(tenant).await.len(), before);
        superuser
            .batch_execute("GRANT INSERT ON usage_events TO skillkeep_app")
            .await
            .unwrap();
        for (method, params) in reads("pdf", "1") {
            speaker.ok(method, params).await;
        }
        assert_eq!(db.events(tenant).await.len(), before + 4);
    }
}
