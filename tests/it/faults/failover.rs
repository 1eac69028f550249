//! Failover: the database's address leads to a standby, which is read-only until it is promoted.

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
use super::{error_text, install_arguments, service_through, stored_rows, tenant_with_skill};
use crate::harness::{Client, Cluster, TestDb};

/// Longer than any step. A standby accepts no connections while a transaction on the primary has more than 64 subtransactions, as
/// the isolation probe's dry run has.
const STEP_TIMEOUT: Duration = Duration::from_secs(600);

/// A streaming standby of the tests' cluster.
struct Standby {
    postgres: Child,
    folder: tempfile::TempDir,
    superuser: String,
}

/// PostgreSQL refuses to run as root, so its programs run as the owner of the cluster's files.
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
    async fn start(db: &TestDb) -> Self {
        let data: String = db.value("SELECT current_setting('data_directory')").await;
        let data = std::fs::metadata(data).unwrap();
        let folder = tempfile::tempdir_in(crate::harness::data_root()).unwrap();
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
        let (hba, ident): (String, String) = (
            db.value("SELECT current_setting('hba_file')").await,
            db.value("SELECT current_setting('ident_file')").await,
        );
        let postgres = as_owner(&postgres_program(db, "postgres").await, &data)
            .arg("-c")
            .arg(format!("hba_file={hba}"))
            .arg("-c")
            .arg(format!("ident_file={ident}"))
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

    /// Connects as the superuser; waits until the standby accepts connections.
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
        let (client, connection) = tokio::time::timeout(STEP_TIMEOUT, connected)
            .await
            .expect("the standby cannot be reached");
        tokio::spawn(connection);
        client
    }

    /// Runs a statement that returns one value.
    async fn value<T>(&self, database: &str, query: &str) -> T
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        let superuser = self.superuser(database).await;
        superuser.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Runs ALTER SYSTEM and reloads the configuration.
    async fn alter(&self, statement: &str) {
        let superuser = self.superuser("postgres").await;
        superuser
            .batch_execute("SET default_transaction_read_only = off")
            .await
            .unwrap();
        superuser.batch_execute(statement).await.unwrap();
        superuser.query_one("SELECT pg_reload_conf()", &[]).await.unwrap();
    }

    /// Waits until the query returns true.
    async fn wait_until(&self, query: &str) {
        let is_true = async {
            while !self.value::<bool>("postgres", query).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(STEP_TIMEOUT, is_true)
            .await
            .unwrap_or_else(|_| panic!("never true: {query}"));
    }

    async fn stored_rows(&self, db: &TestDb) -> (i64, i64) {
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
async fn standby_serves_calls_only_after_promotion() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Proxy::start(&db).await;
    let service = service_through(&proxy);
    let client = Client::connect(&service, &key).await;
    client.ok("install_skill", install_arguments()).await;

    let standby = Standby::start(&db).await;
    // The standby contains the rows of before the base backup.
    assert_eq!(standby.stored_rows(&db).await, (1, 1));
    proxy.set(Mode::Cut).await;
    proxy.redirect(standby.folder.path());
    proxy.set(Mode::Forward).await;
    for (tool, arguments) in [("whoami", json!({})), ("install_skill", install_arguments())] {
        let message = error_text(client.call(tool, arguments).await);
        assert!(
            message.contains("not available") && message.contains("Nothing was done"),
            "{message}"
        );
    }
    // Lists fail too: the standby's rows, including the API key, may be outdated.
    let listed = client.service.list_all_tools().await;
    assert!(listed.unwrap_err().to_string().contains("not available"));

    standby.value::<bool>("postgres", "SELECT pg_promote()").await;
    standby.wait_until("SELECT NOT pg_is_in_recovery()").await;
    client.ok("install_skill", install_arguments()).await;
    assert_eq!(standby.stored_rows(&db).await, (2, 2));
    assert_eq!(stored_rows(&db).await, (1, 1), "the old primary is unchanged");

    // The database becomes read-only while connections to it are open.
    standby
        .alter("ALTER SYSTEM SET default_transaction_read_only = on")
        .await;
    standby
        .wait_until("SELECT current_setting('default_transaction_read_only') = 'on'")
        .await;
    let message = error_text(client.call("install_skill", install_arguments()).await);
    assert!(message.contains("othing was done"), "{message}");
    standby
        .alter("ALTER SYSTEM RESET default_transaction_read_only")
        .await;
    standby
        .wait_until("SELECT current_setting('default_transaction_read_only') = 'off'")
        .await;
    client.ok("install_skill", install_arguments()).await;
    assert_eq!(standby.stored_rows(&db).await, (3, 3));
}
