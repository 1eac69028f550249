//! The command line: its output, its errors and its exit codes.

mod doctor;
mod help;
mod serve;
mod setting_up;
mod skill;

use serde_json::Value;
use skillkeep::ids::TenantId;
use skillkeep::tenancy::{ApiKey, Scope};

use crate::command::{CommandOutput, admin, ended, program, program_as};
use crate::harness::{Client, TestDb};
use crate::import::samples;

/// Checks the exit code, and that stderr has an error with this text.
fn assert_fails(ran: &CommandOutput, code: i32, message: &str) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert!(ran.err.contains(message), "\"{message}\" is not in {}", ran.err);
    assert!(
        ran.err.lines().any(|line| line.starts_with("error: ")),
        "{}",
        ran.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_in_tables_have_their_zone() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let created = |arguments: &[&str]| {
        let mut command = program_as("skillkeep_owner", &db, arguments);
        // Three hours behind UTC (POSIX counts the other way).
        let ran = CommandOutput::of(command.env("TZ", "<-03>3"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let row = ran.out.lines().find(|line| line.contains("acme"));
        let time = row.and_then(|row| {
            let words: Vec<&str> = row.split_whitespace().collect();
            let date = words.iter().position(|word| word.starts_with("20"))?;
            Some(format!("{}T{}", words[date], words[date + 1]))
        });
        time.unwrap_or_else(|| panic!("no time: {ran:?}"))
    };
    let (local, utc) = (
        created(&["tenant", "list"]),
        created(&["tenant", "list", "--utc"]),
    );
    assert!(
        local.ends_with("-03:00") && utc.ends_with('Z'),
        "{local} and {utc}"
    );
    let instant = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(instant(&local), instant(&utc));
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_is_created_suspended_and_resumed() {
    let db = TestDb::new().await;
    let made = admin(&db, &["tenant", "create", "acme", "--name", "Acme Ltd", "--json"]).json();
    assert_eq!(
        (&made["slug"], &made["name"]),
        (&"acme".into(), &"Acme Ltd".into())
    );
    assert_fails(
        &ended(&db, &["tenant", "create", "acme"]),
        4,
        "there is a tenant \"acme\" already",
    );
    assert_eq!(ended(&db, &["tenant", "create", "No Slug"]).code, 2);
    assert_fails(
        &ended(&db, &["tenant", "suspend", "nobody"]),
        3,
        "no tenant \"nobody\"",
    );

    let key: ApiKey = admin(
        &db,
        &["key", "create", "--user", "a@b.example", "--tenant", "acme"],
    )
    .out
    .trim()
    .parse()
    .unwrap();
    let service = db.service();
    let client = Client::connect(&service, &key).await;
    client.ok("whoami", serde_json::json!({})).await;
    let output = admin(&db, &["tenant", "suspend", "acme"]).out;
    assert_eq!(output, "The tenant acme is now suspended.\n");
    assert!(client.call("whoami", serde_json::json!({})).await.is_err());
    assert_eq!(
        admin(&db, &["tenant", "suspend", "acme", "--json"]).json()["changed"],
        false
    );
    let listed = admin(&db, &["tenant", "list", "--json"]).json();
    let states: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["slug"].as_str().unwrap(), t["status"].as_str().unwrap()))
        .collect();
    assert!(
        states.contains(&("acme", "suspended")) && states.contains(&("default", "active")),
        "{states:?}"
    );
    admin(&db, &["tenant", "resume", "acme"]);
    client.ok("whoami", serde_json::json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_is_created_suspended_and_resumed() {
    let db = TestDb::new().await;
    admin(&db, &["user", "create", "ada@example.com", "--name", "Ada"]);
    assert_fails(&ended(&db, &["user", "create", "ada@example.com"]), 4, "already");
    assert_eq!(ended(&db, &["user", "create", "not-an-address"]).code, 2);
    assert_fails(
        &ended(&db, &["user", "suspend", "bob@example.com"]),
        3,
        "no user bob@example.com",
    );
    assert_fails(
        &ended(&db, &["user", "list", "--tenant", "nobody"]),
        3,
        "no tenant",
    );
    admin(&db, &["user", "suspend", "ada@example.com"]);
    let listed = admin(&db, &["user", "list", "--json"]).json();
    assert_eq!(listed[0]["email"], "ada@example.com");
    assert_eq!(listed[0]["status"], "suspended");
    let table = admin(&db, &["user", "list"]).out;
    assert!(table.lines().next().unwrap().contains("EMAIL"), "{table}");
    admin(&db, &["user", "resume", "ada@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_printed_once_rotated_and_revoked() {
    let db = TestDb::new().await;
    let made = admin(
        &db,
        &[
            "key",
            "create",
            "--user",
            "ada@example.com",
            "--scopes",
            "skills:read,usage:read",
        ],
    );
    let text = made.out.strip_suffix('\n').unwrap();
    let key: ApiKey = text.parse().unwrap();
    assert!(!made.err.contains(text), "{}", made.err);
    let service = db.service();
    let client = Client::connect(&service, &key).await;
    let who = client.ok("whoami", serde_json::json!({})).await;
    assert_eq!(who["scopes"], serde_json::json!(["skills:read", "usage:read"]));

    let listed = admin(&db, &["key", "list", "--json"]);
    assert!(
        !listed.out.contains(&text[30..]),
        "a key is shown only once, at its creation"
    );
    let id = listed.json()[0]["id"].as_str().unwrap().to_owned();
    let rotated = admin(&db, &["key", "rotate", &id, "--grace", "0s"]);
    let next: ApiKey = rotated.out.trim_end().parse().unwrap();
    assert!(
        client.call("whoami", serde_json::json!({})).await.is_err(),
        "the grace period is over"
    );
    let client = Client::connect(&service, &next).await;
    client.ok("whoami", serde_json::json!({})).await;
    let new_id = admin(&db, &["key", "list", "--json"])
        .json()
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["state"] == "active")
        .map(|key| key["id"].as_str().unwrap().to_owned())
        .unwrap();
    assert_eq!(
        admin(&db, &["key", "revoke", &new_id, "--json"]).json()["state"],
        "revoked"
    );
    assert!(client.call("whoami", serde_json::json!({})).await.is_err());
    assert_eq!(ended(&db, &["key", "revoke", &new_id]).code, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_with_invalid_options_is_not_created() {
    let db = TestDb::new().await;
    let create = |more: &[&str]| {
        let arguments = [&["key", "create", "--user", "ada@example.com"], more].concat();
        ended(&db, &arguments)
    };
    assert_eq!(create(&["--scopes", "skills:fly"]).code, 2);
    assert_eq!(create(&["--scopes", ""]).code, 2);
    assert_eq!(create(&["--expires", "soon"]).code, 2);
    assert_fails(&create(&["--only-tools", "dance"]), 2, "\"dance\" is not a tool");
    assert_fails(&create(&["--tenant", "nobody"]), 3, "no tenant \"nobody\"");
    let absent = "019a0000-0000-7000-8000-000000000000";
    assert_eq!(ended(&db, &["key", "revoke", absent]).code, 3);
    assert_eq!(ended(&db, &["key", "rotate", "no-id"]).code, 3);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM api_keys").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_reported_listed_and_pruned_with_yes_only() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (_, key) = db.key(acme, "ada@example.com", &[Scope::SkillsRead]).await;
    let client = Client::connect(&db.service(), &key).await;
    client
        .ok("search_skills", serde_json::json!({"query": "a thing not there"}))
        .await;
    client.ok("whoami", serde_json::json!({})).await;

    let report = admin(&db, &["usage", "--tenant", "acme", "--json"]).json();
    assert_eq!((&report["calls"], &report["users"]), (&2.into(), &1.into()));
    let table = admin(&db, &["usage", "--tenant", "acme"]).out;
    assert!(
        table.starts_with("2 calls by 1 users") && table.contains("a thing not there"),
        "{table}"
    );
    assert_eq!(
        admin(&db, &["usage", "--json"]).json()["calls"],
        0,
        "the default tenant made none"
    );
    let events = admin(&db, &["usage", "events", "--tenant", "acme", "--json"]).json_lines();
    let tools: Vec<&Value> = events.iter().map(|event| &event["tool"]).collect();
    assert_eq!(tools, ["search_skills", "whoami"]);

    let prune = ["usage", "prune", "--before", "2001-01-01"];
    assert_fails(&ended(&db, &prune), 2, "add --yes");
    let prune = ["usage", "prune", "--before", "2999-01-01", "--yes"];
    assert_fails(&ended(&db, &prune), 2, "the last day that --before takes");
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 2);
    let dropped = admin(
        &db,
        &["usage", "prune", "--before", "2001-01-01", "--yes", "--json"],
    )
    .json();
    assert_eq!(dropped, serde_json::json!([]));
    assert_eq!(
        ended(&db, &["usage", "prune", "--before", "yesterday", "--yes"]).code,
        2
    );
    assert_eq!(ended(&db, &["usage", "--days", "0"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_log_is_shown_and_a_forged_entry_is_found() {
    let db = TestDb::new().await;
    admin(&db, &["user", "create", "ada@example.com"]);
    admin(&db, &["user", "suspend", "ada@example.com"]);
    admin(&db, &["user", "resume", "ada@example.com"]);
    let entries = admin(&db, &["audit", "tail", "-n", "2", "--json"]).json_lines();
    let actions: Vec<&Value> = entries.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["user.suspend", "user.resume"]);
    let report = admin(&db, &["audit", "verify", "--json"]).json();
    assert_eq!(
        (&report["broken_at"], &report["entries"]),
        (&Value::Null, &4.into())
    );
    db.superuser()
        .await
        .batch_execute(
            "ALTER TABLE audit_logs DISABLE TRIGGER ALL;
             UPDATE audit_logs SET subject = 'eve@example.com' WHERE action = 'user.suspend';
             ALTER TABLE audit_logs ENABLE TRIGGER ALL;",
        )
        .await
        .unwrap();
    assert_fails(&ended(&db, &["audit", "verify"]), 1, "tampered with: entry 3");
}

#[test]
fn help_and_completions_name_every_command() {
    let help = CommandOutput::of(&mut program(&["--help"]));
    let completions = CommandOutput::of(&mut program(&["completions", "bash"]));
    assert_eq!((help.code, completions.code), (0, 0));
    for command in [
        "quickstart",
        "serve",
        "stdio",
        "migrate",
        "tenant",
        "user",
        "key",
        "import",
        "scan",
        "usage",
        "audit",
        "doctor",
        "completions",
    ] {
        assert!(
            help.out.contains(&format!("\n  {command} ")),
            "{command}: {}",
            help.out
        );
        assert!(completions.out.contains(command), "{command}");
    }
    assert!(!help.out.contains("postgres-supervise"));
    assert!(help.out.contains("Exit codes: 0 success"), "{}", help.out);
    let nonsense = CommandOutput::of(&mut program(&["dance"]));
    assert_eq!((nonsense.code, nonsense.out.as_str()), (2, ""));
    assert_eq!(CommandOutput::of(&mut program(&["completions", "tea"])).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn import_uses_the_default_tenant_and_survives_a_closed_pipe() {
    let db = TestDb::new().await;
    let mut child = program_as(
        "skillkeep_owner",
        &db,
        &["import", samples().to_str().unwrap(), "--json"],
    )
    .spawn()
    .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let tenant = db
        .value::<uuid::Uuid>("SELECT tenant_id FROM skills GROUP BY tenant_id")
        .await;
    let default = db
        .value::<uuid::Uuid>("SELECT id FROM tenants WHERE slug = 'default'")
        .await;
    assert_eq!(TenantId::from_uuid(tenant), TenantId::from_uuid(default));
}
