//! Setting up: what cannot work is refused before it changes anything, and a key that nobody saw is not left active.

use std::fs::OpenOptions;
use std::process::Stdio;

use serde_json::{Value, json};

use super::assert_fails;
use crate::command::{CommandOutput, admin, ended, program, program_as};
use crate::harness::{Cluster, TestDb};

/// Writes to it fail: the device is full.
fn full_device() -> Stdio {
    Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap())
}

fn keys(db: &TestDb) -> Vec<Value> {
    let listed = admin(db, &["key", "list", "--json"]).json();
    listed.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_as_superuser_is_refused_before_it_changes_anything() {
    let db = TestDb::new().await;
    let name = format!("{}_superuser", db.name);
    let superuser = db.superuser().await;
    superuser
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let role = Cluster::get().superuser(&name).user().unwrap().to_owned();
    let ran = CommandOutput::of(program(&["migrate"]).env("DATABASE_URL", Cluster::get().url(&role, &name)));
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.err.contains("nothing was changed"), "{ran:?}");
    assert!(ran.err.contains("ALTER DATABASE"), "{ran:?}");
    let empty = skillkeep::db::connect_owner(&Cluster::get().superuser(&name))
        .await
        .unwrap();
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let tables: i64 = empty.query_one(tables, &[]).await.unwrap().get(0);
    assert_eq!(tables, 0);
    drop(empty);
    superuser
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_cannot_be_printed_is_revoked() {
    let db = TestDb::new().await;
    let create = ["key", "create", "--user", "ada@example.com", "--name", "laptop"];
    let state = |name: &str| {
        let found = keys(&db).into_iter().rfind(|key| key["name"] == name);
        found.unwrap()["state"].clone()
    };
    let ran = CommandOutput::of(program_as("skillkeep_owner", &db, &create).stdout(full_device()));
    assert_eq!(ran.code, 70, "{ran:?}");
    assert!(
        ran.err.contains("could not be printed") && ran.err.contains("was revoked"),
        "{ran:?}"
    );
    assert_eq!(state("laptop"), "revoked");

    let shown = admin(
        &db,
        &[
            "key",
            "create",
            "--user",
            "ada@example.com",
            "--name",
            "desk",
            "--json",
        ],
    )
    .json();
    let rotate = ["key", "rotate", shown["id"].as_str().unwrap(), "--json"];
    let ran = CommandOutput::of(program_as("skillkeep_owner", &db, &rotate).stdout(full_device()));
    assert_eq!(ran.code, 70, "{ran:?}");
    let active = keys(&db).iter().filter(|key| key["state"] == "active").count();
    assert_eq!(active, 1, "the old key, for its grace period");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_or_closed_output_ends_no_command_with_a_signal() {
    let db = TestDb::new().await;
    for arguments in [
        &["tenant", "list"][..],
        &["key", "create", "--user", "ada@example.com"],
        &["key", "revoke", "absent"],
        &["doctor", "--quick"],
        &["usage", "prune", "--before", "2001-01-01", "--yes"],
    ] {
        for full_stdout in [false, true] {
            let mut command = program_as("skillkeep_owner", &db, arguments);
            command.env("SKILLKEEP_LOG", "trace").stderr(full_device());
            if full_stdout {
                command.stdout(full_device());
            }
            let status = command.status().unwrap();
            assert!(status.code().is_some(), "{arguments:?}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_named_by_name_id_or_part_of_its_id() {
    let db = TestDb::new().await;
    let create = |name: &str| {
        let created = [
            "key",
            "create",
            "--user",
            "ada@example.com",
            "--name",
            name,
            "--json",
        ];
        admin(&db, &created).json()["id"].as_str().unwrap().to_owned()
    };
    let (laptop, desk, twin) = (create("laptop"), create("desk"), create("twin"));
    let other_twin = create("twin");
    let limit = |key: &str| ended(&db, &["key", "limit", key, "--calls-per-minute", "7", "--json"]);
    for (key, id) in [
        ("laptop", &laptop),
        (&desk[desk.len() - 8..], &desk),
        (&twin.to_uppercase(), &twin),
    ] {
        assert_eq!(limit(key).json()["id"], json!(id), "{key}");
    }
    let ran = limit("twin");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains(&twin) && ran.err.contains(&other_twin),
        "{ran:?}"
    );
    assert_eq!(ended(&db, &["key", "revoke", &twin]).code, 0);
    assert_eq!(limit("twin").json()["id"], json!(other_twin), "the active one");
    for absent in ["nobody", &desk[..4]] {
        assert_eq!(limit(absent).code, 3, "{absent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_database_gets_a_verdict_and_silence_on_stderr() {
    let db = TestDb::new().await;
    for arguments in [&["doctor"][..], &["doctor", "--quick"]] {
        let ran = admin(&db, arguments);
        assert_eq!(ran.err, "", "{arguments:?}");
        let last = ran.out.lines().last().unwrap();
        assert!(last.starts_with("No problem found in "), "{last}");
    }
}

#[test]
fn password_in_an_argument_is_refused_and_not_repeated() {
    let url = "postgres://ada:hidden-word@127.0.0.1:1/none";
    for arguments in [
        vec!["tenant", "list", "--database-url", url],
        vec![
            "--database-url",
            "host=127.0.0.1 port=1 password=hidden-word",
            "doctor",
        ],
    ] {
        let ran = CommandOutput::of(&mut program(&arguments));
        assert_fails(&ran, 2, "set DATABASE_URL instead");
        assert!(!format!("{ran:?}").contains("hidden-word"), "{ran:?}");
    }
    let joined = format!("--database-url={url}");
    let ran = CommandOutput::of(&mut program(&["tenant", "list", &joined]));
    assert_fails(&ran, 2, "set DATABASE_URL instead");
    // The same in the environment is tried.
    let ran = CommandOutput::of(program(&["tenant", "list"]).env("DATABASE_URL", url));
    assert_fails(&ran, 5, "");
}
