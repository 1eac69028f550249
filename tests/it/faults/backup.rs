//! `pg_dump` and `pg_restore`: what is restored has every policy in force, and goes on where it was.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use skillkeep::db::provision::Provisioned;
use skillkeep::db::{AdminDb, ServerDb, connect_owner, guard};
use skillkeep::server::{Door, Limits};

use crate::harness::{Client, Cluster, TestDb};
use crate::support::sums;

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
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[("notes.txt", b"notes")])
        .await;
    let key = db.full_key(tenant).await;
    let client = Client::connect(&db.door(), &key).await;
    client
        .ok(
            "install_skill",
            json!({"skill": "fill-pdf", "assistant": "codex"}),
        )
        .await;
    let before = sums(&db, tenant).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let superuser = Cluster::get().superuser(&db.name).user().unwrap().to_owned();
    // As README.md says.
    run(Command::new(postgres_program(&db, "pg_dump").await)
        .args(["--format=custom", "--no-password", "--file"])
        .arg(&file)
        .arg("--dbname")
        .arg(Cluster::get().url(&superuser, &db.name)));
    // Into a database that is not the template: an empty one of the same cluster.
    let restored = TestDb::new().await;
    let admin = restored.superuser().await;
    admin
        .batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        .await
        .unwrap();
    admin
        .batch_execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        .await
        .unwrap();
    drop(admin);
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
    assert_eq!(sums(&restored, tenant).await, before);
    let Provisioned { server, admin, .. } = &restored.ways;
    let findings: Vec<String> = guard::check_server(&ServerDb::new(server, 2).unwrap())
        .await
        .unwrap()
        .into_iter()
        .flat_map(|check| check.findings)
        .collect();
    assert_eq!(findings, Vec::<String>::new());
    let proof = skillkeep::proof::rehearse(admin).await.unwrap();
    assert_eq!(proof.findings, Vec::<String>::new());
    // The same key, and the log's chain goes on.
    let door = std::sync::Arc::new(Door::new(ServerDb::new(server, 2).unwrap(), Limits::default()));
    let client = Client::connect(&door, &key).await;
    client
        .ok(
            "install_skill",
            json!({"skill": "fill-pdf", "assistant": "codex"}),
        )
        .await;
    assert_eq!(restored.events(tenant).await.len(), 2);
    let tx = skillkeep::db::TenantTx::begin_as_operator(&AdminDb::new(admin).unwrap(), tenant)
        .await
        .unwrap();
    assert_eq!(
        skillkeep::registry::audit::verify(&tx).await.unwrap().broken_at,
        None
    );
    drop(tx);
    let owner = connect_owner(&restored.ways.owner).await;
    assert!(owner.is_ok(), "it belongs to the same owner");
}
