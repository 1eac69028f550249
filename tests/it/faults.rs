//! Database failures: unreachable, unresponsive, full, disconnected, out of connections, deadlocked. The caller gets a correct
//! error, and no call is lost or applied partially.

mod backup;
mod db_errors;
mod disk;
mod failover;
mod given_up;
mod proxy;
mod readyz;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use rmcp::service::ServiceError;
use serde_json::{Value, json};
use skillkeep::db::{ServerDb, Sql};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};
use tokio::sync::Semaphore;

use crate::harness::{Client, TestDb};
use crate::helpers::{events_after, test_hook};
use proxy::{Mode, Proxy};

/// The response timeout of these tests.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

async fn tenant_with_skill(db: &TestDb, slug: &str) -> TenantId {
    let tenant = db.tenant(slug).await;
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[]).await;
    tenant
}

fn install_arguments() -> Value {
    json!({"skill": "fill-pdf", "assistant": "codex"})
}

/// The numbers of rows in `installs` and of successful `install_skill` events.
async fn stored_rows(db: &TestDb) -> (i64, i64) {
    (
        db.value("SELECT count(*) FROM installs").await,
        db.value("SELECT count(*) FROM usage_events WHERE tool = 'install_skill' AND outcome = 'ok'")
            .await,
    )
}

/// A service that reaches its database through a proxy.
fn service_through(proxy: &Proxy) -> Arc<CallService> {
    let server = ServerDb::new(&proxy.url(), 4)
        .unwrap()
        .with_response_timeout(RESPONSE_TIMEOUT);
    Arc::new(CallService::new(server, ServiceLimits::default()))
}

fn error_text(answer: Result<rmcp::model::CallToolResult, ServiceError>) -> String {
    match answer {
        Ok(result) => {
            assert_eq!(result.is_error, Some(true), "{result:?}");
            result.content[0].as_text().unwrap().text.clone()
        }
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_database_is_reported_in_time_and_recovers() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Proxy::start(&db).await;
    let service = service_through(&proxy);
    let client = Client::connect(&service, &key).await;
    client.ok("install_skill", install_arguments()).await;
    for mode in [Mode::Unreachable, Mode::Unresponsive, Mode::Cut] {
        proxy.set(mode).await;
        for tool in ["whoami", "install_skill"] {
            let arguments = if tool == "whoami" {
                json!({})
            } else {
                install_arguments()
            };
            let began = Instant::now();
            let message = error_text(client.call(tool, arguments).await);
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{mode:?}: {:?}",
                began.elapsed()
            );
            assert!(message.contains("database"), "{mode:?}: {message}");
            for inside in ["socket", "tokio", "postgres", "connection refused", "/tmp"] {
                assert!(!message.to_lowercase().contains(inside), "{mode:?}: {message}");
            }
        }
        proxy.set(Mode::Forward).await;
        client.ok("install_skill", install_arguments()).await;
        let (installs, events) = stored_rows(&db).await;
        assert_eq!(installs, events, "{mode:?}: every effect has a usage event");
    }
    assert_eq!(stored_rows(&db).await, (4, 4), "rejected calls had no effect");
}

