//! Stored summaries of days: the usage report is the same with them as without.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::TenantId;
use skillkeep::registry::report::{self, Period, SkillOrder};

use crate::command::admin;
use crate::harness::{Client, TestDb};

/// The smallest UUIDv7s of a time, with a number.
const ID: &str = "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8'
     || lpad(to_hex(n), 15, '0'))::uuid";

struct Registry {
    db: TestDb,
    acme: TenantId,
}

impl Registry {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let acme = db.tenant("acme").await;
        db.skill(acme, "fill-pdf", "Fills in PDF forms.", &[]).await;
        db.full_key(acme).await;
        Self { db, acme }
    }

    /// Records events of ada from `start` on (an expression in SQL), one every 90 seconds. One in three reads a skill, the others
    /// search: without result, or with hits.
    async fn record(&self, start: &str, count: i64) {
        let superuser = self.db.superuser().await;
        let statement = format!(
            "SELECT set_config('app.current_tenant_id', '{tenant}', false);
             INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, skill_id, outcome, duration_us, transport,
                     arguments, result_count, created_at)
             SELECT '{tenant}', {ID}, k.id, k.user_id, CASE n % 3 WHEN 0 THEN 'get_skill' ELSE 'search_skills' END,
                 CASE n % 3 WHEN 0 THEN s.id END, CASE n % 50 WHEN 0 THEN 'tool_error' ELSE 'ok' END, n * 37, 'http',
                 CASE n % 3 WHEN 0 THEN '{{\"sizes\": {{\"skill\": 8}}}}'
                     ELSE jsonb_build_object('sizes', jsonb_build_object('query', 5, 'tag', 1), 'search_text', 'Words ' || n % 7) END,
                 CASE n % 3 WHEN 1 THEN 0 WHEN 2 THEN 4 END, at
             FROM (SELECT n, {start} + n * interval '90 seconds' AS at FROM generate_series(1, {count}) n) e
             CROSS JOIN (SELECT id, user_id FROM api_keys WHERE tenant_id = '{tenant}' LIMIT 1) k
             CROSS JOIN (SELECT id FROM skills WHERE tenant_id = '{tenant}' LIMIT 1) s",
            tenant = self.acme
        );
        superuser.batch_execute(&statement).await.unwrap();
    }

    async fn stored_days(&self) -> i64 {
        self.db.value("SELECT count(*) FROM usage_days").await
    }

    /// The report as `skillkeep usage` makes it, without its times. No call of a server, which stores summaries in the background.
    async fn report(&self, days: u64) -> Value {
        let now = Timestamp::now();
        let period = Period {
            from: now - Duration::from_secs(days * 24 * 60 * 60),
            until: now + Duration::from_secs(1),
        };
        let tx = TenantTx::begin_as_admin(&self.db.admin, self.acme).await.unwrap();
        let report = report::summarise(&tx, period, 100, SkillOrder::Calls)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let mut report = serde_json::to_value(report).unwrap();
        for time in ["from", "until"] {
            report.as_object_mut().unwrap().remove(time);
        }
        report
    }

    async fn calls(&self, days: u64) -> i64 {
        self.report(days).await["calls"].as_i64().unwrap()
    }
}

/// The beginning of a day in UTC that ended so many days ago.
fn day(ago: u32) -> String {
    format!("(date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '{ago} days')")
}

#[tokio::test(flavor = "multi_thread")]
async fn report_is_the_same_with_stored_days_and_without() {
    let it = Registry::new().await;
    // From noon on, so that a search before midnight is followed by a use after it.
    it.record(&format!("({} + interval '12 hours')", day(5)), 2_000)
        .await;
    it.record(&day(1), 10).await;
    let first = it.report(10).await;
    // Of 479, 960, 561 and 10 events: a summary of few is not stored.
    assert_eq!(it.stored_days().await, 2);
    let second = it.report(10).await;
    assert_eq!(first, second);
    it.db
        .superuser()
        .await
        .batch_execute("DELETE FROM usage_days")
        .await
        .unwrap();
    assert_eq!(it.report(10).await, first);
    assert_eq!(first["skill_calls"], 669);
    assert_eq!(
        first["not_followed"],
        json!([{"query": "words 5", "searches": 1, "users": 1}])
    );
    assert_eq!(it.calls(10).await, 2_010);
}

