//! The database fails over: its name leads to a standby, which takes no writes until it is promoted.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, chown};
use serde_json::json;
use tokio_postgres::NoTls;

use super::backup::{postgres_program, run};
use super::proxy::{Mode, Proxy};
use super::{door_through, install, left, with_a_skill, words};
use crate::harness::{Client, Cluster, TestDb};

/// Longer than anything here may take. A standby lets nobody in while a transaction of the cluster has more parts than it can
/// follow, as one has in which a doctor's attacks are rehearsed.
const PATIENCE: Duration = Duration::from_secs(600);

/// A copy of the tests' cluster that follows it.
struct Standby {
    postgres: Child,
    folder: tempfile::TempDir,
    superuser: String,
}

/// PostgreSQL does not run as root, so its programs run as the account that owns the cluster's files.
fn as_owner(program: &Path, data: &std::fs::Metadata) -> Command {
    let mut command = Command::new(program);
    if nix::unistd::Uid::effective().is_root() {
        command.uid(data.uid()).gid(data.gid());
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .current_dir("/");
    command
}

impl Standby {
    async fn follow(db: &TestDb) -> Self {
        let data: String = db.value("SELECT current_setting('data_directory')").await;
        let data = std::fs::metadata(data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if nix::unistd::Uid::effective().is_root() {
            chown(folder.path(), Some(data.uid().into()), Some(data.gid().into())).unwrap();
        }
        let superuser = Cluster::get().superuser(&db.name).user().unwrap().to_owned();
        run(as_owner(&postgres_program(db, "pg_basebackup").await, &data)
            .args([
                "--checkpoint=fast",
                "--wal-method=stream",
                "--write-recovery-conf",
                "--pgdata",
            ])
            .arg(folder.path().join("data"))
            .arg("--dbname")
            .arg(Cluster::get().url(&superuser, "postgres")));
        let postgres = as_owner(&postgres_program(db, "postgres").await, &data)
            .arg("-D")
            .arg(folder.path().join("data"))
            .args(["-c", "listen_addresses=", "-c", "port=5432", "-c"])
            .arg(format!("unix_socket_directories={}", folder.path().display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            postgres,
            folder,
            superuser,
        }
    }

    /// A connection as the superuser, as soon as there can be one.
    async fn superuser(&self, database: &str) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.folder.path())
            .port(5432)
            .user(&self.superuser)
            .dbname(database);
        let connected = async {
            loop {
                match config.connect(NoTls).await {
                    Ok(connected) => return connected,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        let (client, connection) = tokio::time::timeout(PATIENCE, connected)
            .await
            .expect("the standby cannot be reached");
        tokio::spawn(connection);
        client
    }

    /// Runs a statement of one value.
    async fn value<T>(&self, database: &str, query: &str) -> T
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        let superuser = self.superuser(database).await;
        superuser.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Changes a setting for every connection.
    async fn alter(&self, statement: &str) {
        let superuser = self.superuser("postgres").await;
        superuser
            .batch_execute("SET default_transaction_read_only = off")
            .await
            .unwrap();
        superuser.batch_execute(statement).await.unwrap();
        superuser.query_one("SELECT pg_reload_conf()", &[]).await.unwrap();
    }

    /// Waits until the statement answers yes.
    async fn until(&self, query: &str) {
        let yes = async {
            while !self.value::<bool>("postgres", query).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, yes)
            .await
            .unwrap_or_else(|_| panic!("it never came: {query}"));
    }

    async fn left(&self, db: &TestDb) -> (i64, i64) {
        (
            self.value(&db.name, "SELECT count(*) FROM installs").await,
            self.value(
                &db.name,
                "SELECT count(*) FROM usage_events WHERE tool = 'install_skill' AND outcome = 'ok'",
            )
            .await,
        )
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let id = Pid::from_raw(i32::try_from(self.postgres.id()).unwrap());
        let _stopped = kill(id, Signal::SIGQUIT);
        let _stopped = self.postgres.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_answers_nothing_until_it_is_promoted_and_then_everything() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Proxy::start(&db).await;
    let service = door_through(&proxy);
    let client = Client::connect(&service, &key).await;
    client.ok("install_skill", install()).await;

    let standby = Standby::follow(&db).await;
    // What the backup began with is in it; it can be reached when it is consistent.
    assert_eq!(standby.left(&db).await, (1, 1));
    proxy.set(Mode::Cut).await;
    proxy.lead_to(standby.folder.path());
    proxy.set(Mode::Pass).await;
    for (tool, arguments) in [("whoami", json!({})), ("install_skill", install())] {
        let told = words(client.call(tool, arguments).await);
        assert!(
            told.contains("not available") && told.contains("Nothing was done"),
            "{told}"
        );
    }
    // What it would list may be of a while ago, and so may the key be with which that is asked.
    let listed = client.service.list_all_tools().await;
    assert!(listed.unwrap_err().to_string().contains("not available"));

    standby.value::<bool>("postgres", "SELECT pg_promote()").await;
    standby.until("SELECT NOT pg_is_in_recovery()").await;
    client.ok("install_skill", install()).await;
    assert_eq!(standby.left(&db).await, (2, 2));
    assert_eq!(left(&db).await, (1, 1), "nothing went to the old one");

    // A database that takes no more writes while connections to it are open.
    standby
        .alter("ALTER SYSTEM SET default_transaction_read_only = on")
        .await;
    standby
        .until("SELECT current_setting('default_transaction_read_only') = 'on'")
        .await;
    let told = words(client.call("install_skill", install()).await);
    assert!(told.contains("othing of it was done"), "{told}");
    standby
        .alter("ALTER SYSTEM RESET default_transaction_read_only")
        .await;
    standby
        .until("SELECT current_setting('default_transaction_read_only') = 'off'")
        .await;
    client.ok("install_skill", install()).await;
    assert_eq!(standby.left(&db).await, (3, 3));
}