/// The connection is lost between the begin of a call and the answer to its commit.
#[tokio::test(flavor = "multi_thread")]
async fn lost_connection_keeps_effect_and_event_together() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Proxy::start(&db).await;
    let (mut succeeded, mut failed) = (0, 0);
    for bytes in (50..6_000).step_by(170) {
        let service = service_through(&proxy);
        let client = Client::connect(&service, &key).await;
        client.ok("whoami", json!({})).await;
        proxy.set(Mode::CutAfter(bytes)).await;
        let before = stored_rows(&db).await;
        let answer = client.call("install_skill", install_arguments()).await;
        proxy.set(Mode::Forward).await;
        service.drain().await;
        // Statements sent before the cut may still be running, with their transaction open.
        let open = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND usename = 'skillkeep_app' AND state <> 'idle'";
        while db.value::<i64>(open).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Each round has its own service, and the database has 100 connections.
        service.db().close();
        let after = stored_rows(&db).await;
        assert_eq!(after.0 - before.0, after.1 - before.1, "after {bytes} bytes");
        match answer {
            Ok(result) if result.is_error != Some(true) => {
                succeeded += 1;
                assert_eq!(after.0, before.0 + 1, "a success means one install");
            }
            other => {
                failed += 1;
                let message = error_text(other);
                let unknown = message.contains("it is unknown whether the call was done");
                assert!(
                    unknown || message.contains("nothing was done") || message.contains("Nothing was done"),
                    "{message}"
                );
                assert!(unknown || after == before, "{bytes}: {message}");
            }
        }
    }
    assert!(
        succeeded > 0 && failed > 5,
        "{succeeded} succeeded, {failed} failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_backend_fails_only_its_own_call() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let client = Arc::new(Client::connect(&service, &key).await);
    let calls: Vec<_> = (0..60)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call("install_skill", install_arguments()).await })
        })
        .collect();
    let superuser = db.superuser().await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        superuser
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'skillkeep_app'",
            )
            .await
            .unwrap();
    }
    let mut done = 0;
    for call in calls {
        if call
            .await
            .unwrap()
            .is_ok_and(|result| result.is_error != Some(true))
        {
            done += 1;
        }
    }
    service.drain().await;
    let (installs, events) = stored_rows(&db).await;
    assert_eq!(installs, events);
    assert!(events >= done, "{events} recorded, {done} succeeded");
    client.ok("whoami", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_database_connections_ask_the_caller_to_retry() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    db.superuser()
        .await
        .batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT 0", db.name))
        .await
        .unwrap();
    let client = Client::connect(&db.service(), &key).await;
    let message = error_text(client.call("whoami", json!({})).await);
    assert!(
        message.contains("not available") && message.contains("Try again"),
        "{message}"
    );
    assert!(
        !message.contains("connections for database") && !message.contains(&db.name),
        "{message}"
    );
    db.superuser()
        .await
        .batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", db.name))
        .await
        .unwrap();
    client.ok("whoami", json!({})).await;
    assert_eq!(db.events(tenant).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlock_fails_one_call_and_the_other_succeeds() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    // Two keys: the installs of one key run one after the other.
    let (key, other_key) = (db.full_key(tenant).await, db.full_key(tenant).await);
    let both_hold_one = Arc::new(tokio::sync::Barrier::new(2));
    let call_count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let hook = test_hook(move |tool, tx| {
        let (barrier, call_count) = (Arc::clone(&both_hold_one), Arc::clone(&call_count));
        let is_install = tool == "install_skill";
        async move {
            let number = call_count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if !is_install || number > 1 {
                return;
            }
            let lock = |first: bool| {
                Sql::from_file(if first == (number == 0) {
                    "SELECT pg_advisory_xact_lock(71) AS locked"
                } else {
                    "SELECT pg_advisory_xact_lock(72) AS locked"
                })
            };
            tx.query(lock(true), &[]).await.unwrap();
            barrier.wait().await;
            // PostgreSQL fails this statement in one of the two transactions; there the tool's next statement fails too.
            let _ = tx.query(lock(false), &[]).await;
        }
        .boxed()
    });
    let service = db.service_with_faults(ServiceLimits::default(), hook);
    let (first, second) = (
        Client::connect(&service, &key).await,
        Client::connect(&service, &other_key).await,
    );
    let (first, second) = tokio::join!(
        first.call("install_skill", install_arguments()),
        second.call("install_skill", install_arguments())
    );
    let (succeeded, failed): (Vec<_>, Vec<_>) = [first, second]
        .into_iter()
        .partition(|answer| answer.as_ref().is_ok_and(|result| result.is_error != Some(true)));
    assert_eq!((succeeded.len(), failed.len()), (1, 1));
    let message = error_text(failed.into_iter().next().unwrap());
    assert!(message.contains("nothing was done. Try again"), "{message}");
    assert!(!message.contains("deadlock"), "{message}");
    assert_eq!(stored_rows(&db).await, (1, 1));
    let outcomes: Vec<String> = db
        .events(tenant)
        .await
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect();
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| *outcome == "internal_error")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_holding_its_connections_does_not_starve_another() {
    let db = TestDb::new().await;
    let (greedy, other) = (
        tenant_with_skill(&db, "greedy").await,
        tenant_with_skill(&db, "other").await,
    );
    let (greedy_key, other_key) = (db.full_key(greedy).await, db.full_key(other).await);
    let (release, stuck) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (hook_release, hook_stuck) = (Arc::clone(&release), Arc::clone(&stuck));
    let hook = test_hook(move |_, tx| {
        let (release, stuck) = (Arc::clone(&hook_release), Arc::clone(&hook_stuck));
        async move {
            if tx.tenant() == greedy {
                stuck.add_permits(1);
                let _ = release.acquire().await;
            }
        }
        .boxed()
    });
    let server = ServerDb::new(&db.ways.server, 4).unwrap();
    let service = Arc::new(CallService::new(server, ServiceLimits::default()).with_test_hook(hook));
    let greedy_client = Arc::new(Client::connect(&service, &greedy_key).await);
    let greedy_calls: Vec<_> = (0..40)
        .map(|_| {
            let greedy_client = Arc::clone(&greedy_client);
            tokio::spawn(async move { greedy_client.call("whoami", json!({})).await })
        })
        .collect();
    // Three of the four connections: one is reserved for other tenants.
    stuck.acquire_many(3).await.unwrap().forget();
    let client = Client::connect(&service, &other_key).await;
    for _ in 0..20 {
        client.ok("install_skill", install_arguments()).await;
    }
    assert_eq!(
        stuck.available_permits(),
        0,
        "the tenant holds no more than three connections"
    );
    // Calls that waited for more than 5 s fail; the three that hold a connection succeed after the release.
    tokio::time::sleep(Duration::from_millis(5_300)).await;
    release.add_permits(1_000);
    let mut rejected = 0;
    for call in greedy_calls {
        if let Err(error) = call.await.unwrap() {
            assert!(error.to_string().contains("other calls"), "{error}");
            rejected += 1;
        }
    }
    assert_eq!(rejected, 37);
    assert_eq!(events_after(&db, &service, greedy, 3).await.len(), 3);
}

/// They end the transaction of a process that hangs, and release its locks.
#[tokio::test(flavor = "multi_thread")]
async fn call_transaction_sets_database_side_timeouts() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let (sender, mut settings) = tokio::sync::mpsc::unbounded_channel();
    let hook = test_hook(move |_, tx| {
        let sender = sender.clone();
        async move {
            let sql = "SELECT current_setting('statement_timeout') AS a, current_setting('idle_in_transaction_session_timeout') AS b";
            let row = tx.query_one(Sql::from_file(sql), &[]).await.unwrap();
            sender.send((row.get::<_, String>(0), row.get::<_, String>(1))).unwrap();
        }
        .boxed()
    });
    let client = Client::connect(&db.service_with_faults(ServiceLimits::default(), hook), &key).await;
    client.ok("whoami", json!({})).await;
    assert_eq!(
        settings.recv().await.unwrap(),
        ("20s".to_owned(), "1min".to_owned())
    );
}
