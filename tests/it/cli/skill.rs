//! `skillkeep skill` and `skillkeep settings`: the verbs of a skill's life at the command line.

use serde_json::{Value, json};

use super::assert_fails;
use crate::command::{admin, ended};
use crate::harness::TestDb;

/// A tenant `acme` with two versions of `sort-tides`, and `other` with the same bytes of one file.
async fn catalog() -> TestDb {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(
        tenant,
        "sort-tides",
        "Sorts tide tables.",
        &[("notes.txt", b"shared")],
    )
    .await;
    db.skill(
        tenant,
        "sort-tides",
        "Sorts tide tables by harbour.",
        &[("notes.txt", b"shared")],
    )
    .await;
    db.skill(
        tenant,
        "other",
        "Does something else.",
        &[("notes.txt", b"shared")],
    )
    .await;
    db
}

fn run(db: &TestDb, arguments: &[&str]) -> Value {
    let mut all = vec!["skill"];
    all.extend_from_slice(arguments);
    all.extend_from_slice(&["--tenant", "acme", "--json"]);
    admin(db, &all).json()
}

fn slugs(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|skill| skill["skill"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_are_listed_shown_searched_and_compared() {
    let db = catalog().await;
    assert_eq!(slugs(&run(&db, &["list"])), ["other", "sort-tides"]);
    assert_eq!(slugs(&run(&db, &["search", "tide", "tables"])), ["sort-tides"]);
    let shown = run(&db, &["show", "sort-tides"]);
    assert_eq!(
        (&shown["version"], &shown["state"], &shown["quarantined"]),
        (&json!("2"), &json!("published"), &json!(false))
    );
    let files = run(&db, &["files", "sort-tides", "--version", "1"]);
    assert_eq!(files.as_array().unwrap().len(), 2);
    let diff = run(&db, &["diff", "sort-tides", "1", "2"]);
    assert_eq!(diff["changed"], json!(["SKILL.md"]));
    assert!(
        diff["text"]
            .as_str()
            .unwrap()
            .contains("+description: Sorts tide tables by harbour.")
    );
    let history = run(&db, &["history", "sort-tides"]);
    assert_eq!(history[0]["version"], "2");
    // For people: a table.
    let table = admin(&db, &["skill", "list", "--tenant", "acme"]).out;
    assert!(table.trim_start().starts_with("SKILL"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn skill_is_yanked_renamed_archived_restored_and_removed() {
    let db = catalog().await;
    run(
        &db,
        &["yank", "sort-tides", "--version", "2", "--reason", "wrong"],
    );
    assert_eq!(run(&db, &["list"])[1]["version"], "1");
    run(&db, &["yank", "sort-tides", "--version", "2", "--undo"]);
    run(&db, &["rename", "sort-tides", "--to", "tide-sorter"]);
    assert_eq!(run(&db, &["show", "sort-tides"])["skill"], "tide-sorter");
    run(&db, &["archive", "tide-sorter"]);
    assert_eq!(slugs(&run(&db, &["list"])), ["other"]);
    assert_eq!(
        slugs(&run(&db, &["list", "--archived"])),
        ["other", "tide-sorter"]
    );
    run(&db, &["restore", "tide-sorter"]);
    let forked = run(&db, &["fork", "tide-sorter", "--as", "tide-copy"]);
    assert_eq!(forked["origin"], "tide-sorter");
    run(
        &db,
        &["deprecate", "other", "--note", "old", "--successor", "tide-copy"],
    );
    assert_eq!(run(&db, &["show", "other"])["successor"], "tide-copy");
    run(&db, &["remove", "tide-copy", "--reason", "not needed"]);
    assert_eq!(slugs(&run(&db, &["list"])), ["other", "tide-sorter"]);
    let actions: Vec<String> = db
        .superuser()
        .await
        .query(
            "SELECT action FROM audit_logs WHERE actor_kind = 'admin' ORDER BY seq",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get("action"))
        .filter(|action: &String| action != "skill.publish")
        .collect();
    assert_eq!(
        actions,
        [
            "skill.yank",
            "skill.unyank",
            "skill.rename",
            "skill.archive",
            "skill.restore",
            "skill.fork",
            "skill.deprecate",
            "skill.yank",
            "skill.archive"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_skill_leaves_its_audit_entry_and_shared_bytes() {
    let db = catalog().await;
    let purge = [
        "skill",
        "purge",
        "sort-tides",
        "--reason",
        "court order",
        "--tenant",
        "acme",
        "--confirm",
    ];
    let with = |confirm: &'static str| purge.iter().copied().chain([confirm]).collect::<Vec<_>>();
    assert_fails(&ended(&db, &with("other")), 2, "cannot be undone");
    admin(&db, &with("sort-tides"));
    let mut counts: Vec<i64> = Vec::new();
    for query in [
        "SELECT count(*) FROM skills WHERE slug = 'sort-tides'",
        "SELECT count(*) FROM skill_versions v JOIN skills s ON s.id = v.skill_id WHERE s.slug = 'sort-tides'",
        "SELECT count(*) FROM blobs WHERE convert_from(bytes, 'UTF8') LIKE '%tide%'",
        "SELECT count(*) FROM blobs WHERE bytes = 'shared'",
        "SELECT count(*) FROM audit_logs WHERE action = 'skill.purge' AND subject = 'sort-tides'",
    ] {
        counts.push(db.value(query).await);
    }
    assert_eq!(counts, [0, 0, 0, 1, 1]);
    assert_eq!(slugs(&run(&db, &["list", "--archived"])), ["other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_scanned_with_older_rules_are_scanned_again() {
    let db = catalog().await;
    db.superuser()
        .await
        .batch_execute("UPDATE skill_scans SET ruleset = 'older'")
        .await
        .unwrap();
    assert_eq!(run(&db, &["rescan"]), json!({"scanned": 3, "quarantined": []}));
    assert_eq!(run(&db, &["rescan"]), json!({"scanned": 0, "quarantined": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_validated_stored_and_audited() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let settings = |arguments: &[&str]| {
        let mut all = vec!["settings"];
        all.extend_from_slice(arguments);
        all.extend_from_slice(&["--tenant", "acme", "--json"]);
        ended(&db, &all)
    };
    assert_eq!(settings(&["get", "review.policy"]).json()["value"], "none");
    assert_eq!(
        settings(&["set", "review.policy", "required"]).json()["value"],
        "required"
    );
    assert_eq!(settings(&["list"]).json()["review.policy"], "required");
    assert_fails(&settings(&["set", "review.policy", "sometimes"]), 2, "`none`");
    assert_fails(&settings(&["set", "no.setting", "x"]), 2, "is not a setting");
    settings(&["set", "publish.users", "ada@example.com"]);
    settings(&["set", "review.policy", "none"]);
    let rows: i64 = db.value("SELECT count(*) FROM tenant_settings").await;
    assert_eq!(rows, 1, "a default has no row");
    let entries: i64 = db
        .value("SELECT count(*) FROM audit_logs WHERE action = 'settings.set'")
        .await;
    assert_eq!(entries, 3);
    let addresses: i64 = db
        .value("SELECT count(*) FROM audit_logs WHERE details::text LIKE '%ada@%'")
        .await;
    assert_eq!(addresses, 0);
}
