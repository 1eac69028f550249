//! The audit log: what is in it, what nobody can change, and what an auditor can find out about somebody who owns the database.

mod admin_actions;
mod checking;

use std::path::Path;

use serde_json::Value;
use skillkeep::ids::TenantId;

use crate::command::{CommandOutput, admin, ended, program};
use crate::harness::TestDb;

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// A tenant with a few entries, by the commands that make them.
async fn acme(db: &TestDb) -> TenantId {
    admin(db, &["tenant", "create", "acme", "--name", "Acme"]);
    admin(db, &["user", "create", "ada@example.com", "--tenant", "acme"]);
    admin(db, &["user", "suspend", "ada@example.com", "--tenant", "acme"]);
    admin(db, &["user", "resume", "ada@example.com", "--tenant", "acme"]);
    let key = admin(
        db,
        &[
            "key",
            "create",
            "--user",
            "bob@example.com",
            "--tenant",
            "acme",
            "--json",
        ],
    )
    .json();
    let id = key["id"].as_str().unwrap();
    let new = admin(db, &["key", "rotate", id, "--tenant", "acme", "--json"]).json();
    admin(
        db,
        &["key", "revoke", new["id"].as_str().unwrap(), "--tenant", "acme"],
    );
    admin(db, &["tenant", "suspend", "acme"]);
    admin(db, &["tenant", "resume", "acme"]);
    let id: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
    let tenant = TenantId::from_uuid(id);
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[]).await;
    tenant
}

const ENTRIES: usize = 11;

#[tokio::test(flavor = "multi_thread")]
async fn every_administrative_act_is_in_it_with_who_where_and_before_and_after() {
    let db = TestDb::new().await;
    acme(&db).await;
    let log = admin(&db, &["audit", "tail", "--tenant", "acme", "--json", "-n", "100"]).json_lines();
    let actions: Vec<&str> = log
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "tenant.create",
            "user.create",
            "user.suspend",
            "user.resume",
            "user.create",
            "key.create",
            "key.rotate",
            "key.revoke",
            "tenant.suspend",
            "tenant.resume",
            "skill.publish"
        ]
    );
    assert_eq!(log.len(), ENTRIES);
    for entry in &log {
        assert!(entry["details"].get("after").is_some(), "{entry}");
    }
    for entry in &log[..10] {
        assert_eq!(
            (&entry["actor_kind"], &entry["source"]),
            (&"admin".into(), &"cli".into()),
            "{entry}"
        );
        assert!(!entry["actor"].as_str().unwrap().is_empty(), "{entry}");
    }
    assert_eq!(log[2]["details"]["before"]["status"], "active");
    assert_eq!(log[2]["details"]["after"]["status"], "suspended");
    assert_eq!(log[8]["details"]["before"]["status"], "active");
    // By id: the log outlives the people in it.
    assert!(
        !log.iter().any(|entry| entry.to_string().contains('@')),
        "{log:?}"
    );
}

