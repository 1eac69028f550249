//! Test helpers: a client for raw JSON-RPC messages, fault injection, a service with one connection, and checksums of tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use skillkeep::db::{ServerDb, Sql, TenantTx};
use skillkeep::ids::{ApiKeyId, TenantId};
use skillkeep::server::{CallService, CredentialSource, McpHandler, ServiceLimits, TestHook};
use skillkeep::tenancy::ApiKey;
use skillkeep::tools::ToolName;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::Semaphore;

use crate::harness::TestDb;

/// Longer than anything in a test may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client that sends any message, also an invalid one.
pub(crate) struct RawClient {
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    out: WriteHalf<DuplexStream>,
}

impl RawClient {
    pub(crate) async fn connect(service: &Arc<CallService>, key: &ApiKey) -> Self {
        use rmcp::ServiceExt as _;
        let (near, far) = tokio::io::duplex(1 << 20);
        let handler = McpHandler::new(Arc::clone(service), CredentialSource::Stdio(key.clone()));
        tokio::spawn(async move {
            let service = handler.serve(far).await.unwrap();
            let _ = service.waiting().await;
        });
        let (read, out) = tokio::io::split(near);
        let lines = BufReader::new(read).lines();
        let mut wire = Self { lines, out };
        let initialize = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "wire", "version": "1"}});
        wire.send(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize}))
            .await;
        wire.receive(0).await;
        wire.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        wire
    }

    pub(crate) async fn send(&mut self, message: Value) {
        let line = format!("{message}\n");
        self.out.write_all(line.as_bytes()).await.unwrap();
    }

    /// Sends a `tools/call` with these parameters, without waiting for its response.
    pub(crate) async fn start(&mut self, id: i64, params: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}))
            .await;
    }

    pub(crate) async fn cancel(&mut self, id: i64) {
        self.send(
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}),
        )
        .await;
    }

    /// The response to the request with this id. Other messages before it are discarded.
    pub(crate) async fn receive(&mut self, id: i64) -> Value {
        let response = async {
            loop {
                let line = self
                    .lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the server closed the connection");
                let message: Value = serde_json::from_str(&line).unwrap();
                if message["id"] == id {
                    return message;
                }
            }
        };
        tokio::time::timeout(TIMEOUT, response)
            .await
            .expect("no response arrived")
    }

    /// The next message, a response or a notification.
    pub(crate) async fn next_message(&mut self) -> Value {
        let line = self
            .lines
            .next_line()
            .await
            .unwrap()
            .expect("the server closed the connection");
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) async fn call(&mut self, id: i64, params: Value) -> Value {
        self.start(id, params).await;
        self.receive(id).await
    }
}

/// Makes a test hook of a closure.
pub(crate) fn test_hook(
    hook: impl for<'a> Fn(&str, &'a TenantTx) -> BoxFuture<'a, ()> + Send + Sync + 'static,
) -> TestHook {
    Arc::new(hook)
}

/// A fault injected into a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum InjectedFault {
    Panic,
    /// Waits in the server, without a running statement.
    Wait,
    /// Waits in the database.
    SlowStatement,
    BadStatement,
}

impl InjectedFault {
    /// A test hook that injects the fault into every request of this tenant, and adds a permit for each.
    pub(crate) fn of(self, target: TenantId, injected: &Arc<Semaphore>) -> TestHook {
        let injected = Arc::clone(injected);
        test_hook(move |_, tx| {
            let injected = Arc::clone(&injected);
            async move {
                if tx.tenant() != target {
                    return;
                }
                injected.add_permits(1);
                match self {
                    Self::Panic => panic!("a test's panic"),
                    Self::Wait => tokio::time::sleep(Duration::from_secs(300)).await,
                    Self::SlowStatement => {
                        let slow = Sql::from_file("SELECT pg_sleep(300) AS injected_fault");
                        let _ = tx.query(slow, &[]).await;
                    }
                    Self::BadStatement => {
                        let bad = Sql::from_file("SELECT 1 / length('') AS injected_fault");
                        assert!(tx.query(bad, &[]).await.is_err());
                    }
                }
            }
            .boxed()
        })
    }
}

/// A service with one database connection, so that each call gets the connection of the call before.
pub(crate) fn single_connection_service(
    db: &TestDb,
    limits: ServiceLimits,
    hook: TestHook,
) -> Arc<CallService> {
    let server = ServerDb::new(&db.ways.server, 1).unwrap();
    Arc::new(CallService::new(server, limits).with_test_hook(hook))
}

/// Waits until the tenant has this many usage events and every running call has ended, then returns all its events.
pub(crate) async fn events_after(
    db: &TestDb,
    service: &CallService,
    tenant: TenantId,
    count: usize,
) -> Vec<(String, String)> {
    let all_recorded = async {
        while db.events(tenant).await.len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(TIMEOUT, all_recorded).await;
    assert!(in_time.is_ok(), "{:?}", db.events(tenant).await);
    service.drain().await;
    db.events(tenant).await
}

/// For every table: the number of the tenant's rows and a checksum of their contents, read as the superuser.
pub(crate) async fn table_checksums(db: &TestDb, tenant: TenantId) -> BTreeMap<String, (i64, String)> {
    let superuser = db.superuser().await;
    let tables = superuser
        .query(
            "SELECT c.relname::text, CASE WHEN c.relname = 'tenants' THEN 'id' ELSE 'tenant_id' END
             FROM pg_class c
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
               AND c.relname <> 'skillkeep_migrations'",
            &[],
        )
        .await
        .unwrap();
    let mut table_checksums = BTreeMap::new();
    for table in tables {
        let (name, column): (String, String) = (table.get(0), table.get(1));
        let row = superuser
            .query_one(
                &format!(
                    "SELECT count(*), coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {name} t \
                     WHERE {column} = '{tenant}'"
                ),
                &[],
            )
            .await
            .unwrap();
        table_checksums.insert(name, (row.get(0), row.get(1)));
    }
    assert!(table_checksums.len() >= 15, "{table_checksums:?}");
    table_checksums
}

/// Arguments that match the tool's schema. The skill `x` need not exist.
pub(crate) fn valid_arguments(tool: ToolName) -> Value {
    match tool {
        ToolName::SearchSkills | ToolName::UsageReport | ToolName::Recommend | ToolName::Whoami => json!({}),
        ToolName::GetSkill => json!({"skill": "x"}),
        ToolName::InstallSkill => json!({"skill": "x", "assistant": "codex"}),
        ToolName::CheckInstalled => json!({"installed": [{"skill": "x"}]}),
        ToolName::RecordUsage => json!({"skill": "x", "outcome": "helped"}),
        ToolName::RateSkill => json!({"skill": "x", "stars": 5}),
        ToolName::PublishSkill => json!({"files": [{"path": "SKILL.md", "text": ""}]}),
        ToolName::ReviewSkill => json!({"skill": "x"}),
        ToolName::ForkSkill => json!({"skill": "x", "new_name": "y"}),
        ToolName::UpdateSkill => json!({"skill": "x", "action": "archive"}),
        ToolName::YankSkill => json!({"skill": "x", "all": true, "reason": "test"}),
        ToolName::ConfirmInstall => json!({
            "install_id": ApiKeyId::new().to_string(),
            "files": [{"path": "a", "digest": format!("sha256:{}", "0".repeat(64))}],
        }),
    }
}
