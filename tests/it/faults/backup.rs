//! `pg_dump` and `pg_restore`: a restored database has every row level security policy and continues the audit log.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use skillkeep::db::provision::DatabaseUrls;
use skillkeep::db::{AdminDb, ServerDb, connect_owner, isolation_checks};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};

use crate::command::{CommandOutput, admin, program};
use crate::harness::{Client, Cluster, TestDb};
use crate::helpers::table_checksums;

/// The path of a program of the PostgreSQL that runs the tests.
pub(super) async fn postgres_program(db: &TestDb, name: &str) -> PathBuf {
    let folder: String = db
        .value("SELECT setting FROM pg_config() WHERE name = 'BINDIR'")
        .await;
    let path = PathBuf::from(folder).join(name);
    assert!(
        path.exists(),
        "this test needs {name} of PostgreSQL's client programs in {}",
        path.display()
    );
    path
}

pub(super) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Row level security applies to the owner too, so its pg_dump fails instead of writing a partial backup.
async fn assert_owner_cannot_dump(db: &TestDb, folder: &Path) {
    let dump = Command::new(postgres_program(db, "pg_dump").await)
        .args(["--format=custom", "--no-password", "--file"])
        .arg(folder.join("partial"))
        .arg("--dbname")
        .arg(Cluster::get().url("skillkeep_owner", &db.name))
        .output()
        .unwrap();
    assert!(!dump.status.success());
    let stderr = String::from_utf8_lossy(&dump.stderr);
    assert!(stderr.contains("row-level security"), "{stderr}");
}

/// Restores a backup of `db` into an empty database of the same cluster, with the commands of docs/operate.md.
async fn dump_and_restore(db: &TestDb, file: &Path) -> TestDb {
    let superuser = Cluster::get().superuser(&db.name).user().unwrap().to_owned();
    run(Command::new(postgres_program(db, "pg_dump").await)
        .args(["--format=custom", "--no-password", "--file"])
        .arg(file)
        .arg("--dbname")
        .arg(Cluster::get().url(&superuser, &db.name)));
    let restored = TestDb::new().await;
    let session = restored.superuser().await;
    session
        .batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        .await
        .unwrap();
    session
        .batch_execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        .await
        .unwrap();
    drop(session);
    run(Command::new(postgres_program(db, "pg_restore").await)
        .args(["--exit-on-error", "--no-password", "--clean", "--if-exists"])
        .arg("--dbname")
        .arg(Cluster::get().url(&superuser, &restored.name))
        .arg(file));
    restored
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_backup_keeps_isolation_and_continues_the_audit_log() {
    let db = TestDb::new().await;
    admin(&db, &["tenant", "create", "acme"]);
    let tenant = TenantId::from_uuid(db.value("SELECT id FROM tenants WHERE slug = 'acme'").await);
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[("notes.txt", b"notes")])
        .await;
    let key = db.full_key(tenant).await;
    let client = Client::connect(&db.service(), &key).await;
    client
        .ok(
            "install_skill",
            json!({"skill": "fill-pdf", "assistant": "codex"}),
        )
        .await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (signing_key, log) = (path("audit.key"), path("log.jsonl"));
    let public_key = CommandOutput::of(&mut program(&["audit", "keygen", &signing_key])).out;
    let export = ["audit", "export", "--tenant", "acme", "--out", &log];
    admin(&db, &[&export[..], &["--signing-key", &signing_key]].concat());
    let before = table_checksums(&db, tenant).await;
    assert_owner_cannot_dump(&db, folder.path()).await;
    let restored = dump_and_restore(&db, &folder.path().join("backup")).await;
    assert_eq!(table_checksums(&restored, tenant).await, before);
    let checkpoint = format!("{log}.checkpoint.json");
    let verify = ["audit", "verify", "--tenant", "acme", "--checkpoint", &checkpoint];
    let verify = [&verify[..], &["--public-key", public_key.trim()]].concat();
    admin(&restored, &verify);
    let DatabaseUrls { server, admin, .. } = &restored.ways;
    let findings: Vec<String> = isolation_checks::check_server(&ServerDb::new(server, 2).unwrap())
        .await
        .unwrap()
        .into_iter()
        .flat_map(|check| check.findings)
        .collect();
    assert_eq!(findings, Vec::<String>::new());
    let probe = skillkeep::isolation_probe::dry_run(admin).await.unwrap();
    assert_eq!(probe.findings, Vec::<String>::new());
    // The API key still works and the audit log's hash chain continues.
    let service = std::sync::Arc::new(CallService::new(
        ServerDb::new(server, 2).unwrap(),
        ServiceLimits::default(),
    ));
    let client = Client::connect(&service, &key).await;
    client
        .ok(
            "install_skill",
            json!({"skill": "fill-pdf", "assistant": "codex"}),
        )
        .await;
    assert_eq!(restored.events(tenant).await.len(), 2);
    let tx = skillkeep::db::TenantTx::begin_as_admin(&AdminDb::new(admin).unwrap(), tenant)
        .await
        .unwrap();
    assert_eq!(
        skillkeep::registry::audit::verify(&tx).await.unwrap().broken_at,
        None
    );
    drop(tx);
    crate::command::admin(&restored, &["tenant", "suspend", "acme"]);
    crate::command::admin(&restored, &verify);
    let owner = connect_owner(&restored.ways.owner).await;
    assert!(owner.is_ok(), "the schema has the same owner");
}
