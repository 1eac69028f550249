//! Dropping old usage events is recorded in the audit log of every affected tenant.

use std::time::Duration;

use serde_json::json;
use skillkeep::db::isolation_checks;
use skillkeep::registry::administration;
use skillkeep::registry::audit::Actor;

use super::admin_actions::log;
use crate::command::{admin, ended};
use crate::harness::{Client, TestDb};

/// A statement that inserts events of a tenant into the month that is this many months from now.
fn insert_events(slug: &str, months: i32, count: i32) -> String {
    format!(
        "INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
         SELECT t.id, usage_partition_bound(now() + interval '{months} months' + n * interval '1 ms'), t.id, t.id, 'x', 'ok', 1, 'stdio'
         FROM tenants t, generate_series(1, {count}) n WHERE t.slug = '{slug}';"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_is_logged_for_each_tenant_with_dropped_events() {
    let db = TestDb::new().await;
    for slug in ["acme", "other", "third"] {
        admin(&db, &["tenant", "create", slug]);
    }
    let superuser = db.superuser().await;
    for insert in [
        insert_events("acme", -1, 3),
        insert_events("other", -1, 1),
        insert_events("acme", 0, 2),
        insert_events("third", 0, 1),
    ] {
        superuser.batch_execute(&insert).await.unwrap();
    }
    let month: String = db
        .value("SELECT to_char((now() AT TIME ZONE 'UTC') - interval '1 month', 'YYYY_MM')")
        .await;
    let first: String = db
        .value("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date::text")
        .await;
    let logs = || ["acme", "other", "third", "default"].map(|slug| log(&db, slug));
    let before = logs();
    let events = "SELECT count(*) FROM usage_events";
    for rejected in [
        "SELECT detach_usage_month(((now() AT TIME ZONE 'UTC')::date + 32)::date)",
        "SELECT detach_usage_month(date_trunc('month', now() AT TIME ZONE 'UTC')::date + 1)",
        "SELECT detach_usage_month(NULL)",
        "SELECT detach_usage_month('infinity')",
        "SELECT prune_detached_month(NULL, 'eve', 1)",
        "SELECT prune_detached_month('2020-01-01', 'eve', 0)",
        "SELECT prune_detached_month('2020-01-01', 'eve', 1001)",
    ] {
        let error = superuser.batch_execute(rejected).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "22023", "{rejected}");
    }
    let late = ended(&db, &["usage", "prune", "--before", "2100-01-01", "--yes"]);
    assert_eq!(late.code, 2, "{late:?}");
    assert!(late.err.contains(&first), "{late:?}");
    assert_eq!((logs(), db.value::<i64>(events).await), (before.clone(), 7));

    let dropped = admin(&db, &["usage", "prune", "--before", &first, "--yes", "--json"]).json();
    assert_eq!(dropped, json!([format!("usage_events_{month}")]));
    assert_eq!(db.value::<i64>(events).await, 3);
    let after = logs();
    assert_eq!(
        (&after[2], &after[3]),
        (&before[2], &before[3]),
        "tenants without events in the dropped month"
    );
    for (at, rows) in [(0, 3), (1, 1)] {
        let [.., entry] = after[at].as_slice() else {
            panic!("{after:?}")
        };
        assert_eq!(after[at].len(), before[at].len() + 1);
        assert_eq!(
            (&entry["action"], &entry["subject"]),
            (&json!("usage.prune"), &json!(first))
        );
        assert_eq!(entry["actor"], before[at][0]["actor"]);
        let mut months = serde_json::Map::new();
        months.insert(month.clone(), json!(rows));
        assert_eq!(
            entry["details"],
            json!({"before": {"usage_events": months}, "after": {"usage_events": {}}})
        );
    }
    for slug in ["acme", "other", "third", "default"] {
        assert_eq!(admin(&db, &["audit", "verify", "--tenant", slug]).code, 0);
    }
}

/// The first day of the current month.
async fn this_month(db: &TestDb) -> jiff::civil::Date {
    db.value("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date")
        .await
}

/// On the first day of a month, its predecessor may have ended less than an hour ago: that one is not detached yet.
const LAST_MONTH: &str = "SELECT to_char((now() AT TIME ZONE 'UTC') - interval '1 month', 'YYYY_MM')";

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_a_prune_waits_for_a_report() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let client = Client::connect(&db.service(), &key).await;
    client.ok("whoami", json!({})).await;
    let superuser = db.superuser().await;
    superuser
        .batch_execute(&insert_events("acme", -1, 3))
        .await
        .unwrap();
    let report = "BEGIN; SELECT count(*) FROM usage_events; SELECT count(*) FROM tenants";
    superuser.batch_execute(report).await.unwrap();
    let (admin, before) = (db.admin.clone(), this_month(&db).await);
    let prune = tokio::spawn(async move {
        administration::usage::prune(&admin, &Actor::Admin("test".to_owned()), before).await
    });
    // Until the prune waits for its first lock.
    while !prune.is_finished()
        && db
            .value::<i64>("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted")
            .await
            == 0
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..20 {
        client.ok("whoami", json!({})).await;
    }
    assert!(!prune.is_finished(), "the report still runs");
    superuser.batch_execute("COMMIT").await.unwrap();
    let month: String = db.value(LAST_MONTH).await;
    let dropped = prune.await.unwrap().unwrap();
    assert_eq!(dropped, [format!("usage_events_{month}")]);
    assert_eq!(db.events(tenant).await.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_prune_is_continued_and_harms_nothing() {
    let db = TestDb::new().await;
    let slugs = ["acme", "other", "third"];
    for slug in slugs {
        admin(&db, &["tenant", "create", slug]);
    }
    let superuser = db.superuser().await;
    for (slug, count) in [("acme", 3), ("other", 2), ("third", 1)] {
        superuser
            .batch_execute(&insert_events(slug, -1, count))
            .await
            .unwrap();
    }
    let before = this_month(&db).await;
    // The prune ends after the month was detached and two of three entries were written.
    let interrupted = format!(
        "SET ROLE skillkeep_admin; SELECT detach_usage_month('{before}'); SELECT prune_detached_month('{before}', 'me', 2)"
    );
    superuser.batch_execute(&interrupted).await.unwrap();
    let entries = |slug: &str| {
        let pruned = |entry: &&serde_json::Value| entry["action"] == "usage.prune";
        log(&db, slug).iter().filter(pruned).count()
    };
    assert_eq!(slugs.map(entries).iter().sum::<usize>(), 2);
    for check in isolation_checks::check_server(&db.server).await.unwrap() {
        assert!(check.passed(), "{check:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("acme");
    admin(&db, &["tenant", "export", "acme", "--out", out.to_str().unwrap()]);
    admin(&db, &["tenant", "erase", "other", "--confirm", "other"]);

    let dropped = admin(
        &db,
        &[
            "usage",
            "prune",
            "--before",
            &before.to_string(),
            "--yes",
            "--json",
        ],
    )
    .json();
    let month: String = db.value(LAST_MONTH).await;
    assert_eq!(dropped, json!([format!("usage_events_{month}")]));
    for slug in ["acme", "third"] {
        assert_eq!(entries(slug), 1, "{slug}");
        assert_eq!(admin(&db, &["audit", "verify", "--tenant", slug]).code, 0);
    }
    let left: i64 = db
        .value("SELECT count(*) FROM pg_class WHERE relname LIKE 'pruned\\_events\\_%'")
        .await;
    assert_eq!(left, 0);
}
