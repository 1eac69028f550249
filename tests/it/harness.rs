//! What the tests stand on: a cluster for the whole run, and for each test a database cloned from a migrated template.
//!
//! Tests work as the server's role. What they look at from outside, they look at as the owner of the cluster.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use agent_skills::{SkillFile, SkillFolder, SkillPath, read_document};
use embedded_postgres::{Embedded, EmbeddedOptions, StartOutcome};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use serde_json::Value;
use skillkeep::db::provision::{Provisioned, provision_database};
use skillkeep::db::{AdminDb, DatabaseUrl, ServerDb, TenantTx, connect_owner, migrations};
use skillkeep::ids::{Digest, TenantId, UserId};
use skillkeep::registry::audit::Actor;
use skillkeep::registry::publish::{self, NewVersion, Stored};
use skillkeep::server::{CallService, CredentialSource, Limits, McpHandler, TestHook};
use skillkeep::tenancy::api_keys::{self, NewKey};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes, tenants, users};
use std::sync::Arc;
use tokio::sync::{Mutex, OnceCell};

/// The cluster of all tests. Its supervisor stops it when this process ends, even if it is killed.
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
                data_dir: std::env::temp_dir().join(folder_name()),
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

    /// How the superuser reaches a database of the cluster.
    pub(crate) fn superuser(&self, database: &str) -> DatabaseUrl {
        DatabaseUrl::from_config(self.config(self.embedded.superuser(), database))
    }

    /// The settings for a connection of the test's own.
    pub(crate) fn config(&self, role: &str, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.embedded.socket_dir())
            .port(5432)
            .user(role)
            .dbname(database);
        config
    }

    /// `DATABASE_URL` for a process that a test starts.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        format!(
            "host={} port=5432 user={role} dbname={database}",
            self.embedded.socket_dir().display()
        )
    }
}

/// One folder for an account and a PostgreSQL, so that a run with another version finds no data of this one.
fn folder_name() -> String {
    let chosen = std::env::var("SKILLKEEP_PG_BIN").unwrap_or_default();
    let digest = Digest::of(chosen.as_bytes()).to_string();
    format!(
        "skillkeep-tests-{}-{}",
        nix::unistd::Uid::effective(),
        &digest[7..15]
    )
}

const TEMPLATE: &str = "skillkeep_template";

/// One template for the run, made anew: the migrations may have changed since the last.
async fn template() {
    static MADE: OnceCell<()> = OnceCell::const_new();
    MADE.get_or_init(|| async {
        let cluster = Cluster::get();
        let superuser = connect_owner(&cluster.superuser("postgres")).await.unwrap();
        if cluster.embedded.outcome() != StartOutcome::Joined {
            let left = superuser
                .query(
                    "SELECT datname FROM pg_database WHERE datname LIKE 'skillkeep_t%'",
                    &[],
                )
                .await;
            for row in left.unwrap() {
                let name: String = row.get(0);
                superuser
                    .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
                    .await
                    .unwrap();
            }
        }
        let name = template_name();
        let ways = provision_database(&cluster.superuser("postgres"), &name)
            .await
            .unwrap();
        let mut owner = connect_owner(&ways.owner).await.unwrap();
        migrations::apply(&mut owner).await.unwrap();
        // Set by `tests/mutation/run`, which asks whether the tests notice what is missing.
        if let Ok(mutation) = std::env::var("SKILLKEEP_MUTATION") {
            let superuser = connect_owner(&cluster.superuser(&name)).await.unwrap();
            superuser.batch_execute(&mutation).await.unwrap();
        }
    })
    .await;
}

/// Two runs at once, of different sources, each have their own.
fn template_name() -> String {
    format!("{TEMPLATE}_{}", std::process::id())
}

/// A database of one test.
pub(crate) struct TestDb {
    pub(crate) name: String,
    pub(crate) ways: Provisioned,
    pub(crate) server: ServerDb,
    pub(crate) admin: AdminDb,
}

