//! Dropping old usage events is recorded in the audit log of every affected tenant.

use serde_json::json;

use super::admin_actions::log;
use crate::command::{admin, ended};
use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn prune_is_logged_for_each_tenant_with_dropped_events() {
    let db = TestDb::new().await;
    for slug in ["acme", "other", "third"] {
        admin(&db, &["tenant", "create", slug]);
    }
    let insert_events = |slug: &str, months: i32, count: i32| {
        format!(
            "INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
             SELECT t.id, usage_partition_bound(now() + interval '{months} months' + n * interval '1 ms'), t.id, t.id, 'x', 'ok', 1, 'stdio'
             FROM tenants t, generate_series(1, {count}) n WHERE t.slug = '{slug}';"
        )
    };
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
        "SELECT prune_usage_partitions(((now() AT TIME ZONE 'UTC')::date + 32)::date, 'eve')",
        "SELECT prune_usage_partitions(date_trunc('month', now() AT TIME ZONE 'UTC')::date + 1, 'eve')",
        "SELECT prune_usage_partitions(NULL, 'eve')",
        "SELECT prune_usage_partitions('infinity', 'eve')",
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
