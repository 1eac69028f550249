//! The shortest way through all floors.

use serde_json::json;

use crate::harness::{Client, TestDb};

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_is_found_installed_confirmed_and_reported_with_an_event_for_each_call() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    db.skill(
        acme,
        "fill-pdf",
        "Fills in PDF forms.",
        &[("scripts/fill.sh", b"#!/bin/sh\n"), ("logo.png", &[0, 159, 146])],
    )
    .await;
    let key = db.full_key(acme).await;
    let client = Client::connect(&db.service(), &key).await;

    let found = client
        .ok("search_skills", json!({"query": "fill in a pdf form"}))
        .await;
    assert_eq!(found["hits"][0]["skill"], "fill-pdf");
    let install = client
        .ok(
            "install_skill",
            json!({"skill": "fill-pdf", "assistant": "claude-code"}),
        )
        .await;
    let files: Vec<_> = install["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| json!({"path": file["path"], "digest": file["digest"]}))
        .collect();
    assert_eq!(files.len(), 3);
    let confirmed = client
        .ok(
            "confirm_install",
            json!({"install_id": install["install_id"], "files": files}),
        )
        .await;
    assert_eq!(confirmed["state"], "confirmed");
    client
        .ok(
            "record_usage",
            json!({"skill": "fill-pdf", "outcome": "helped", "minutes_saved": 7}),
        )
        .await;
    let report = client.ok("usage_report", json!({})).await;
    assert_eq!(report["minutes_saved"], 7);
    assert_eq!(report["by_skill"][0]["installs"], 1);

    let expected = [
        "search_skills",
        "install_skill",
        "confirm_install",
        "record_usage",
        "usage_report",
    ];
    let events = db.events(acme).await;
    assert_eq!(events, expected.map(|tool| (tool.to_owned(), "ok".to_owned())));
}