impl TestDb {
    pub(crate) async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // PostgreSQL copies a template only while nobody else is connected to it, so one at a time.
        static COPYING: Mutex<()> = Mutex::const_new(());
        template().await;
        let cluster = Cluster::get();
        let name = format!(
            "skillkeep_t{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        {
            let _copying = COPYING.lock().await;
            let superuser = connect_owner(&cluster.superuser("postgres")).await.unwrap();
            let copy = format!(
                "CREATE DATABASE {name} TEMPLATE {} OWNER skillkeep_owner",
                template_name()
            );
            superuser.batch_execute(&copy).await.unwrap();
        }
        let database = cluster.superuser(&name);
        let ways = Provisioned {
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

    /// A look from outside, which no policy binds.
    pub(crate) async fn superuser(&self) -> tokio_postgres::Client {
        connect_owner(&Cluster::get().superuser(&self.name))
            .await
            .unwrap()
    }

    /// The one value of a query, seen from outside.
    pub(crate) async fn value<T>(&self, query: &str) -> T
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        self.superuser().await.query_one(query, &[]).await.unwrap().get(0)
    }

    /// A tenant with this slug.
    pub(crate) async fn tenant(&self, slug: &str) -> TenantId {
        let tenant = TenantId::new();
        let tx = TenantTx::begin_as_admin(&self.admin, tenant).await.unwrap();
        assert!(tenants::create(&tx, &slug.parse().unwrap(), slug).await.unwrap());
        tx.commit().await.unwrap();
        tenant
    }

    /// A user of the tenant, made if need be, and a key with these scopes.
    pub(crate) async fn key(&self, tenant: TenantId, email: &str, scopes: &[Scope]) -> (UserId, ApiKey) {
        let tx = TenantTx::begin_as_admin(&self.admin, tenant).await.unwrap();
        let user = users::find_or_create(&tx, &email.parse().unwrap(), "")
            .await
            .unwrap()
            .id;
        let new = NewKey {
            user,
            name: "test".to_owned(),
            scopes: Scopes::new(scopes.iter().copied()),
            only_skills: None,
            only_tools: None,
            expires_at: None,
            call_limits: CallLimits::default(),
        };
        let (_, key) = api_keys::create(&tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        (user, key)
    }

    /// A key with every scope.
    pub(crate) async fn full_key(&self, tenant: TenantId) -> ApiKey {
        self.key(tenant, "ada@example.com", &Scope::ALL).await.1
    }

    /// A skill with a `SKILL.md` of this description and further files.
    pub(crate) async fn skill(
        &self,
        tenant: TenantId,
        name: &str,
        description: &str,
        files: &[(&str, &[u8])],
    ) -> Stored {
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
            notes: Vec::new(),
        };
        let document = read_document(folder.skill_md(), name).unwrap();
        let tx = TenantTx::begin_as_admin(&self.admin, tenant).await.unwrap();
        let actor = Actor::Operator("test".to_owned());
        let new = NewVersion {
            source: name,
            folder: &folder,
            document: &document,
            actor: &actor,
        };
        let stored = publish::store(&tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        stored
    }

    /// A service to this database with the usual limits.
    pub(crate) fn service(&self) -> Arc<CallService> {
        Arc::new(CallService::new(self.server.clone(), Limits::default()))
    }

    /// A service whose tools stumble.
    pub(crate) fn service_with_faults(&self, limits: Limits, test_hook: TestHook) -> Arc<CallService> {
        Arc::new(CallService::new(self.server.clone(), limits).with_test_hook(test_hook))
    }

    /// The events of a tenant, oldest first, seen from outside: tool, outcome.
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
        let name = self.name.clone();
        self.server.close();
        // A thread, because a test's runtime may be on its way out.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let superuser = connect_owner(&Cluster::get().superuser("postgres"))
                    .await
                    .unwrap();
                superuser
                    .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                    .await
                    .unwrap();
            });
        })
        .join();
        if dropped.is_err() && !std::thread::panicking() {
            panic!("the database {} could not be dropped", self.name);
        }
    }
}

/// A real MCP client of a service, over a pipe in memory, as over stdio.
pub(crate) struct Client {
    pub(crate) service: RunningService<RoleClient, ()>,
}

impl Client {
    pub(crate) async fn connect(service: &Arc<CallService>, key: &ApiKey) -> Self {
        let (near, far) = tokio::io::duplex(1 << 20);
        let registry = McpHandler::new(Arc::clone(service), CredentialSource::Stdio(key.clone()));
        tokio::spawn(async move {
            let service = registry.serve(far).await.unwrap();
            let _ = service.waiting().await;
        });
        Self {
            service: ().serve(near).await.unwrap(),
        }
    }

    /// The whole result of a call.
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

    /// The words of a tool error.
    pub(crate) async fn error(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await.unwrap();
        assert_eq!(result.is_error, Some(true), "{result:?}");
        result.content[0].as_text().unwrap().text.clone()
    }
}
