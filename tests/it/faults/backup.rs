//! `pg_dump` and `pg_restore`: what is restored has every policy in force, and goes on where it was.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use skillkeep::db::provision::Provisioned;
use skillkeep::db::{AdminDb, ServerDb, connect_owner, isolation_checks};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};

use crate::command::{CommandOutput, admin, program};
use crate::harness::{Client, Cluster, TestDb};
use crate::helpers::table_checksums;

/// A program of the PostgreSQL that the tests run on.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_has_its_walls_and_goes_on_where_it_was() {
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
    let file = folder.path().join("backup");
    let superuser = Cluster::get().superuser(&db.name).user().unwrap().to_owned();
    // The owner is bound by the policies, and so cannot see everything: it says so, instead of saving half.
    let by_owner = Command::new(postgres_program(&db, "pg_dump").await)
        .args(["--format=custom", "--no-password", "--file"])
        .arg(folder.path().join("half"))
        .arg("--dbname")
        .arg(Cluster::get().url("skillkeep_owner", &db.name))
        .output()
        .unwrap();
    assert!(!by_owner.status.success());
    let words = String::from_utf8_lossy(&by_owner.stderr);
    assert!(words.contains("row-level security"), "{words}");
    // As README.md says.
    run(Command::new(postgres_program(&db, "pg_dump").await)
        .args(["--format=custom", "--no-password", "--file"])
        .arg(&file)
        .arg("--dbname")
        .arg(Cluster::get().url(&superuser, &db.name)));
    // Into a database that is not the template: an empty one of the same cluster.
    let restored = TestDb::new().await;
    let emptying = restored.superuser().await;
    emptying
        .batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        .await
        .unwrap();
    emptying
        .batch_execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        .await
        .unwrap();
    drop(emptying);
    run(Command::new(postgres_program(&db, "pg_restore").await)
        .args([
            "--exit-on-error",
            "--no-password",
            "--clean",
            "--if-exists",
            "--dbname",
        ])
        .arg(Cluster::get().url(&superuser, &restored.name))
        .arg(&file));
    assert_eq!(table_checksums(&restored, tenant).await, before);
    let checkpoint = format!("{log}.checkpoint.json");
    let verify = ["audit", "verify", "--tenant", "acme", "--checkpoint", &checkpoint];
    let verify = [&verify[..], &["--public-key", public_key.trim()]].concat();
    admin(&restored, &verify);
    let Provisioned { server, admin, .. } = &restored.ways;
    let findings: Vec<String> = isolation_checks::check_server(&ServerDb::new(server, 2).unwrap())
        .await
        .unwrap()
        .into_iter()
        .flat_map(|check| check.findings)
        .collect();
    assert_eq!(findings, Vec::<String>::new());
    let proof = skillkeep::isolation_probe::dry_run(admin).await.unwrap();
    assert_eq!(proof.findings, Vec::<String>::new());
    // The same key, and the log's chain goes on.
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
    assert!(owner.is_ok(), "it belongs to the same owner");
}
