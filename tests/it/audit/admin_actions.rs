//! Every administrative action has an audit entry with the state before and after.

use serde_json::{Value, json};

use crate::command::{CommandOutput, admin, program_as};
use crate::harness::TestDb;

/// All entries of a tenant's log, oldest first.
pub(super) fn log(db: &TestDb, tenant: &str) -> Vec<Value> {
    admin(db, &["audit", "tail", "--tenant", tenant, "--json", "-n", "1000"]).json_lines()
}

/// Runs a command that must succeed; returns the entries that it added to the log of acme.
fn entries_of(db: &TestDb, arguments: &[&str]) -> Vec<Value> {
    let before = log(db, "acme").len();
    admin(db, arguments);
    log(db, "acme").split_off(before)
}

/// The one entry of this action that a command adds to the log of acme.
fn entry_of(db: &TestDb, action: &str, arguments: &[&str]) -> Value {
    let mut entries = entries_of(db, arguments);
    assert_eq!(entries.len(), 1, "{arguments:?}: {entries:?}");
    let entry = entries.remove(0);
    assert_eq!(entry["action"], action, "{arguments:?}");
    assert_eq!(
        (&entry["actor_kind"], &entry["source"]),
        (&json!("admin"), &json!("cli"))
    );
    entry["details"].clone()
}

const ADA: &str = "ada.lovelace@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_logged_with_before_and_after_and_without_personal_data() {
    let db = TestDb::new().await;
    admin(&db, &["tenant", "create", "acme", "--name", "Acme"]);
    assert_eq!(
        log(&db, "acme")[0]["details"],
        json!({"after": {
            "name": "Acme",
            "status": "active",
            "limits": {"calls_per_minute": 12_000, "calls_per_month": null},
        }})
    );
    assert_tenant_actions(&db);
    assert_user_actions(&db);
    assert_key_actions(&db);
    assert_publications_and_exports(&db);
    assert_erasure(&db).await;
}

fn assert_tenant_actions(db: &TestDb) {
    let set = entry_of(
        db,
        "tenant.set",
        &["tenant", "set", "acme", "--calls-per-month", "9"],
    );
    assert_eq!(set["before"]["limits"]["calls_per_month"], Value::Null);
    assert_eq!(set["after"]["limits"]["calls_per_month"], 9);
    for (verb, before, after) in [
        ("suspend", "active", "suspended"),
        ("resume", "suspended", "active"),
    ] {
        let status = entry_of(db, &format!("tenant.{verb}"), &["tenant", verb, "acme"]);
        assert_eq!(
            status,
            json!({"before": {"status": before}, "after": {"status": after}})
        );
    }
}

fn assert_user_actions(db: &TestDb) {
    let created = entry_of(
        db,
        "user.create",
        &[
            "user",
            "create",
            ADA,
            "--name",
            "Ada Lovelace",
            "--tenant",
            "acme",
        ],
    );
    assert_eq!(created, json!({"after": {"status": "active"}}));
    for (verb, before, after) in [
        ("suspend", "active", "suspended"),
        ("resume", "suspended", "active"),
    ] {
        let status = entry_of(
            db,
            &format!("user.{verb}"),
            &["user", verb, ADA, "--tenant", "acme"],
        );
        assert_eq!(
            status,
            json!({"before": {"status": before}, "after": {"status": after}})
        );
    }
}

fn assert_share_actions(db: &TestDb, key: &Value) {
    let id = key.as_str().unwrap();
    let create = [
        "share",
        "create",
        "--key",
        id,
        "--name",
        "Ada's share",
        "--tenant",
        "acme",
    ];
    let created = entry_of(db, "share.create", &create);
    assert_eq!(
        (&created["after"]["key"], &created["after"]["only_skills"]),
        (key, &Value::Null)
    );
    assert!(!created.to_string().contains("Ada"), "{created}");
    let revoke = ["share", "revoke", "Ada's share", "--tenant", "acme"];
    let revoked = entry_of(db, "share.revoke", &revoke);
    assert_eq!(revoked["after"], json!({"revoked": true}));
}

