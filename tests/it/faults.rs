//! The database away, silent, full, cut off, out of connections, in a deadlock: what the caller sees, and that nothing is lost
//! or half done.

mod backup;
mod db_errors;
mod disk;
mod failover;
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

/// How long a database that says nothing is waited for here.
const PATIENCE: Duration = Duration::from_secs(3);

async fn with_a_skill(db: &TestDb, slug: &str) -> TenantId {
    let tenant = db.tenant(slug).await;
    db.skill(tenant, "fill-pdf", "Fills in forms.", &[]).await;
    tenant
}

fn install() -> Value {
    json!({"skill": "fill-pdf", "assistant": "codex"})
}

/// Rows that installs left, and rows that calls left.
async fn left(db: &TestDb) -> (i64, i64) {
    (
        db.value("SELECT count(*) FROM installs").await,
        db.value("SELECT count(*) FROM usage_events WHERE tool = 'install_skill' AND outcome = 'ok'")
            .await,
    )
}

/// A service that reaches its database through a proxy.
fn door_through(proxy: &Proxy) -> Arc<CallService> {
    let server = ServerDb::new(&proxy.url(), 4).unwrap().with_patience(PATIENCE);
    Arc::new(CallService::new(server, ServiceLimits::default()))
}

fn words(answer: Result<rmcp::model::CallToolResult, ServiceError>) -> String {
    match answer {
        Ok(result) => {
            assert_eq!(result.is_error, Some(true), "{result:?}");
            result.content[0].as_text().unwrap().text.clone()
        }
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_silent_or_cut_off_is_told_in_time_and_works_again_when_it_is_back() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Proxy::start(&db).await;
    let service = door_through(&proxy);
    let client = Client::connect(&service, &key).await;
    client.ok("install_skill", install()).await;
    for mode in [Mode::Away, Mode::Silent, Mode::Cut] {
        proxy.set(mode).await;
        for tool in ["whoami", "install_skill"] {
            let arguments = if tool == "whoami" { json!({}) } else { install() };
            let began = Instant::now();
            let told = words(client.call(tool, arguments).await);
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{mode:?}: {:?}",
                began.elapsed()
            );
            assert!(told.contains("database"), "{mode:?}: {told}");
            for inside in ["socket", "tokio", "postgres", "connection refused", "/tmp"] {
                assert!(!told.to_lowercase().contains(inside), "{mode:?}: {told}");
            }
        }
        proxy.set(Mode::Pass).await;
        client.ok("install_skill", install()).await;
        let (installs, events) = left(&db).await;
        assert_eq!(installs, events, "{mode:?}: every effect has its record");
    }
    assert_eq!(left(&db).await, (4, 4), "what was refused was not done");
}

/// The connection breaks somewhere between the beginning of a call and the answer to its commit.
#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_connection_breaks_effect_and_record_stand_together_or_not_at_all() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Proxy::start(&db).await;
    let (mut answered, mut refused) = (0, 0);
    for bytes in (50..6_000).step_by(170) {
        let service = door_through(&proxy);
        let client = Client::connect(&service, &key).await;
        client.ok("whoami", json!({})).await;
        proxy.set(Mode::CutAfter(bytes)).await;
        let before = left(&db).await;
        let answer = client.call("install_skill", install()).await;
        proxy.set(Mode::Pass).await;
        service.drain().await;
        // What was sent before the cut may still be at work: a call's transaction is open until it has ended.
        let open = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND usename = 'skillkeep_app' AND state <> 'idle'";
        while db.value::<i64>(open).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Each round has a server of its own, and the database only so many connections.
        service.db().close();
        let after = left(&db).await;
        assert_eq!(after.0 - before.0, after.1 - before.1, "after {bytes} bytes");
        match answer {
            Ok(result) if result.is_error != Some(true) => {
                answered += 1;
                assert_eq!(after.0, before.0 + 1, "answered, so done");
            }
            other => {
                refused += 1;
                let told = words(other);
                let unknown = told.contains("it is unknown whether the call was done");
                assert!(
                    unknown || told.contains("nothing was done") || told.contains("Nothing was done"),
                    "{told}"
                );
                assert!(unknown || after == before, "{bytes}: {told}");
            }
        }
    }
    assert!(
        answered > 0 && refused > 5,
        "{answered} answered, {refused} refused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_that_are_killed_in_the_middle_lose_their_call_and_no_other() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let client = Arc::new(Client::connect(&service, &key).await);
    let calls: Vec<_> = (0..60)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call("install_skill", install()).await })
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
    let (installs, events) = left(&db).await;
    assert_eq!(installs, events);
    assert!(events >= done, "{events} recorded, {done} answered");
    client.ok("whoami", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_free_connection_on_the_database_callers_are_told_to_try_again() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    db.superuser()
        .await
        .batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT 0", db.name))
        .await
        .unwrap();
    let client = Client::connect(&db.service(), &key).await;
    let told = words(client.call("whoami", json!({})).await);
    assert!(
        told.contains("not available") && told.contains("Try again"),
        "{told}"
    );
    assert!(
        !told.contains("connections for database") && !told.contains(&db.name),
        "{told}"
    );
    db.superuser()
        .await
        .batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", db.name))
        .await
        .unwrap();
    client.ok("whoami", json!({})).await;
    assert_eq!(db.events(tenant).await.len(), 1);
}

