//! A temporary cluster, a tenant with the sample skills, an API key, and a running server.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use embedded_postgres::{Embedded, EmbeddedOptions};
use skillkeep::db::DatabaseUrl;
use skillkeep::db::connect_owner;

use super::BenchResult;

const PROGRAM: &str = env!("CARGO_BIN_EXE_skillkeep");

/// The value of an environment variable, or the default.
pub(super) fn number(name: &str, default: u64) -> BenchResult<u64> {
    Ok(match std::env::var(name) {
        Ok(text) => text.parse()?,
        Err(_) => default,
    })
}

pub(super) struct Fixture {
    folder: PathBuf,
    embedded: Embedded,
    server: Child,
    pub(super) port: u16,
    pub(super) key: String,
}

impl Fixture {
    pub(super) async fn new() -> BenchResult<Self> {
        let folder = std::env::temp_dir().join(format!("skillkeep-bench-{}", std::process::id()));
        let options = EmbeddedOptions {
            app_name: "skillkeep".to_owned(),
            data_dir: folder.join("d"),
            pg_bin: std::env::var_os("SKILLKEEP_PG_BIN").map(PathBuf::from),
            program: PathBuf::from(PROGRAM),
            supervisor_args: vec!["postgres-supervise".into()],
            search_path: std::env::var_os("PATH"),
            runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
        };
        let embedded = Embedded::start(&options)?;
        let command = || {
            let mut command = Command::new(PROGRAM);
            command
                .env("SKILLKEEP_DATA_DIR", &options.data_dir)
                .env_remove("DATABASE_URL")
                .stdin(Stdio::null());
            command
        };
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
        if !command()
            .args(["import", samples])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?
            .success()
        {
            return Err("the import of the samples failed".into());
        }
        let created = command()
            .args(["key", "create", "--user", "bench@example.com"])
            .output()?;
        let key = String::from_utf8(created.stdout)?.trim().to_owned();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = command()
            .args([
                "serve",
                "--connections",
                "32",
                "--listen",
                &format!("127.0.0.1:{port}"),
            ])
            .stderr(Stdio::null())
            .spawn()?;
        let fixture = Self {
            folder,
            embedded,
            server,
            port,
            key,
        };
        fixture.wait_ready().await?;
        Ok(fixture)
    }

    async fn wait_ready(&self) -> BenchResult<()> {
        let started = Instant::now();
        let probe = super::Post::get("/readyz", self);
        while super::http(&probe, 1, Duration::from_millis(1)).await.is_err() {
            if started.elapsed() > Duration::from_secs(30) {
                return Err("the server was not ready within 30 s".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Runs a skillkeep command on the same database and returns its output.
    #[allow(dead_code, reason = "only the benchmark noisy_tenant uses it")]
    pub(super) fn admin(&self, arguments: &[&str]) -> BenchResult<String> {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .env("SKILLKEEP_DATA_DIR", self.folder.join("d"))
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    pub(super) fn url(&self, role: &str) -> DatabaseUrl {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.embedded.socket_dir())
            .port(5432)
            .user(role)
            .dbname("skillkeep");
        DatabaseUrl::from_config(config)
    }

    pub(super) fn socket_dir(&self) -> String {
        self.embedded.socket_dir().display().to_string()
    }

    /// A folder for files, which is removed with the fixture.
    pub(super) fn scratch(&self) -> BenchResult<PathBuf> {
        let scratch = self.folder.join("scratch");
        std::fs::create_dir_all(&scratch)?;
        Ok(scratch)
    }

    /// The newest usage event as pairs of column and text, and the hash of the API key.
    pub(super) async fn newest_event(&self) -> BenchResult<Vec<(String, Option<String>)>> {
        let client = connect_owner(&self.url(self.embedded.superuser())).await?;
        let query = "SELECT f.key, f.value FROM (SELECT * FROM usage_events ORDER BY id DESC LIMIT 1) e, \
                     jsonb_each_text(to_jsonb(e)) f \
                     UNION ALL SELECT 'key_hash', k.key_hash::text FROM api_keys k";
        let rows = client.query(query, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, tokio_postgres::Error>>()?)
    }

    pub(super) fn close(mut self) -> BenchResult<()> {
        self.server.kill()?;
        self.server.wait()?;
        self.embedded.stop()?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}
