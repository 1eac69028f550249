//! The test harness: one PostgreSQL cluster for the whole run, and for each test a database copied from a migrated template.
//!
//! Tests work in the server's role. `TestDb::superuser` and `TestDb::value` read as the superuser, whom no policy restricts.

mod databases;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agent_skills::{SkillFile, SkillFolder, SkillPath, read_document};
use embedded_postgres::{Embedded, EmbeddedOptions, StartOutcome};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use serde_json::Value;
use skillkeep::db::provision::DatabaseUrls;
use skillkeep::db::{AdminDb, DatabaseUrl, ServerDb, TenantTx, connect_owner};
use skillkeep::ids::{Digest, TenantId, UserId};
use skillkeep::registry::audit::Actor;
use skillkeep::registry::caller::Caller;
use skillkeep::registry::publish::{self, NewVersion, Placement, Source, StoredVersion};
use skillkeep::registry::scans;
use skillkeep::registry::settings::Settings;
use skillkeep::server::{CallService, CredentialSource, McpHandler, ServiceLimits, TestHook};
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes, tenants, users};

/// The run's cluster. Its supervisor stops it when this process ends, even if it is killed.
pub(crate) struct Cluster {
    embedded: Embedded,
}

impl Cluster {
    pub(crate) fn get() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| {
            let program = PathBuf::from(env!("CARGO_BIN_EXE_skillkeep"));
            let options = EmbeddedOptions {
                app_name: "skillkeep".to_owned(),
                data_dir: data_root().join(folder_name()),
                pg_bin: std::env::var_os("SKILLKEEP_PG_BIN").map(PathBuf::from),
                program,
                supervisor_args: vec!["postgres-supervise".into()],
                search_path: std::env::var_os("PATH"),
                runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            };
            // A missing PostgreSQL must be a failure that says what to install, never a skipped test.
            let embedded = Embedded::start(&options)
                .unwrap_or_else(|error| panic!("the tests need PostgreSQL: {error}"));
            Cluster { embedded }
        })
    }

    /// Whether this process found the cluster running: another test run uses it too.
    fn is_shared(&self) -> bool {
        self.embedded.outcome() == StartOutcome::Joined
    }

    /// Connection settings of the superuser.
    pub(crate) fn superuser(&self, database: &str) -> DatabaseUrl {
        DatabaseUrl::from_config(self.config(self.embedded.superuser(), database))
    }

    /// Connection settings of a role.
    pub(crate) fn config(&self, role: &str, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.embedded.socket_dir())
            .port(5432)
            .user(role)
            .dbname(database);
        config
    }

    /// Lets clients connect as a role that only a test has, and waits until the server knows it.
    pub(crate) async fn admit(&self, role: &str) {
        let ident = data_root().join(folder_name()).join("pg_ident.conf");
        let mut map = OpenOptions::new().append(true).open(ident).unwrap();
        let account = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
        let account = account.unwrap().unwrap().name;
        map.write_all(format!("clients \"{account}\" \"{role}\"\n").as_bytes())
            .unwrap();
        let (superuser, connection) = self
            .config(self.embedded.superuser(), "postgres")
            .connect(tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        superuser.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        for _ in 0..100 {
            // The role may not exist yet, which is another error.
            let refused = match self.config(role, "postgres").connect(tokio_postgres::NoTls).await {
                Ok(_) => return,
                Err(error) => error.as_db_error().map(|error| error.message().to_owned()),
            };
            if !refused.unwrap_or_default().contains("Peer authentication failed") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not admit {role}");
    }

    /// `DATABASE_URL` for a child process.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        format!(
            "host={} port=5432 user={role} dbname={database}",
            self.embedded.socket_dir().display()
        )
    }
}

/// Where the cluster's folder is created: in the folder for temporary files or, with `SKILLKEEP_TESTS_IN_MEMORY`, in memory if there
/// is room.
///
/// Each test's database has some 300 files. Creating and deleting them takes about half of PostgreSQL's CPU time on ext4.
#[allow(
    clippy::useless_conversion,
    reason = "the types of `statvfs` differ between platforms"
)]
pub(crate) fn data_root() -> PathBuf {
    const SHARED_MEMORY: &str = "/dev/shm";
    const NEEDED_BYTES: u64 = 6 << 30;
    let free = nix::sys::statvfs::statvfs(SHARED_MEMORY).map_or(0, |found| {
        u64::from(found.blocks_available()) * u64::from(found.fragment_size())
    });
    let is_wanted = std::env::var_os("SKILLKEEP_TESTS_IN_MEMORY").is_some();
    if is_wanted && free >= NEEDED_BYTES {
        PathBuf::from(SHARED_MEMORY)
    } else {
        std::env::temp_dir()
    }
}

/// One folder for each OS account and PostgreSQL installation, because other versions cannot read its data.
fn folder_name() -> String {
    let chosen = std::env::var("SKILLKEEP_PG_BIN").unwrap_or_default();
    let digest = Digest::of(chosen.as_bytes()).to_string();
    format!(
        "skillkeep-tests-{}-{}",
        nix::unistd::Uid::effective(),
        &digest[7..15]
    )
}

/// The database of one test. It is dropped in the background after the test.
pub(crate) struct TestDb {
    pub(crate) name: String,
    pub(crate) ways: DatabaseUrls,
    pub(crate) server: ServerDb,
    pub(crate) admin: AdminDb,
}

impl TestDb {
    pub(crate) async fn new() -> Self {
        let name = databases::take().await;
        let database = Cluster::get().superuser(&name);
        let ways = DatabaseUrls {
            server: database.with_user("skillkeep_app"),
            admin: database.with_user("skillkeep_admin"),
            owner: database.with_user("skillkeep_owner"),
        };
        let server = ServerDb::new(&ways.server, 8).unwrap();
        let admin = AdminDb::new(&ways.admin).unwrap();
        Self {
            name,
            ways,
            server,
            admin,
        }
    }