/// Two calls of one tenant that wait for each other: the database ends one of them.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_calls_in_a_deadlock_one_is_done_and_the_other_told_to_try_again() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let both_hold_one = Arc::new(tokio::sync::Barrier::new(2));
    let turn = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let block = test_hook(move |tool, tx| {
        let (barrier, turn) = (Arc::clone(&both_hold_one), Arc::clone(&turn));
        let is_install = tool == "install_skill";
        async move {
            let number = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
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
            // The one that the database ends stays without its lock; the tool's next statement fails.
            let _ = tx.query(lock(false), &[]).await;
        }
        .boxed()
    });
    let service = db.service_with_faults(ServiceLimits::default(), block);
    let (first, second) = (
        Client::connect(&service, &key).await,
        Client::connect(&service, &key).await,
    );
    let (first, second) = tokio::join!(
        first.call("install_skill", install()),
        second.call("install_skill", install())
    );
    let (good, bad): (Vec<_>, Vec<_>) = [first, second]
        .into_iter()
        .partition(|answer| answer.as_ref().is_ok_and(|result| result.is_error != Some(true)));
    assert_eq!((good.len(), bad.len()), (1, 1));
    let told = words(bad.into_iter().next().unwrap());
    assert!(told.contains("nothing was done. Try again"), "{told}");
    assert!(!told.contains("deadlock"), "{told}");
    assert_eq!(left(&db).await, (1, 1));
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
async fn a_tenant_that_takes_every_connection_for_long_does_not_starve_another() {
    let db = TestDb::new().await;
    let (greedy, other) = (
        with_a_skill(&db, "greedy").await,
        with_a_skill(&db, "other").await,
    );
    let (greedy_key, other_key) = (db.full_key(greedy).await, db.full_key(other).await);
    let (release, stuck) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (released, sticking) = (Arc::clone(&release), Arc::clone(&stuck));
    let block = test_hook(move |_, tx| {
        let (released, sticking) = (Arc::clone(&released), Arc::clone(&sticking));
        async move {
            if tx.tenant() == greedy {
                sticking.add_permits(1);
                let _ = released.acquire().await;
            }
        }
        .boxed()
    });
    let server = ServerDb::new(&db.ways.server, 4).unwrap();
    let service = Arc::new(CallService::new(server, ServiceLimits::default()).with_test_hook(block));
    let hog = Arc::new(Client::connect(&service, &greedy_key).await);
    let hogs: Vec<_> = (0..40)
        .map(|_| {
            let hog = Arc::clone(&hog);
            tokio::spawn(async move { hog.call("whoami", json!({})).await })
        })
        .collect();
    // Three of the four: the last is never his.
    stuck.acquire_many(3).await.unwrap().forget();
    let client = Client::connect(&service, &other_key).await;
    for _ in 0..20 {
        client.ok("install_skill", install()).await;
    }
    assert_eq!(stuck.available_permits(), 0, "he has no more than three");
    // Those who waited for too long were told; the others are done once they may.
    tokio::time::sleep(Duration::from_millis(5_300)).await;
    release.add_permits(1_000);
    let mut told = 0;
    for hog in hogs {
        if let Err(error) = hog.await.unwrap() {
            assert!(error.to_string().contains("other calls"), "{error}");
            told += 1;
        }
    }
    assert_eq!(told, 37);
    assert_eq!(events_after(&db, &service, greedy, 3).await.len(), 3);
}

/// A program that stops in the middle of a transaction, and holds locks in it.
#[tokio::test(flavor = "multi_thread")]
async fn every_transaction_of_a_call_has_its_limits_in_the_database_itself() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let (sender, mut settings) = tokio::sync::mpsc::unbounded_channel();
    let block = test_hook(move |_, tx| {
        let sender = sender.clone();
        async move {
            let sql = "SELECT current_setting('statement_timeout') AS a, current_setting('idle_in_transaction_session_timeout') AS b";
            let row = tx.query_one(Sql::from_file(sql), &[]).await.unwrap();
            sender.send((row.get::<_, String>(0), row.get::<_, String>(1))).unwrap();
        }
        .boxed()
    });
    let client = Client::connect(&db.service_with_faults(ServiceLimits::default(), block), &key).await;
    client.ok("whoami", json!({})).await;
    assert_eq!(
        settings.recv().await.unwrap(),
        ("20s".to_owned(), "1min".to_owned())
    );
}