fn verify(db: &TestDb, more: &[&str]) -> CommandOutput {
    ended(db, &[&["audit", "verify", "--tenant", "acme"], more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_owner_does_to_it_verify_finds() {
    for (deed, told) in [
        (
            "UPDATE audit_logs SET actor = 'eve' WHERE seq = 3",
            "entry 3 does not follow",
        ),
        (
            "UPDATE audit_logs SET details = '{}' WHERE seq = 9",
            "entry 9 does not follow",
        ),
        (
            "UPDATE audit_logs SET source = 'stdio' WHERE seq = 1",
            "entry 1 does not follow",
        ),
        ("DELETE FROM audit_logs WHERE seq = 5", "entry 5 does not follow"),
        ("DELETE FROM audit_logs WHERE seq = 1", "entry 1 does not follow"),
        (
            "UPDATE audit_logs SET seq = seq + 1 WHERE seq = 11",
            "entry 11 does not follow",
        ),
        (
            "UPDATE audit_logs SET tenant_id = (SELECT id FROM tenants WHERE slug = 'default') WHERE seq = 4",
            "entry 4 does not follow",
        ),
        ("SELECT 1", "what guards the log was changed"),
        (
            "ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain; DROP TRIGGER audit_append_only ON audit_logs",
            "audit_append_only",
        ),
        ("CREATE TABLE more_logs () INHERITS (audit_logs)", "audit_logs"),
        (
            "ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_tenant_id_seq_key",
            "audit_logs_tenant_id_seq_key",
        ),
        (
            "CREATE RULE forget AS ON INSERT TO audit_logs DO INSTEAD NOTHING",
            "forget",
        ),
        ("GRANT DELETE ON audit_logs TO skillkeep_admin", "grant DELETE"),
        (
            "CREATE OR REPLACE FUNCTION forbid_audit_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "forbid_audit_change",
        ),
    ] {
        let db = TestDb::new().await;
        acme(&db).await;
        assert_eq!(verify(&db, &[]).code, 0);
        let superuser = db.superuser().await;
        superuser
            .batch_execute(&format!("ALTER TABLE audit_logs DISABLE TRIGGER USER; {deed}"))
            .await
            .unwrap();
        let ran = verify(&db, &[]);
        assert_eq!(ran.code, 1, "{deed}: {ran:?}");
        assert!(ran.err.contains(told), "{deed}: {ran:?}");
    }
}

/// Makes the log anew without one of its entries, hashes and all: what only the owner of the database can do.
async fn make_anew(db: &TestDb, without: i64) {
    db.superuser()
        .await
        .batch_execute(&format!(
            "ALTER TABLE audit_logs DISABLE TRIGGER USER;
             CREATE TEMP TABLE kept AS SELECT * FROM audit_logs WHERE seq <> {without} ORDER BY seq;
             DELETE FROM audit_logs;
             ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain;
             INSERT INTO audit_logs SELECT * FROM kept ORDER BY seq;
             ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_append_only;
             ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_truncate"
        ))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_head_shows_that_the_end_was_cut_off_or_all_of_it_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = path(&folder, "audit.key");
    let public_key = CommandOutput::of(&mut program(&["audit", "keygen", &key_file]))
        .out
        .trim()
        .to_owned();
    assert_eq!(public_key.len(), 44);
    for deed in ["cut", "anew", "nothing"] {
        let db = TestDb::new().await;
        acme(&db).await;
        let out = path(&folder, &format!("{deed}.jsonl"));
        admin(
            &db,
            &[
                "audit",
                "export",
                "--tenant",
                "acme",
                "--out",
                &out,
                "--signing-key",
                &key_file,
            ],
        );
        let head = format!("{out}.head.json");
        let with_head = ["--head", &head, "--public-key", &public_key];
        assert_eq!(verify(&db, &with_head).code, 0);
        match deed {
            "cut" => db
                .superuser()
                .await
                .batch_execute(
                    "ALTER TABLE audit_logs DISABLE TRIGGER USER; DELETE FROM audit_logs WHERE seq > 9;
                     ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain;
                     ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_append_only;
                     ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_truncate",
                )
                .await
                .unwrap(),
            "anew" => make_anew(&db, 6).await,
            _ => {}
        }
        admin(&db, &["tenant", "suspend", "acme"]);
        // Alone, the chain is whole each time; the head knows.
        assert_eq!(verify(&db, &[]).code, 0, "{deed}");
        let ran = verify(&db, &with_head);
        if deed == "nothing" {
            assert_eq!(ran.code, 0, "{ran:?}");
        } else {
            assert_eq!(ran.code, 1, "{deed}: {ran:?}");
            assert!(ran.err.contains("cut off or written anew"), "{ran:?}");
        }
        let other = CommandOutput::of(&mut program(&[
            "audit",
            "keygen",
            &path(&folder, &format!("{deed}.key")),
        ]))
        .out;
        assert_eq!(
            verify(&db, &["--head", &head, "--public-key", other.trim()]).code,
            1
        );
    }
}

fn check(file: &str, more: &[&str]) -> CommandOutput {
    // Without any database.
    CommandOutput::of(
        program(&[&["audit", "check", file], more].concat())
            .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_checks_an_export_without_a_database() {
    let db = TestDb::new().await;
    acme(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let (key_file, out) = (path(&folder, "audit.key"), path(&folder, "log.jsonl"));
    let public_key = CommandOutput::of(&mut program(&["audit", "keygen", &key_file]))
        .out
        .trim()
        .to_owned();
    let mode = |file: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(file).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&key_file), 0o600);
    assert_eq!(
        ended(&db, &["audit", "keygen", &key_file]).code,
        4,
        "a key is not overwritten"
    );
    let told = admin(
        &db,
        &[
            "audit",
            "export",
            "--tenant",
            "acme",
            "--out",
            &out,
            "--signing-key",
            &key_file,
        ],
    );
    assert!(
        told.out.contains(&public_key) && told.out.contains("Wrote 12 entries"),
        "{told:?}"
    );
    assert_eq!(mode(&out), 0o600);
    let whole = check(&out, &["--public-key", &public_key]);
    assert_eq!(whole.code, 0, "{whole:?}");
    assert!(whole.out.contains("The file is whole: 12 entries"), "{whole:?}");
    let text = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 12);
    let last: Value = serde_json::from_str(lines[11]).unwrap();
    assert_eq!(last["action"], "audit.export");
    for (deed, changed) in [
        (
            "a word is changed",
            text.replacen("user.suspend", "user.applaud", 1),
        ),
        ("the end is cut off", lines[..11].join("\n") + "\n"),
        ("the beginning is cut off", lines[1..].join("\n") + "\n"),
        (
            "one is taken out",
            [&lines[..4], &lines[5..]].concat().join("\n") + "\n",
        ),
        (
            "one is there twice",
            [&lines[..4], &lines[3..]].concat().join("\n") + "\n",
        ),
        ("a blank is added", format!("{text} ")),
        ("nothing is left", String::new()),
    ] {
        let copy = path(&folder, "copy.jsonl");
        std::fs::write(&copy, changed).unwrap();
        let ran = check(
            &copy,
            &["--head", &format!("{out}.head.json"), "--public-key", &public_key],
        );
        assert_eq!(ran.code, 1, "{deed}: {ran:?}");
    }
    // With the head of the forger's own making.
    let head = std::fs::read_to_string(format!("{out}.head.json")).unwrap();
    let forged = path(&folder, "forged.head.json");
    std::fs::write(&forged, head.replace("\"entries\": 12", "\"entries\": 11")).unwrap();
    assert_eq!(
        check(&out, &["--head", &forged, "--public-key", &public_key]).code,
        1
    );
    assert!(!Path::new(&path(&folder, "log.cef.head.json")).exists());
    let cef = path(&folder, "log.cef");
    admin(
        &db,
        &[
            "audit", "export", "--tenant", "acme", "--out", &cef, "--format", "cef",
        ],
    );
    let cef = std::fs::read_to_string(&cef).unwrap();
    assert_eq!(cef.lines().count(), 13);
    assert!(
        cef.lines()
            .all(|line| line.starts_with("CEF:0|skillkeep|skillkeep|")),
        "{cef}"
    );
}