/// Leaves the user suspended.
fn assert_key_actions(db: &TestDb) {
    let create = [
        "key",
        "create",
        "--user",
        ADA,
        "--name",
        "laptop of Ada",
        "--tenant",
        "acme",
    ];
    let created = entry_of(db, "key.create", &create);
    assert_eq!(
        created["after"]["scopes"],
        json!(["skills:read", "skills:install", "usage:write"])
    );
    let keys = || admin(db, &["key", "list", "--tenant", "acme", "--json"]).json();
    let id = keys()[0]["id"].as_str().unwrap().to_owned();
    let limit = ["key", "limit", &id, "--calls-per-minute", "7", "--tenant", "acme"];
    let limited = entry_of(db, "key.limit", &limit);
    assert_eq!(limited["before"]["calls_per_minute"], 1_200);
    assert_eq!(limited["after"]["calls_per_minute"], 7);
    let rotated = entry_of(
        db,
        "key.rotate",
        &["key", "rotate", &id, "--grace", "1h", "--tenant", "acme"],
    );
    let new = keys()[0]["id"].clone();
    assert_eq!(
        rotated["before"],
        json!({"state": "active", "ends": null, "replaced_by": null})
    );
    assert_eq!(
        (&rotated["after"]["replaced_by"], &rotated["grace_seconds"]),
        (&new, &json!(3600))
    );
    assert_eq!(rotated["after"]["ends"], keys()[1]["revoked_at"]);
    assert_eq!(rotated["successor"]["ends"], Value::Null);
    assert_share_actions(db, &new);
    admin(db, &["user", "suspend", ADA, "--tenant", "acme"]);
    let revoked = entry_of(db, "key.revoke", &["key", "revoke", &id, "--tenant", "acme"]);
    assert_eq!(
        revoked["before"],
        json!({"state": "suspended", "ends": rotated["after"]["ends"], "replaced_by": new})
    );
    assert_eq!(revoked["after"]["state"], "revoked");
    assert_eq!(revoked["after"]["ends"], keys()[1]["revoked_at"]);
}

fn assert_publications_and_exports(db: &TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let published = entries_of(db, &["import", "samples", "--tenant", "acme"]);
    assert_eq!(published.len(), 5);
    assert!(
        published.iter().all(|entry| entry["action"] == "skill.publish"),
        "{published:?}"
    );
    let out = path("log.jsonl");
    let exported = entry_of(
        db,
        "audit.export",
        &["audit", "export", "--tenant", "acme", "--out", &out],
    );
    assert_eq!(exported, json!({"after": {"signed": false}}));

    let out = path("all");
    let exported = entries_of(db, &["tenant", "export", "acme", "--out", &out]);
    let manifest: Value = serde_json::from_slice(&std::fs::read(path("all/manifest.json")).unwrap()).unwrap();
    let details: Vec<&Value> = exported.iter().map(|entry| &entry["details"]).collect();
    let done = json!({"state": "done", "rows": manifest["rows"], "files": manifest["files"]});
    assert_eq!(
        details,
        [
            &json!({"after": {"state": "begun"}}),
            &json!({"before": {"state": "begun"}, "after": done})
        ]
    );
    assert_eq!(manifest["rows"]["api_keys"], 2);
}

async fn assert_erasure(db: &TestDb) {
    admin(db, &["tenant", "erase", "acme", "--confirm", "acme"]);
    let tenant: uuid::Uuid = db.value("SELECT id FROM tenants WHERE status = 'erased'").await;
    let left = log(db, &format!("erased-{tenant}"));
    let last: Vec<&Value> = left.iter().rev().take(2).map(|entry| &entry["details"]).collect();
    assert_eq!(last[0]["before"], json!({"status": "active"}));
    assert_eq!(last[0]["after"], json!({"status": "erased"}));
    assert_eq!(
        last[1],
        &json!({"before": {"status": "active"}, "after": {"status": "suspended"}})
    );
    for word in [
        "Ada",
        "ada.",
        "Lovelace",
        "lovelace",
        "laptop",
        "example.com",
        "@",
    ] {
        let found = left.iter().find(|entry| entry.to_string().contains(word));
        assert!(found.is_none(), "\"{word}\" in {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_of_a_tenant_are_both_kept_and_logged() {
    let db = TestDb::new().await;
    admin(&db, &["tenant", "create", "acme", "--name", "Before"]);
    let superuser = db.superuser().await;
    // A change of another administrator, not committed yet.
    superuser
        .batch_execute("BEGIN; UPDATE tenants SET name = 'Between' WHERE slug = 'acme'")
        .await
        .unwrap();
    let mut command = program_as(
        "skillkeep_owner",
        &db,
        &["tenant", "set", "acme", "--calls-per-minute", "5"],
    );
    let child = command.spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while db.value::<i64>(waits).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    in_time.await.expect("the command waits for the other change");
    superuser.batch_execute("COMMIT").await.unwrap();
    let ran = CommandOutput::end(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    let now: String = db
        .value("SELECT name || ' ' || calls_per_minute FROM tenants WHERE slug = 'acme'")
        .await;
    assert_eq!(now, "Between 5");
    let log = log(&db, "acme");
    assert_eq!(log.last().unwrap()["details"]["before"]["name"], "Between");
}
