//! A call that is given up leaves its usage event, in its own transaction or, where that is lost, in a second one: for every
//! tool.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use skillkeep::db::{ServerDb, Sql};
use skillkeep::server::{CallService, ServiceLimits, TestHook};
use skillkeep::tools::ToolName;

use super::proxy::{Mode, Proxy};
use super::{error_text, install_arguments, stored_rows, tenant_with_skill};
use crate::harness::{Client, TestDb};
use crate::helpers::{events_after, test_hook, valid_arguments};

/// Runs a statement in the call's transaction. Its error reaches the tool through the tool's next statement.
fn statement_hook(statement: &'static str) -> TestHook {
    test_hook(move |_, tx| {
        async move {
            let _result = tx.query(Sql::from_file(statement), &[]).await;
        }
        .boxed()
    })
}

/// Calls every tool, and asserts that each call has exactly one event, with this outcome.
async fn assert_every_call_is_recorded(server: ServerDb, limit: Duration, hook: TestHook, db: &TestDb) {
    let tenant = tenant_with_skill(db, "acme").await;
    let key = db.full_key(tenant).await;
    let limits = ServiceLimits {
        call_timeout: limit,
        ..ServiceLimits::default()
    };
    let service = Arc::new(CallService::new(server, limits).with_test_hook(hook));
    let client = Client::connect(&service, &key).await;
    let mut expected = Vec::new();
    for tool in ToolName::ALL {
        let message = error_text(client.call(tool.as_str(), valid_arguments(*tool)).await);
        assert!(
            message.contains("nothing was done"),
            "{}: {message}",
            tool.as_str()
        );
        expected.push((tool.as_str().to_owned(), "timed_out".to_owned()));
    }
    assert_eq!(events_after(db, &service, tenant, expected.len()).await, expected);
}

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_that_takes_too_long_is_recorded() {
    let db = TestDb::new().await;
    let hook = statement_hook("SELECT pg_sleep(300) AS slept");
    assert_every_call_is_recorded(db.server.clone(), SHORT, hook, &db).await;
}

/// PostgreSQL ends the statement; whoami runs none of its own, so the hook waits until the call is given up.
#[tokio::test(flavor = "multi_thread")]
async fn every_tool_with_a_slow_statement_is_recorded() {
    let db = TestDb::new().await;
    let server = ServerDb::new(&db.ways.server, 2).unwrap();
    // The statement timeout is 200 ms.
    let server = server.with_response_timeout(Duration::from_millis(300));
    let hook = test_hook(|tool, tx| {
        let waits = tool == "whoami";
        async move {
            let slow = Sql::from_file("SELECT pg_sleep(300) AS slept");
            assert!(tx.query(slow, &[]).await.is_err());
            if waits {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    });
    assert_every_call_is_recorded(server, Duration::from_secs(1), hook, &db).await;
}

/// The connection is lost, and the call then takes too long.
#[tokio::test(flavor = "multi_thread")]
async fn every_tool_that_loses_its_connection_is_recorded() {
    let db = TestDb::new().await;
    let hook = test_hook(|_, tx| {
        async move {
            let end = Sql::from_file("SELECT pg_terminate_backend(pg_backend_pid()) AS ended");
            assert!(tx.query(end, &[]).await.is_err());
            std::future::pending::<()>().await;
        }
        .boxed()
    });
    assert_every_call_is_recorded(db.server.clone(), SHORT, hook, &db).await;
}

/// The call itself would succeed, but its transaction is lost before the commit.
#[tokio::test(flavor = "multi_thread")]
async fn call_whose_commit_fails_is_recorded_as_failed() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    // Refuses the first event, as a deadlock with another transaction would.
    let refuse_once = "CREATE SEQUENCE refused; GRANT USAGE ON SEQUENCE refused TO PUBLIC;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('refused') = 1 THEN RAISE EXCEPTION 'refused' USING ERRCODE = '40P01'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON usage_events FOR EACH ROW EXECUTE FUNCTION refuse()";
    db.superuser().await.batch_execute(refuse_once).await.unwrap();
    let service = db.service();
    let client = Client::connect(&service, &key).await;
    let message = error_text(client.call("install_skill", install_arguments()).await);
    assert!(message.contains("so nothing was done"), "{message}");
    let events = events_after(&db, &service, tenant, 1).await;
    assert_eq!(
        events,
        [("install_skill".to_owned(), "internal_error".to_owned())]
    );
    let installs: i64 = db.value("SELECT count(*) FROM installs").await;
    assert_eq!(installs, 0);
}

/// The answer to COMMIT is lost. The second transaction finds the row of the first, and the call has succeeded.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answer_to_commit_is_found_out() {
    let db = TestDb::new().await;
    let tenant = tenant_with_skill(&db, "acme").await;
    let key = db.full_key(tenant).await;
    let proxy = Arc::new(Proxy::start(&db).await);
    let server = ServerDb::new(&proxy.url(), 4).unwrap();
    let service = Arc::new(CallService::new(server, ServiceLimits::default()));
    let client = Client::connect(&service, &key).await;
    client.ok("install_skill", install_arguments()).await;
    proxy.set(Mode::CutAnswerTo("COMMIT\0")).await;
    client.ok("install_skill", install_arguments()).await;
    assert_eq!(stored_rows(&db).await, (2, 2));
    assert_eq!(db.events(tenant).await.len(), 2);
}