#[tokio::test(flavor = "multi_thread")]
async fn percentiles_and_lists_are_those_of_all_events() {
    let it = Registry::new().await;
    it.record(&day(4), 900).await;
    it.record(&day(3), 900).await;
    it.calls(10).await;
    assert_eq!(it.stored_days().await, 2);
    let report = it.report(10).await;
    let expected: (f64, f64) = {
        let row = it
            .db
            .superuser()
            .await
            .query_one(
                "SELECT (round((percentile_disc(0.5) WITHIN GROUP (ORDER BY duration_us)) / 100.0) / 10)::float8,
                        (round((percentile_disc(0.99) WITHIN GROUP (ORDER BY duration_us)) / 100.0) / 10)::float8
                 FROM usage_events",
                &[],
            )
            .await
            .unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!(
        (&report["median_ms"], &report["p99_ms"]),
        (&json!(expected.0), &json!(expected.1))
    );
    assert_eq!(report["calls"], 1_800);
    assert_eq!(report["by_outcome"], json!({"ok": 1_764, "tool_error": 36}));
    assert_eq!(report["failed_calls"], 36);
    assert_eq!(
        report["by_user"],
        json!([{"email": "ada@example.com", "calls": 1_800, "skills": 1}])
    );
    assert_eq!(
        report["by_skill"],
        json!([{"skill": "fill-pdf", "calls": 600, "users": 1}])
    );
    let searches = &report["empty_searches"];
    assert_eq!(searches.as_array().unwrap().len(), 7);
    assert_eq!(
        searches[0],
        json!({"query": "Words 0", "filters": ["tag"], "searches": 86})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn late_event_is_counted() {
    let it = Registry::new().await;
    for ago in [3, 4] {
        it.record(&day(ago), 600).await;
    }
    it.record(&day(6), 600).await;
    assert_eq!(it.calls(10).await, 1_800);
    assert_eq!(it.stored_days().await, 3);
    it.record(&format!("({} + interval '23 hours')", day(3)), 1).await;
    // Also the day before: a use may follow its searches.
    assert_eq!(it.stored_days().await, 1);
    assert_eq!(it.calls(10).await, 1_801);
    assert_eq!(it.stored_days().await, 3);
    assert_eq!(it.calls(10).await, 1_801);
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_events_are_not_counted() {
    let it = Registry::new().await;
    for ago in [3, 5] {
        it.record(&day(ago), 600).await;
    }
    assert_eq!(it.calls(10).await, 1_200);
    let statement = format!(
        "SELECT set_config('app.current_tenant_id', '{0}', false); SELECT prune_tenant_usage('{0}', {1})",
        it.acme,
        day(4)
    );
    it.db.superuser().await.batch_execute(&statement).await.unwrap();
    assert_eq!(it.stored_days().await, 1);
    assert_eq!(it.calls(10).await, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_month_is_not_counted() {
    let it = Registry::new().await;
    let start = "(date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '2 days')";
    it.record(start, 600).await;
    assert_eq!(it.calls(40).await, 600);
    assert_eq!(it.stored_days().await, 1);
    let superuser = it.db.superuser().await;
    superuser
        .batch_execute("SELECT detach_usage_month(date_trunc('month', now() AT TIME ZONE 'UTC')::date)")
        .await
        .unwrap();
    // Before the summary is deleted, with the audit entry.
    assert_eq!(it.stored_days().await, 1);
    assert_eq!(it.calls(40).await, 0);
    let month: String = it
        .db
        .value("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date::text")
        .await;
    admin(&it.db, &["usage", "prune", "--before", &month, "--yes"]);
    assert_eq!(it.stored_days().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_stores_the_days_of_the_month_after_a_report() {
    let it = Registry::new().await;
    for ago in [3, 5, 20] {
        it.record(&day(ago), 600).await;
    }
    let client = Client::connect(&it.db.service(), &it.db.full_key(it.acme).await).await;
    client.ok("whoami", json!({})).await;
    assert_eq!(client.ok("usage_report", json!({"days": 1})).await["calls"], 1);
    let patience = Instant::now() + Duration::from_secs(60);
    while it.stored_days().await < 3 {
        assert!(Instant::now() < patience);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let report = client.ok("usage_report", json!({"days": 30})).await;
    assert_eq!(report["calls"], 1_802);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_while_another_summarises_or_removes() {
    let it = Registry::new().await;
    it.record(&day(3), 600).await;
    let superuser = it.db.superuser().await;
    let lock = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('skillkeep.usage_days:{}', 0))",
        it.acme
    );
    superuser.batch_execute(&lock).await.unwrap();
    assert_eq!(it.calls(10).await, 600);
    assert_eq!(it.stored_days().await, 0);
    superuser.batch_execute("COMMIT").await.unwrap();
    assert_eq!(it.calls(10).await, 600);
    assert_eq!(it.stored_days().await, 1);
}
