//! The audit log: its entries, its protections, and which changes by the owner of the database an auditor can detect.

mod admin_actions;
mod checking;
mod pruning;
mod row_functions;
mod subcommands;

use std::path::Path;

use serde_json::Value;
use skillkeep::ids::TenantId;

use crate::command::{CommandOutput, admin, ended, program};
use crate::harness::TestDb;

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// Creates a signing key; returns its file and its public key.
fn keygen(folder: &tempfile::TempDir, name: &str) -> (String, String) {
    let file = path(folder, name);
    let public = CommandOutput::of(&mut program(&["audit", "keygen", &file]))
        .out
        .trim()
        .to_owned();
    (file, public)
}

fn export(db: &TestDb, tenant: &str, out: &str, key: &str, format: &str) -> CommandOutput {
    admin(
        db,
        &[
            "audit",
            "export",
            "--tenant",
            tenant,
            "--out",
            out,
            "--signing-key",
            key,
            "--format",
            format,
        ],
    )
}

/// Creates a tenant whose log has [`ENTRIES`] entries, by commands.
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
async fn administrative_actions_are_logged_with_actor_source_before_and_after() {
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
    // People appear by id, because the log outlives their erasure.
    assert!(
        !log.iter().any(|entry| entry.to_string().contains('@')),
        "{log:?}"
    );
}

