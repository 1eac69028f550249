//! One pass through the main tools.

use serde_json::json;

use crate::harness::{Client, TestDb};
use crate::methods::store;

#[tokio::test(flavor = "multi_thread")]
async fn search_install_confirm_and_report_leave_one_event_each() {
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

/// Several columns have one type, so PostgreSQL would not notice two swapped parameters of an insert.
#[tokio::test(flavor = "multi_thread")]
async fn each_published_field_is_stored_in_its_own_column() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let skill_md = "---\nname: pdf\ndescription: The description.\nlicense: The license\nmetadata:\n  version: 1.5\n  author: The author\n  \
                    category: the-category\n  tags: the-tag\n---\n\nText.\n";
    for text in [skill_md.to_owned(), format!("{skill_md}More.\n")] {
        store(&db, acme, "pdf-folder", &[("SKILL.md", text.as_bytes())]).await;
        let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
        let shown = client.ok("get_skill", json!({"skill": "pdf"})).await;
        assert_eq!(shown["name"], "pdf");
        assert_eq!(shown["description"], "The description.");
        assert_eq!(shown["license"], "The license");
        assert_eq!(shown["author"], "The author");
        assert_eq!(shown["category"], "the-category");
        assert_eq!(shown["tags"], json!(["the-tag"]));
        assert!(shown["version"].as_str().unwrap().starts_with("1.5"), "{shown}");
        assert_eq!(shown["file_count"], 1);
        assert_eq!(shown["total_bytes"], text.len());
    }
    let source: String = db.value("SELECT source FROM skills").await;
    assert_eq!(source, "pdf-folder");
}
