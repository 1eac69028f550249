//! PostgreSQL rejects a statement or ends a transaction: the caller gets a correct error and nothing is applied partially.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use skillkeep::access::{Denial, DenialReason};
use skillkeep::db::{ServerDb, Sql};
use skillkeep::server::{CallService, ServiceLimits};

use super::proxy::{Mode, Proxy};
use super::{error_text, install_arguments, service_through, stored_rows, tenant_with_skill};
use crate::harness::{Client, TestDb};
use crate::helpers::{events_after, test_hook};

/// SQLSTATE codes with which PostgreSQL rejects a valid statement (manual, appendix A): serialization failure, deadlock, disk full,
/// out of memory, too many connections, lock not available, query cancelled, data corrupted.
const CODES: [&str; 8] = [
    "40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "XX001",
];

/// A statement that PostgreSQL cancelled ran too long.
const CANCELLED: &str = "57014";

#[tokio::test(flavor = "multi_thread")]
async fn db_error_is_reported_as_not_applied_and_hides_db_text() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let client = Client::connect(&service, &key).await;
    let superuser = db.superuser().await;
    let mut recorded = 0;
    for code in CODES {
        for (table, expected) in [
            ("installs", "nothing was done. Try again"),
            (
                "usage_events",
                "could not record the call, so nothing was done. Try again",
            ),
        ] {
            let refuse = format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'internal text' USING ERRCODE = '{code}'; END $$;
                 CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
            );
            superuser.batch_execute(&refuse).await.unwrap();
            let message = error_text(client.call("install_skill", install_arguments()).await);
            let expected = match (code, table) {
                (CANCELLED, "installs") => "was stopped; nothing was done",
                _ => expected,
            };
            assert!(message.contains(expected), "{code} on {table}: {message}");
            assert!(
                !message.contains("internal text") && !message.contains(code),
                "{message}"
            );
            superuser
                .batch_execute("DROP FUNCTION refuse() CASCADE")
                .await
                .unwrap();
            if table == "installs" {
                recorded += 1;
            }
        }
    }
    assert_eq!(stored_rows(&db).await, (0, 0));
    let events = events_after(&db, &service, tenant, recorded).await;
    assert_eq!(events.len(), CODES.len(), "each failed call has a usage event");
    for (code, (_, outcome)) in CODES.iter().zip(&events) {
        let expected = if *code == CANCELLED {
            "timed_out"
        } else {
            "internal_error"
        };
        assert_eq!(outcome, expected, "{code}");
    }
    let client = Client::connect(&db.service(), &key).await;
    client.ok("install_skill", install_arguments()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_ends_slow_statement_and_idle_transaction() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let limits = ServiceLimits {
        call_timeout: Duration::from_secs(120),
        ..ServiceLimits::default()
    };
    // PostgreSQL's statement timeout is two thirds of the response timeout: 4 s.
    let server = || {
        ServerDb::new(&db.ways.server, 4)
            .unwrap()
            .with_response_timeout(Duration::from_secs(6))
    };
    let slow_hook = test_hook(|_, tx| {
        async move {
            let _ended = tx
                .query(Sql::from_file("SELECT pg_sleep(300) AS slept"), &[])
                .await;
        }
        .boxed()
    });
    let service = Arc::new(CallService::new(server(), limits).with_test_hook(slow_hook));
    let client = Client::connect(&service, &key).await;
    let message = error_text(client.call("install_skill", install_arguments()).await);
    assert!(message.contains("nothing was done"), "{message}");
    let events = events_after(&db, &service, tenant, 1).await;
    assert_eq!(events, [("install_skill".to_owned(), "timed_out".to_owned())]);

    let (sender, mut locked) = tokio::sync::mpsc::unbounded_channel();
    let server = ServerDb::new(&db.ways.server, 4)
        .unwrap()
        .with_response_timeout(Duration::from_secs(2));
    let hanging_hook = test_hook(move |_, tx| {
        let sender = sender.clone();
        async move {
            let lock = Sql::from_file("SELECT pg_advisory_xact_lock(73) AS locked");
            tx.query(lock, &[]).await.unwrap();
            sender.send(()).unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        .boxed()
    });
    let service = Arc::new(CallService::new(server, limits).with_test_hook(hanging_hook));
    let client = Arc::new(Client::connect(&service, &key).await);
    let calling = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.call("install_skill", install_arguments()).await })
    };
    locked.recv().await.unwrap();
    // Another session gets the lock while the process still hangs, because PostgreSQL ends the idle transaction.
    let other_session = db.superuser().await;
    other_session
        .batch_execute("SELECT pg_advisory_lock(73)")
        .await
        .unwrap();
    assert!(!calling.is_finished(), "the process still hangs");
    let message = error_text(calling.await.unwrap());
    // A second transaction has recorded the call, so the first can no longer commit.
    assert!(message.contains("nothing was done"), "{message}");
    assert_eq!(stored_rows(&db).await, (0, 0));
    assert_eq!(events_after(&db, &service, tenant, 2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_database_is_waited_for_once_per_transaction() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Arc::new(Proxy::start(&db).await);
    let (answers, mut received) = tokio::sync::mpsc::unbounded_channel();
    let hook_proxy = Arc::clone(&proxy);
    let hook = test_hook(move |_, tx| {
        let (answers, proxy) = (answers.clone(), Arc::clone(&hook_proxy));
        async move {
            proxy.set(Mode::Unresponsive).await;
            for _ in 0..3 {
                let began = std::time::Instant::now();
                let answer = tx.query(Sql::from_file("SELECT 1 AS one"), &[]).await;
                answers.send((answer.is_err(), began.elapsed())).unwrap();
            }
        }
        .boxed()
    });
    let timeout = Duration::from_secs(3);
    let server = ServerDb::new(&proxy.url(), 4)
        .unwrap()
        .with_response_timeout(timeout);
    let service = Arc::new(CallService::new(server, ServiceLimits::default()).with_test_hook(hook));
    let client = Client::connect(&service, &key).await;
    let message = error_text(client.call("install_skill", install_arguments()).await);
    assert!(message.contains("database"), "{message}");
    proxy.set(Mode::Forward).await;
    let mut waited = Vec::new();
    while let Ok(answer) = received.try_recv() {
        waited.push(answer);
    }
    assert!(
        waited.iter().all(|(failed, _)| *failed) && waited.len() == 3,
        "{waited:?}"
    );
    assert!(waited[0].1 >= timeout, "{waited:?}");
    assert!(waited[1..].iter().all(|(_, time)| *time < timeout), "{waited:?}");
    assert_eq!(stored_rows(&db).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_is_written_after_the_database_recovers() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let proxy = Proxy::start(&db).await;
    let service = service_through(&proxy);
    let denial = Denial {
        tenant,
        api_key: None,
        reason: DenialReason::Limit,
        what: "whoami".to_owned(),
        source: "test".to_owned(),
    };
    proxy.set(Mode::Unreachable).await;
    for _ in 0..3 {
        service.access().denials().record(denial.clone());
    }
    // A flush while the database is unreachable.
    service.access().denials().flush(true).await;
    proxy.set(Mode::Forward).await;
    service.drain().await;
    let counted: i64 = db
        .value(
            "SELECT sum((details ->> 'count')::bigint)::bigint FROM audit_logs WHERE action = 'denied.limit'",
        )
        .await;
    assert_eq!(counted, 3);
}