fn verify(db: &TestDb, more: &[&str]) -> CommandOutput {
    ended(db, &[&["audit", "verify", "--tenant", "acme"], more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_detects_changes_by_the_database_owner() {
    for (change, finding) in [
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
        ("SELECT 1", "a protection of the log was changed"),
        (
            "ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_actor; ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain; DROP TRIGGER audit_append_only ON audit_logs",
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
            .batch_execute(&format!("ALTER TABLE audit_logs DISABLE TRIGGER USER; {change}"))
            .await
            .unwrap();
        let ran = verify(&db, &[]);
        assert_eq!(ran.code, 1, "{change}: {ran:?}");
        assert!(ran.err.contains(finding), "{change}: {ran:?}");
    }
}

/// Rebuilds the log without one of its entries, with valid hashes. Only the owner of the database can do this.
async fn rebuild_log(db: &TestDb, without: i64) {
    db.superuser()
        .await
        .batch_execute(&format!(
            "ALTER TABLE audit_logs DISABLE TRIGGER USER;
             CREATE TEMP TABLE kept AS SELECT * FROM audit_logs WHERE seq <> {without} ORDER BY seq;
             DELETE FROM audit_logs;
             ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_actor; ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain;
             INSERT INTO audit_logs SELECT * FROM kept ORDER BY seq;
             ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_append_only;
             ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_truncate"
        ))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_detects_truncated_and_rebuilt_log() {
    let folder = tempfile::tempdir().unwrap();
    let (key_file, public_key) = keygen(&folder, "audit.key");
    assert_eq!(public_key.len(), 44);
    for change in ["truncated", "rebuilt", "none"] {
        let db = TestDb::new().await;
        acme(&db).await;
        let out = path(&folder, &format!("{change}.jsonl"));
        export(&db, "acme", &out, &key_file, "jsonl");
        let checkpoint = format!("{out}.checkpoint.json");
        let with_checkpoint = ["--checkpoint", &checkpoint, "--public-key", &public_key];
        assert_eq!(verify(&db, &with_checkpoint).code, 0);
        match change {
            "truncated" => db
                .superuser()
                .await
                .batch_execute(
                    "ALTER TABLE audit_logs DISABLE TRIGGER USER; DELETE FROM audit_logs WHERE seq > 9;
                     ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_actor; ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain;
                     ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_append_only;
                     ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_truncate",
                )
                .await
                .unwrap(),
            "rebuilt" => rebuild_log(&db, 6).await,
            _ => {}
        }
        admin(&db, &["tenant", "suspend", "acme"]);
        // Without the checkpoint the chain is valid each time.
        assert_eq!(verify(&db, &[]).code, 0, "{change}");
        let ran = verify(&db, &with_checkpoint);
        if change == "none" {
            assert_eq!(ran.code, 0, "{ran:?}");
        } else {
            assert_eq!(ran.code, 1, "{change}: {ran:?}");
            assert!(ran.err.contains("removed or rewritten"), "{ran:?}");
        }
        let (_, other) = keygen(&folder, &format!("{change}.key"));
        assert_eq!(
            verify(&db, &["--checkpoint", &checkpoint, "--public-key", &other]).code,
            1
        );
    }
}

fn check(file: &str, more: &[&str]) -> CommandOutput {
    // No database is reachable.
    CommandOutput::of(
        program(&[&["audit", "check", file], more].concat())
            .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x"),
    )
}

fn mode(file: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn export_is_checked_without_a_database() {
    let db = TestDb::new().await;
    acme(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let out = path(&folder, "log.jsonl");
    let (key_file, public_key) = keygen(&folder, "audit.key");
    assert_eq!(mode(&key_file), 0o600);
    assert_eq!(
        ended(&db, &["audit", "keygen", &key_file]).code,
        4,
        "an existing key is not overwritten"
    );
    let exported = export(&db, "acme", &out, &key_file, "jsonl");
    assert!(
        exported.out.contains(&public_key) && exported.out.contains("Wrote 12 entries"),
        "{exported:?}"
    );
    assert_eq!(mode(&out), 0o600);
    let checked = check(&out, &["--public-key", &public_key]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(
        checked
            .out
            .contains("The file is complete and unchanged: 12 entries"),
        "{checked:?}"
    );
    assert_changed_exports_are_rejected(&folder, &out, &public_key);
    assert_unsigned_cef_export(&db, &folder);
}

fn assert_changed_exports_are_rejected(folder: &tempfile::TempDir, out: &str, public_key: &str) {
    let checkpoint_file = format!("{out}.checkpoint.json");
    let text = std::fs::read_to_string(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 12);
    let last: Value = serde_json::from_str(lines[11]).unwrap();
    assert_eq!(last["action"], "audit.export");
    for (change, text) in [
        (
            "a word is changed",
            text.replacen("user.suspend", "user.applaud", 1),
        ),
        ("the end is removed", lines[..11].join("\n") + "\n"),
        ("the beginning is removed", lines[1..].join("\n") + "\n"),
        (
            "an entry is removed",
            [&lines[..4], &lines[5..]].concat().join("\n") + "\n",
        ),
        (
            "an entry is duplicated",
            [&lines[..4], &lines[3..]].concat().join("\n") + "\n",
        ),
        ("a space is added", format!("{text} ")),
        ("the file is empty", String::new()),
    ] {
        let copy = path(folder, "copy.jsonl");
        std::fs::write(&copy, text).unwrap();
        let ran = check(
            &copy,
            &["--checkpoint", &checkpoint_file, "--public-key", public_key],
        );
        assert_eq!(ran.code, 1, "{change}: {ran:?}");
    }
    let checkpoint = std::fs::read_to_string(&checkpoint_file).unwrap();
    let forged = path(folder, "forged.checkpoint.json");
    std::fs::write(&forged, checkpoint.replace("\"entries\": 12", "\"entries\": 11")).unwrap();
    assert_eq!(
        check(out, &["--checkpoint", &forged, "--public-key", public_key]).code,
        1
    );
}

fn assert_unsigned_cef_export(db: &TestDb, folder: &tempfile::TempDir) {
    let out = path(folder, "log.cef");
    admin(
        db,
        &[
            "audit", "export", "--tenant", "acme", "--out", &out, "--format", "cef",
        ],
    );
    assert!(!Path::new(&format!("{out}.checkpoint.json")).exists());
    let cef = std::fs::read_to_string(&out).unwrap();
    assert_eq!(cef.lines().count(), 13);
    assert!(
        cef.lines()
            .all(|line| line.starts_with("CEF:0|skillkeep|skillkeep|")),
        "{cef}"
    );
}
