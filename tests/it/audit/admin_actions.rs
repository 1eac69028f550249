//! Each act of administration has its entry, in the transaction of the act, with what was before and what is after.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::command::{CommandOutput, admin, ended, program, program_as};
use crate::harness::TestDb;

/// Everything in a tenant's log, oldest first.
fn log(db: &TestDb, tenant: &str) -> Vec<Value> {
    admin(db, &["audit", "tail", "--tenant", tenant, "--json", "-n", "1000"]).json_lines()
}

/// Runs a command that must go well, and gives what it added to the log of acme.
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

/// The subcommands of a command, as its help lists them.
fn subcommands(command: &[&str]) -> BTreeSet<String> {
    let help = CommandOutput::of(&mut program(&[command, &["--help"]].concat())).out;
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let list = list.split("\n\n").next().unwrap_or_default();
    list.lines()
        // Their descriptions go on in lines that begin further in.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(|name| [command, &[name]].concat().join(" "))
        .collect()
}

#[test]
fn a_new_subcommand_is_asked_whether_it_leaves_an_entry() {
    let groups = ["tenant", "user", "key", "audit", "usage"];
    let mut found = subcommands(&[]);
    for group in groups {
        assert!(found.remove(group), "{found:?}");
        found.extend(subcommands(&[group]));
    }
    // Which the tests below run.
    let acts = [
        "tenant create",
        "tenant set",
        "tenant suspend",
        "tenant resume",
        "tenant export",
        "tenant erase",
        "user create",
        "user suspend",
        "user resume",
        "key create",
        "key limit",
        "key rotate",
        "key revoke",
        "import",
        "usage prune",
        "audit export",
        "quickstart",
    ];
    // Which change nothing of a tenant's.
    let others = [
        "tenant list",
        "user list",
        "key list",
        "key inspect",
        "usage events",
        "audit tail",
        "audit verify",
        "audit check",
        "audit keygen",
        "serve",
        "stdio",
        "bridge",
        "connect",
        "migrate",
        "doctor",
        "completions",
    ];
    let known: BTreeSet<String> = acts.iter().chain(&others).map(ToString::to_string).collect();
    assert_eq!(found, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_act_has_its_entry_with_before_and_after_and_no_text_of_a_person() {
    let db = TestDb::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    admin(&db, &["tenant", "create", "acme", "--name", "Acme"]);
    assert_eq!(
        log(&db, "acme")[0]["details"],
        json!({"after": {"name": "Acme", "status": "active"}})
    );
    let set = entry_of(
        &db,
        "tenant.set",
        &["tenant", "set", "acme", "--calls-per-month", "9"],
    );
    assert_eq!(set["before"]["limits"]["calls_per_month"], Value::Null);
    assert_eq!(set["after"]["limits"]["calls_per_month"], 9);
    for (verb, before, after) in [
        ("suspend", "active", "suspended"),
        ("resume", "suspended", "active"),
    ] {
        let status = entry_of(&db, &format!("tenant.{verb}"), &["tenant", verb, "acme"]);
        assert_eq!(
            status,
            json!({"before": {"status": before}, "after": {"status": after}})
        );
    }
    let ada = "ada.lovelace@example.com";
    let made = entry_of(
        &db,
        "user.create",
        &[
            "user",
            "create",
            ada,
            "--name",
            "Ada Lovelace",
            "--tenant",
            "acme",
        ],
    );
    assert_eq!(made, json!({"after": {"status": "active"}}));
    for (verb, before, after) in [
        ("suspend", "active", "suspended"),
        ("resume", "suspended", "active"),
    ] {
        let status = entry_of(
            &db,
            &format!("user.{verb}"),
            &["user", verb, ada, "--tenant", "acme"],
        );
        assert_eq!(
            status,
            json!({"before": {"status": before}, "after": {"status": after}})
        );
    }
    let create = [
        "key",
        "create",
        "--user",
        ada,
        "--name",
        "laptop of Ada",
        "--tenant",
        "acme",
    ];
    let made = entry_of(&db, "key.create", &create);
    assert_eq!(
        made["after"]["scopes"],
        json!(["skills:read", "skills:install", "usage:write"])
    );
    let keys = || admin(&db, &["key", "list", "--tenant", "acme", "--json"]).json();
    let id = keys()[0]["id"].as_str().unwrap().to_owned();
    let limit = ["key", "limit", &id, "--calls-per-minute", "7", "--tenant", "acme"];
    let limited = entry_of(&db, "key.limit", &limit);
    assert_eq!(limited["before"]["calls_per_minute"], Value::Null);
    assert_eq!(limited["after"]["calls_per_minute"], 7);
    let rotated = entry_of(
        &db,
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
    admin(&db, &["user", "suspend", ada, "--tenant", "acme"]);
    let revoked = entry_of(&db, "key.revoke", &["key", "revoke", &id, "--tenant", "acme"]);
    assert_eq!(
        revoked["before"],
        json!({"state": "suspended", "ends": rotated["after"]["ends"], "replaced_by": new})
    );
    assert_eq!(revoked["after"]["state"], "revoked");
    assert_eq!(revoked["after"]["ends"], keys()[1]["revoked_at"]);
    let published = entries_of(&db, &["import", "samples", "--tenant", "acme"]);
    assert_eq!(published.len(), 5);
    assert!(
        published.iter().all(|entry| entry["action"] == "skill.publish"),
        "{published:?}"
    );
    let out = path("log.jsonl");
    let taken = entry_of(
        &db,
        "audit.export",
        &["audit", "export", "--tenant", "acme", "--out", &out],
    );
    assert_eq!(taken, json!({"after": {"signed": false}}));

    let out = path("all");
    let exported = entries_of(&db, &["tenant", "export", "acme", "--out", &out]);
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

    admin(&db, &["tenant", "erase", "acme", "--confirm", "acme"]);
    let tenant: uuid::Uuid = db.value("SELECT id FROM tenants WHERE status = 'erased'").await;
    let left = log(&db, &format!("erased-{tenant}"));
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
        let told = left.iter().find(|entry| entry.to_string().contains(word));
        assert!(told.is_none(), "\"{word}\" in {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_quickstart_makes_is_in_the_log() {
    let db = TestDb::new().await;
    // As the owner it may not serve, so it ends after the key.
    assert_ne!(ended(&db, &["quickstart"]).code, 0);
    let log = log(&db, "default");
    let actions: Vec<&str> = log
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions[..6],
        [
            "tenant.create",
            "skill.publish",
            "skill.publish",
            "skill.publish",
            "skill.publish",
            "skill.publish"
        ]
    );
    assert_eq!(actions[6..], ["user.create", "key.create"]);
    assert_eq!(
        log[7]["details"]["after"].get("name"),
        None,
        "people call their keys after themselves"
    );
    assert_eq!(log[7]["details"]["after"]["user"], log[6]["subject"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn months_that_were_pruned_stand_in_the_log_of_each_tenant_that_had_rows_there() {
    let db = TestDb::new().await;
    for slug in ["acme", "other", "third"] {
        admin(&db, &["tenant", "create", slug]);
    }
    let plant = |slug: &str, months: i32, count: i32| {
        format!(
            "INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
             SELECT t.id, usage_partition_bound(now() + interval '{months} months' + n * interval '1 ms'), t.id, t.id, 'x', 'ok', 1, 'stdio'
             FROM tenants t, generate_series(1, {count}) n WHERE t.slug = '{slug}';"
        )
    };
    let superuser = db.superuser().await;
    for planted in [
        plant("acme", -1, 3),
        plant("other", -1, 1),
        plant("acme", 0, 2),
        plant("third", 0, 1),
    ] {
        superuser.batch_execute(&planted).await.unwrap();
    }
    let month: String = db
        .value("SELECT to_char((now() AT TIME ZONE 'UTC') - interval '1 month', 'YYYY_MM')")
        .await;
    let first: String = db
        .value("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date::text")
        .await;
    let logs = || ["acme", "other", "third", "default"].map(|slug| log(&db, slug));
    let before = logs();
    let events = "SELECT count(*) FROM usage_events";
    for refused in [
        "SELECT prune_usage_partitions(((now() AT TIME ZONE 'UTC')::date + 32)::date, 'eve')",
        "SELECT prune_usage_partitions(date_trunc('month', now() AT TIME ZONE 'UTC')::date + 1, 'eve')",
        "SELECT prune_usage_partitions(NULL, 'eve')",
        "SELECT prune_usage_partitions('infinity', 'eve')",
    ] {
        let error = superuser.batch_execute(refused).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "22023", "{refused}");
    }
    let late = ended(&db, &["usage", "prune", "--before", "2100-01-01", "--yes"]);
    assert_eq!(late.code, 2, "{late:?}");
    assert!(late.err.contains(&first), "{late:?}");
    assert_eq!((logs(), db.value::<i64>(events).await), (before.clone(), 7));

    let dropped = admin(&db, &["usage", "prune", "--before", &first, "--yes", "--json"]).json();
    assert_eq!(dropped, json!([format!("usage_events_{month}")]));
    assert_eq!(db.value::<i64>(events).await, 3);
    let after = logs();
    assert_eq!(
        (&after[2], &after[3]),
        (&before[2], &before[3]),
        "they had no rows there"
    );
    for (at, rows) in [(0, 3), (1, 1)] {
        let [.., entry] = after[at].as_slice() else {
            panic!("{after:?}")
        };
        assert_eq!(after[at].len(), before[at].len() + 1);
        assert_eq!(
            (&entry["action"], &entry["subject"]),
            (&json!("usage.prune"), &json!(first))
        );
        assert_eq!(entry["actor"], before[at][0]["actor"]);
        let mut months = serde_json::Map::new();
        months.insert(month.clone(), json!(rows));
        assert_eq!(
            entry["details"],
            json!({"before": {"usage_events": months}, "after": {"usage_events": {}}})
        );
    }
    for slug in ["acme", "other", "third", "default"] {
        assert_eq!(admin(&db, &["audit", "verify", "--tenant", slug]).code, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_a_tenant_at_once_both_stand_and_the_log_agrees_with_itself() {
    let db = TestDb::new().await;
    admin(&db, &["tenant", "create", "acme", "--name", "Before"]);
    let superuser = db.superuser().await;
    // Somebody else's change, not committed yet.
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
    in_time.await.expect("it waits for the other");
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
