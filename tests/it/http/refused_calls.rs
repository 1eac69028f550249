//! Calls that a limit refuses are recorded alike over every transport, a bounded number of them.

use serde_json::{Value, json};

use super::limits_by_transport::{Connection, limited_key};
use crate::harness::TestDb;
use crate::http_server::{Agent, call, post, serve};

async fn recorded(db: &TestDb, tenant: &str) -> String {
    let query = format!(
        "SELECT coalesce(string_agg(concat_ws(' ', found.transport, found.tool, found.outcome, found.count), '; '
                ORDER BY found.outcome), '')
         FROM (SELECT e.transport, e.tool, e.outcome, count(*) FROM usage_events e JOIN tenants t ON t.id = e.tenant_id
               WHERE t.slug = '{tenant}' GROUP BY 1, 2, 3) found"
    );
    db.value(&query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_calls_are_recorded_alike_over_every_transport() {
    let db = TestDb::new().await;
    let service = db.service();
    let at = serve(&service).await;
    for transport in ["stdio", "http", "sse"] {
        let key = limited_key(&db, transport, 1).await;
        let mut connection = Connection::open(transport, &service, at, &key).await;
        for list in ["tools/list", "resources/list", "prompts/list"] {
            let list = json!({"jsonrpc": "2.0", "id": 1, "method": list});
            assert!(!connection.is_over_limit(&list).await, "{transport}: {list}");
        }
        let mut refused = 0;
        for id in 2..8 {
            refused += i64::from(connection.is_over_limit(&call(id, "whoami", &json!({}))).await);
        }
        assert!(refused >= 4, "{transport}: {refused}");
        settle(&db, 6).await;
        let expected = format!(
            "{transport} whoami ok {}; {transport} whoami over_limit {refused}",
            6 - refused
        );
        assert_eq!(recorded(&db, transport).await, expected);
        db.superuser()
            .await
            .execute("DELETE FROM usage_events", &[])
            .await
            .unwrap();
    }
}

/// Waits until this many calls are recorded: over HTTP, refused ones are in the background.
async fn settle(db: &TestDb, calls: i64) {
    for _ in 0..200 {
        if db.value::<i64>("SELECT count(*) FROM usage_events").await >= calls {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_calls_beyond_sixty_a_minute_are_not_recorded() {
    let db = TestDb::new().await;
    for transport in ["stdio", "http"] {
        let service = db.service();
        let at = serve(&service).await;
        let key = limited_key(&db, transport, 1).await;
        let mut connection = Connection::open(transport, &service, at, &key).await;
        let mut refused = 0;
        for id in 1..=80 {
            refused += i32::from(connection.is_over_limit(&call(id, "whoami", &json!({}))).await);
        }
        assert!(refused >= 70, "{transport}: {refused}");
        service.drain().await;
        let found = recorded(&db, transport).await;
        assert!(
            found.ends_with(&format!("{transport} whoami over_limit 60")),
            "{found}"
        );
        // The audit log has all of them.
        let denied: i64 = db
            .value("SELECT coalesce(sum((details->>'count')::bigint), 0)::bigint FROM audit_logs WHERE action = 'denied.limit'")
            .await;
        assert!(denied >= i64::from(refused), "{transport}: {denied} of {refused}");
        db.superuser()
            .await
            .execute("DELETE FROM usage_events", &[])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_call_is_recorded_with_tool_client_and_sizes() {
    let db = TestDb::new().await;
    let key = limited_key(&db, "acme", 1).await;
    let service = db.service();
    let at = serve(&service).await;
    let search = call(7, "search_skills", &json!({"query": "marzipan", "limit": 3}));
    for _ in 0..2 {
        let sent = post(at, &key, &search).header("user-agent", "agent/4.2").send();
        sent.await.unwrap();
    }
    service.drain().await;
    let recorded: Value = db
        .value("SELECT to_jsonb(e) FROM usage_events e WHERE outcome = 'over_limit'")
        .await;
    for (column, value) in [
        ("tool", json!("search_skills")),
        ("error_code", json!("over_limit")),
        ("protocol_version", json!("2025-11-25")),
        ("client_name", json!("agent")),
        ("client_version", json!("4.2")),
        ("request_id", json!("7")),
    ] {
        assert_eq!(recorded[column], value, "{column}: {recorded}");
    }
    assert_eq!(
        recorded["arguments"]["sizes"],
        json!({"query": 8, "limit": 1}),
        "{recorded}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn record_of_a_refused_call_is_small_whatever_was_sent() {
    let db = TestDb::new().await;
    let key = limited_key(&db, "acme", 1).await;
    let service = db.service();
    let at = serve(&service).await;
    let mut arguments = json!({"query": "\u{1d56d}".repeat(400)});
    for number in 0..200 {
        arguments[format!("{}{number}", "\u{1d56d}".repeat(60))] = json!(1);
    }
    for tool in ["search_skills", "search_skills", "no_such_tool"] {
        post(at, &key, &call(7, tool, &arguments)).send().await.unwrap();
    }
    service.drain().await;
    let events: i64 = db.value("SELECT count(*) FROM usage_events").await;
    let largest: i64 = db
        .value("SELECT max(octet_length(arguments::text))::bigint FROM usage_events WHERE outcome <> 'ok'")
        .await;
    assert_eq!(events, 3);
    assert!(largest < 700, "{largest} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_do_not_count_so_a_client_can_connect_and_call() {
    let db = TestDb::new().await;
    let service = db.service();
    let at = serve(&service).await;
    let key = limited_key(&db, "acme", 1).await;
    let mut agent = Agent::greet(at, &key).await;
    for id in 1..=3 {
        let list = json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"});
        assert!(agent.ask(&list).await["result"].is_object());
    }
    let answer = agent.ask(&call(4, "whoami", &json!({}))).await;
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}
