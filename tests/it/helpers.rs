//! More to stand on: a client that speaks the bare wire, a service with one connection, and table_checksums over whole tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use skillkeep::db::{ServerDb, Sql, TenantTx};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, CredentialSource, McpHandler, ServiceLimits, TestHook};
use skillkeep::tenancy::ApiKey;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::Semaphore;

use crate::harness::TestDb;

/// Longer than anything in a test may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that sends whatever it is told to, as a hostile one would.
pub(crate) struct Wire {
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    out: WriteHalf<DuplexStream>,
}

impl Wire {
    pub(crate) async fn connect(service: &Arc<CallService>, key: &ApiKey) -> Self {
        use rmcp::ServiceExt as _;
        let (near, far) = tokio::io::duplex(1 << 20);
        let registry = McpHandler::new(Arc::clone(service), CredentialSource::Stdio(key.clone()));
        tokio::spawn(async move {
            let service = registry.serve(far).await.unwrap();
            let _ = service.waiting().await;
        });
        let (read, out) = tokio::io::split(near);
        let lines = BufReader::new(read).lines();
        let mut wire = Self { lines, out };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "wire", "version": "1"}});
        wire.send(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}))
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

    /// Sends a `tools/call` with these params, without waiting for its answer.
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

    /// The answer to the request with this id.
    pub(crate) async fn receive(&mut self, id: i64) -> Value {
        let answer = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the server hung up");
                let message: Value = serde_json::from_str(&line).unwrap();
                if message["id"] == id {
                    return message;
                }
            }
        };
        tokio::time::timeout(PATIENCE, answer)
            .await
            .expect("no answer came")
    }

    /// Whatever comes next, an answer or a notification.
    pub(crate) async fn next_message(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("the server hung up");
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) async fn call(&mut self, id: i64, params: Value) -> Value {
        self.start(id, params).await;
        self.receive(id).await
    }
}

/// Makes a closure a stumbling block.
pub(crate) fn test_hook(
    block: impl for<'a> Fn(&str, &'a TenantTx) -> BoxFuture<'a, ()> + Send + Sync + 'static,
) -> TestHook {
    Arc::new(block)
}

/// Where a call stumbles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stumble {
    Panic,
    /// In the program, without a statement running.
    Wait,
    /// In the database.
    SlowStatement,
    BadStatement,
}

impl Stumble {
    /// The block over which every request of this tenant stumbles, with a permit for each that has begun to.
    pub(crate) fn of(self, unlucky: TenantId, stumbling: &Arc<Semaphore>) -> TestHook {
        let stumbling = Arc::clone(stumbling);
        test_hook(move |_, tx| {
            let begun = Arc::clone(&stumbling);
            async move {
                if tx.tenant() != unlucky {
                    return;
                }
                begun.add_permits(1);
                match self {
                    Self::Panic => panic!("a test's panic"),
                    Self::Wait => tokio::time::sleep(Duration::from_secs(300)).await,
                    Self::SlowStatement => {
                        let slow = Sql::from_file("SELECT pg_sleep(300) AS stumble");
                        let _ = tx.query(slow, &[]).await;
                    }
                    Self::BadStatement => {
                        let bad = Sql::from_file("SELECT 1 / length('') AS stumble");
                        assert!(tx.query(bad, &[]).await.is_err());
                    }
                }
            }
            .boxed()
        })
    }
}

/// A service whose calls all share one connection, so that the next caller gets what the last one left.
pub(crate) fn single_connection_service(
    db: &TestDb,
    limits: ServiceLimits,
    block: TestHook,
) -> Arc<CallService> {
    let server = ServerDb::new(&db.ways.server, 1).unwrap();
    Arc::new(CallService::new(server, limits).with_test_hook(block))
}

/// Waits until the tenant has this many events and every call in flight has ended; then gives all its events.
pub(crate) async fn events_after(
    db: &TestDb,
    service: &CallService,
    tenant: TenantId,
    count: usize,
) -> Vec<(String, String)> {
    let enough = async {
        while db.events(tenant).await.len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, enough).await;
    assert!(in_time.is_ok(), "{:?}", db.events(tenant).await);
    service.drain().await;
    db.events(tenant).await
}

/// For every table: how many rows of the tenant it holds, and a sum over all that is in them. Seen from outside.
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
