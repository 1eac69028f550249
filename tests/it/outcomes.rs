//! Every tool call leaves exactly one usage event, for every outcome.

mod effects;
mod failures;
pub(crate) mod fixture;
mod months;

use serde_json::{Value, json};
use skillkeep::tenancy::Scope;

use crate::harness::{Client, TestDb};
use crate::helpers::RawClient;

/// The only event of a tenant: tool, outcome, error code, arguments.
async fn only_event(
    db: &TestDb,
    tenant: skillkeep::ids::TenantId,
) -> (String, String, Option<String>, Value) {
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT tool, outcome, error_code, arguments FROM usage_events WHERE tenant_id = $1",
            &[tenant.as_uuid()],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 1, "a call must leave exactly one event");
    (rows[0].get(0), rows[0].get(1), rows[0].get(2), rows[0].get(3))
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_call_leaves_one_event_with_its_outcome() {
    let db = TestDb::new().await;
    let service = db.service();
    let megabyte = "a".repeat(1 << 20);
    let cases = [
        ("whoami", json!({}), "ok"),
        ("search_skills", json!({}), "ok"),
        ("get_skill", json!({"skill": "nothing"}), "tool_error"),
        (
            "record_usage",
            json!({"skill": "nothing", "outcome": "helped"}),
            "tool_error",
        ),
        ("search_skills", json!({"limit": 51}), "invalid_arguments"),
        ("search_skills", json!({"limit": -1}), "invalid_arguments"),
        ("usage_report", json!({"days": 0}), "invalid_arguments"),
        ("search_skills", json!({"querry": "pdf"}), "invalid_arguments"),
        ("search_skills", json!({"query": 7}), "invalid_arguments"),
        ("search_skills", json!({"query": "a\u{0}b"}), "invalid_arguments"),
        ("search_skills", json!({"query": megabyte}), "invalid_arguments"),
        ("get_skill", json!({"skill": megabyte}), "invalid_arguments"),
        ("get_skill", json!({}), "invalid_arguments"),
        (
            "confirm_install",
            json!({"install_id": "1", "files": []}),
            "invalid_arguments",
        ),
        ("whoami", json!({"a\u{0}b": 1}), "invalid_arguments"),
    ];
    for (number, (tool, arguments, outcome)) in cases.into_iter().enumerate() {
        let tenant = db.tenant(&format!("tenant-{number}")).await;
        let client = Client::connect(&service, &db.full_key(tenant).await).await;
        let result = client.call(tool, arguments).await.unwrap();
        assert_eq!(result.is_error == Some(true), outcome != "ok", "case {number}");
        let (recorded, recorded_outcome, code, arguments) = only_event(&db, tenant).await;
        assert_eq!(
            (recorded.as_str(), recorded_outcome.as_str()),
            (tool, outcome),
            "case {number}"
        );
        assert_eq!(code.is_some(), outcome != "ok", "case {number}");
        assert!(arguments.to_string().len() < 4_000, "case {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_scope_leaves_one_event_and_is_named() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (_, key) = db.key(tenant, "eve@example.com", &[Scope::UsageWrite]).await;
    let client = Client::connect(&db.service(), &key).await;
    let message = client.error("search_skills", json!({})).await;
    assert!(message.contains("skills:read"), "{message}");
    let (tool, outcome, code, _) = only_event(&db, tenant).await;
    assert_eq!(
        (tool.as_str(), outcome.as_str(), code.as_deref()),
        ("search_skills", "missing_scope", Some("missing_scope"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_tool_leaves_one_event_with_valid_name_only() {
    let db = TestDb::new().await;
    let service = db.service();
    let long = "x".repeat(10_000);
    for (number, (name, recorded_as)) in [
        ("drop_tables", "drop_tables".to_owned()),
        ("", "(not a name)".to_owned()),
        ("a\u{0}\n\u{1b}[31mb", "(not a name)".to_owned()),
        (long.as_str(), "(not a name)".to_owned()),
        ("Whoami", "Whoami".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let tenant = db.tenant(&format!("tenant-{number}")).await;
        let mut wire = RawClient::connect(&service, &db.full_key(tenant).await).await;
        let answer = wire.call(1, json!({"name": name, "arguments": {}})).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let (tool, outcome, code, _) = only_event(&db, tenant).await;
        assert_eq!(tool, recorded_as);
        assert_eq!(
            (outcome.as_str(), code.as_deref()),
            ("unknown_tool", Some("unknown_tool"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_call_leaves_one_event_and_keeps_connection() {
    let db = TestDb::new().await;
    let service = db.service();
    let cases = [
        json!({"arguments": {}}),
        json!({"name": 7, "arguments": {}}),
        json!({"name": null}),
        json!({"name": "whoami", "arguments": []}),
        json!({"name": "whoami", "arguments": "text"}),
        json!({"name": "whoami", "arguments": 1}),
        json!({}),
    ];
    for (number, params) in cases.into_iter().enumerate() {
        let tenant = db.tenant(&format!("tenant-{number}")).await;
        let mut wire = RawClient::connect(&service, &db.full_key(tenant).await).await;
        let answer = wire.call(1, params.clone()).await;
        assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
        let (tool, outcome, ..) = only_event(&db, tenant).await;
        assert_eq!((tool.as_str(), outcome.as_str()), ("", "malformed"), "{params}");
        let answer = wire.call(2, json!({"name": "whoami"})).await;
        assert_eq!(
            answer["result"]["structuredContent"]["tenant"],
            format!("tenant-{number}")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_without_params_is_malformed() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let mut wire = RawClient::connect(&db.service(), &db.full_key(tenant).await).await;
    wire.send(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call"}))
        .await;
    let answer = wire.receive(1).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(only_event(&db, tenant).await.1, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn event_stores_only_argument_sizes_and_search_text() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in PDF forms.", &[]).await;
    let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
    client
        .ok(
            "record_usage",
            json!({"skill": "fill-pdf", "outcome": "helped", "comment": "the password is swordfish"}),
        )
        .await;
    let (.., arguments) = only_event(&db, tenant).await;
    assert!(!arguments.to_string().contains("swordfish"), "{arguments}");
    assert_eq!(arguments["sizes"]["comment"], 25);
}

/// Regression: the reply named the newest version, and a report on another version under the same key counted as the same.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_report_keeps_its_version_after_newer_one() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "The first.", &[]).await;
    let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
    let report = json!({"skill": "fill-pdf", "outcome": "helped", "idempotency_key": "one"});
    let first = client.ok("record_usage", report.clone()).await;
    assert_eq!(
        (&first["version"], &first["duplicate"]),
        (&json!("1"), &json!(false))
    );
    db.skill(tenant, "fill-pdf", "The second.", &[]).await;
    let again = client.ok("record_usage", report.clone()).await;
    assert_eq!(
        (&again["version"], &again["duplicate"]),
        (&json!("1"), &json!(true))
    );
    assert_eq!(again["report_id"], first["report_id"]);
    let mut other = report;
    other["version"] = json!("2");
    let refused = client.error("record_usage", other.clone()).await;
    assert!(
        refused.contains("was already used for a different report"),
        "{refused}"
    );
    other["version"] = json!("1");
    assert_eq!(client.ok("record_usage", other).await["duplicate"], true);
}
