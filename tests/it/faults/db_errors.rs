//! The database refuses a statement or ends a transaction: what the caller is told, and that nothing is half done.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use skillkeep::access::{Denial, DenialReason};
use skillkeep::db::{ServerDb, Sql};
use skillkeep::server::{CallService, ServiceLimits};

use super::proxy::{Mode, Proxy};
use super::{door_through, install, left, with_a_skill, words};
use crate::harness::{Client, TestDb};
use crate::helpers::{events_after, test_hook};

/// Codes of PostgreSQL's appendix A with which it refuses what is right: serialization failure, deadlock, disk full, out of
/// memory, too many connections, lock not available, query cancelled, data corrupted.
const CODES: [&str; 8] = [
    "40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "XX001",
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_database_refuses_the_caller_learns_that_nothing_was_done_and_no_word_of_its() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let client = Client::connect(&service, &key).await;
    let superuser = db.superuser().await;
    let mut recorded = 0;
    for code in CODES {
        for (table, words_in) in [
            ("installs", "nothing was done. Try again"),
            (
                "usage_events",
                "could not record the call, so nothing was done. Try again",
            ),
        ] {
            let refuse = format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'inner words' USING ERRCODE = '{code}'; END $$;
                 CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
            );
            superuser.batch_execute(&refuse).await.unwrap();
            let told = words(client.call("install_skill", install()).await);
            assert!(told.contains(words_in), "{code} on {table}: {told}");
            assert!(!told.contains("inner words") && !told.contains(code), "{told}");
            superuser
                .batch_execute("DROP FUNCTION refuse() CASCADE")
                .await
                .unwrap();
            if table == "installs" {
                recorded += 1;
            }
        }
    }
    assert_eq!(left(&db).await, (0, 0));
    let events = events_after(&db, &service, tenant, recorded).await;
    assert_eq!(
        events.len(),
        CODES.len(),
        "of what failed by itself there is a record each"
    );
    assert!(
        events.iter().all(|(_, outcome)| outcome == "internal_error"),
        "{events:?}"
    );
    let client = Client::connect(&db.service(), &key).await;
    client.ok("install_skill", install()).await;
}

/// A program that hangs in the middle of a transaction, with its connection open.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_ends_a_statement_that_takes_too_long_and_a_transaction_that_has_gone_silent() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let limits = ServiceLimits {
        call_timeout: Duration::from_secs(120),
        ..ServiceLimits::default()
    };
    // Statements may take four fifths of what is waited for them.
    let server = || {
        ServerDb::new(&db.ways.server, 4)
            .unwrap()
            .with_patience(Duration::from_secs(10))
    };
    let slow = test_hook(|_, tx| {
        async move {
            let _ended = tx
                .query(Sql::from_file("SELECT pg_sleep(300) AS stumble"), &[])
                .await;
        }
        .boxed()
    });
    let service = Arc::new(CallService::new(server(), limits).with_test_hook(slow));
    let client = Client::connect(&service, &key).await;
    let told = words(client.call("install_skill", install()).await);
    assert!(told.contains("nothing was done"), "{told}");
    let events = events_after(&db, &service, tenant, 1).await;
    assert_eq!(
        events,
        [("install_skill".to_owned(), "internal_error".to_owned())]
    );

    let (sender, mut locked) = tokio::sync::mpsc::unbounded_channel();
    let server = ServerDb::new(&db.ways.server, 4)
        .unwrap()
        .with_patience(Duration::from_secs(2));
    let silent = test_hook(move |_, tx| {
        let sender = sender.clone();
        async move {
            let lock = Sql::from_file("SELECT pg_advisory_xact_lock(73) AS locked");
            tx.query(lock, &[]).await.unwrap();
            sender.send(()).unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        .boxed()
    });
    let service = Arc::new(CallService::new(server, limits).with_test_hook(silent));
    let client = Arc::new(Client::connect(&service, &key).await);
    let calling = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.call("install_skill", install()).await })
    };
    locked.recv().await.unwrap();
    // Whoever waits for what it holds gets it long before the program comes back to its senses.
    let waiting = db.superuser().await;
    waiting
        .batch_execute("SELECT pg_advisory_lock(73)")
        .await
        .unwrap();
    assert!(!calling.is_finished(), "the program hangs still");
    let told = words(calling.await.unwrap());
    assert!(told.contains("it is unknown whether the call was done"), "{told}");
    assert_eq!(left(&db).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_says_nothing_is_waited_for_once() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Arc::new(Proxy::start(&db).await);
    let (asked, mut silent) = tokio::sync::mpsc::unbounded_channel();
    let went_silent = Arc::clone(&proxy);
    let block = test_hook(move |_, tx| {
        let (asked, proxy) = (asked.clone(), Arc::clone(&went_silent));
        async move {
            proxy.set(Mode::Silent).await;
            for _ in 0..3 {
                let began = std::time::Instant::now();
                let answer = tx.query(Sql::from_file("SELECT 1 AS one"), &[]).await;
                asked.send((answer.is_err(), began.elapsed())).unwrap();
            }
        }
        .boxed()
    });
    let patience = Duration::from_secs(3);
    let server = ServerDb::new(&proxy.url(), 4).unwrap().with_patience(patience);
    let service = Arc::new(CallService::new(server, ServiceLimits::default()).with_test_hook(block));
    let client = Client::connect(&service, &key).await;
    let told = words(client.call("install_skill", install()).await);
    assert!(told.contains("database"), "{told}");
    proxy.set(Mode::Pass).await;
    let mut waited = Vec::new();
    while let Ok(answer) = silent.try_recv() {
        waited.push(answer);
    }
    assert!(
        waited.iter().all(|(failed, _)| *failed) && waited.len() == 3,
        "{waited:?}"
    );
    assert!(waited[0].1 >= patience, "{waited:?}");
    assert!(waited[1..].iter().all(|(_, time)| *time < patience), "{waited:?}");
    assert_eq!(left(&db).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_cannot_be_written_now_is_written_later() {
    let db = TestDb::new().await;
    let tenant = with_a_skill(&db, "acme").await;
    let proxy = Proxy::start(&db).await;
    let service = door_through(&proxy);
    let denial = Denial {
        tenant,
        api_key: None,
        reason: DenialReason::Limit,
        what: "whoami".to_owned(),
        source: "test".to_owned(),
    };
    proxy.set(Mode::Away).await;
    for _ in 0..3 {
        service.access().denials().record(denial.clone());
    }
    // Looked through while the database is away.
    service.access().denials().flush(true).await;
    proxy.set(Mode::Pass).await;
    service.drain().await;
    let counted: i64 = db
        .value(
            "SELECT sum((details ->> 'count')::bigint)::bigint FROM audit_logs WHERE action = 'denied.limit'",
        )
        .await;
    assert_eq!(counted, 3);
}