    /// A connection that no policy restricts.
    pub(crate) async fn superuser(&self) -> tokio_postgres::Client {
        connect_owner(&Cluster::get().superuser(&self.name))
            .await
            .unwrap()
    }

    /// The single value of a query, read as the superuser.
    pub(crate) async fn value<T>(&self, query: &str) -> T
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        self.superuser().await.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Creates a tenant with this slug.
    pub(crate) async fn tenant(&self, slug: &str) -> TenantId {
        let tenant = TenantId::new();
        let tx = TenantTx::begin_as_admin(&self.admin, tenant).await.unwrap();
        assert!(
            tenants::create(&tx, &slug.parse().unwrap(), slug, CallLimits::default())
                .await
                .unwrap()
        );
        skillkeep::search::commit(tx).await.unwrap();
        tenant
    }

    /// Creates an API key with these scopes, and its user unless it exists.
    pub(crate) async fn key(&self, tenant: TenantId, email: &str, scopes: &[Scope]) -> (UserId, ApiKey) {
        let tx = TenantTx::begin_as_admin(&self.admin, tenant).await.unwrap();
        let user = users::find_or_create(&tx, &email.parse().unwrap(), "")
            .await
            .unwrap()
            .id;
        let new = NewApiKey {
            user,
            name: "test".to_owned(),
            scopes: Scopes::new(scopes.iter().copied()),
            only_skills: None,
            only_tools: None,
            expires_at: None,
            call_limits: CallLimits::default(),
        };
        let (_, key) = api_keys::create(&tx, &new).await.unwrap();
        skillkeep::search::commit(tx).await.unwrap();
        (user, key)
    }

    /// Creates an API key with every scope.
    pub(crate) async fn full_key(&self, tenant: TenantId) -> ApiKey {
        self.key(tenant, "ada@example.com", &Scope::ALL).await.1
    }

    /// Publishes a skill: a `SKILL.md` with this description, and further files.
    pub(crate) async fn skill(
        &self,
        tenant: TenantId,
        name: &str,
        description: &str,
        files: &[(&str, &[u8])],
    ) -> StoredVersion {
        let skill_md = format!("---\nname: {name}\ndescription: {description}\n---\n\n# {name}\n\nDo it.\n");
        let mut all = vec![("SKILL.md", skill_md.as_bytes())];
        all.extend_from_slice(files);
        all.sort_by_key(|(path, _)| *path);
        let folder = SkillFolder {
            folder_name: name.to_owned(),
            parent_name: None,
            files: all
                .into_iter()
                .map(|(path, bytes)| SkillFile {
                    path: SkillPath::parse(path).unwrap(),
                    bytes: bytes.to_vec(),
                    is_executable: path.starts_with("scripts/"),
                })
                .collect(),
            diagnostics: Vec::new(),
        };
        let document = read_document(folder.skill_md(), name).unwrap();
        let tx = TenantTx::begin_as_admin(&self.admin, tenant).await.unwrap();
        let caller = Caller::administrator(Actor::Admin("test".to_owned()));
        let (settings, scan) = (Settings::default(), scans::scan_folder(&folder));
        let placement = Placement::Source(Source::path(name));
        let new = NewVersion::new(placement, &folder, &document, &caller, &settings, &scan);
        let stored = publish::store(&tx, &new).await.unwrap();
        skillkeep::search::commit(tx).await.unwrap();
        stored
    }

    /// A service on this database with the default limits.
    pub(crate) fn service(&self) -> Arc<CallService> {
        Arc::new(CallService::new(self.server.clone(), ServiceLimits::default()))
    }

    /// A service that runs `test_hook` in each call, before the tool.
    pub(crate) fn service_with_faults(&self, limits: ServiceLimits, test_hook: TestHook) -> Arc<CallService> {
        Arc::new(CallService::new(self.server.clone(), limits).with_test_hook(test_hook))
    }

    /// The usage events of a tenant as (tool, outcome), oldest first.
    pub(crate) async fn events(&self, tenant: TenantId) -> Vec<(String, String)> {
        let rows = self
            .superuser()
            .await
            .query(
                "SELECT tool, outcome FROM usage_events WHERE tenant_id = $1 ORDER BY id",
                &[tenant.as_uuid()],
            )
            .await
            .unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        self.server.close();
        databases::discard(std::mem::take(&mut self.name));
    }
}

/// rmcp's client, connected to a service through an in-memory stream, with the framing of stdio.
pub(crate) struct Client {
    pub(crate) service: RunningService<RoleClient, ()>,
}

impl Client {
    pub(crate) async fn connect(service: &Arc<CallService>, key: &ApiKey) -> Self {
        let (near, far) = tokio::io::duplex(1 << 20);
        let handler = McpHandler::new(Arc::clone(service), CredentialSource::Stdio(key.clone()));
        tokio::spawn(async move {
            let service = handler.serve(far).await.unwrap();
            let _ = service.waiting().await;
        });
        Self {
            service: ().serve(near).await.unwrap(),
        }
    }

    /// The whole result of a call, also of a failed one.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
        let arguments = arguments.as_object().cloned().unwrap();
        self.service
            .call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments))
            .await
    }

    /// The structured content of a call that must succeed.
    pub(crate) async fn ok(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await.unwrap();
        assert_ne!(result.is_error, Some(true), "{result:?}");
        result.structured_content.unwrap()
    }

    /// The message of a tool error.
    pub(crate) async fn error(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await.unwrap();
        assert_eq!(result.is_error, Some(true), "{result:?}");
        result.content[0].as_text().unwrap().text.clone()
    }
}
