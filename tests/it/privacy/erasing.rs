//! A tenant is erased while others are at work: nothing of it is left, whoever writes at that moment, and nothing comes after.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use skillkeep::ids::TenantId;
use skillkeep::server::Limits;
use tokio::sync::Semaphore;

use crate::command::{CommandOutput, admin, program_as};
use crate::harness::{Client, TestDb};
use crate::helpers::{table_checksums, test_hook};

const PATIENCE: Duration = Duration::from_secs(60);

async fn acme(db: &TestDb) -> TenantId {
    admin(db, &["tenant", "create", "acme"]);
    TenantId::from_uuid(db.value("SELECT id FROM tenants WHERE slug = 'acme'").await)
}

fn start(db: &TestDb, arguments: &[&str]) -> Child {
    program_as("skillkeep_owner", db, arguments).spawn().unwrap()
}

fn erase(db: &TestDb) -> Child {
    start(db, &["tenant", "erase", "acme", "--confirm", "acme"])
}

/// Waits until this many statements of the database wait for a lock.
async fn waiting(db: &TestDb, count: i64) {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let enough = async {
        while db.value::<i64>(query).await < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough)
        .await
        .expect("nobody waits for a lock");
}

/// Every table has no row of the tenant, but that of the tenant itself and its log, which ends with one certificate.
async fn assert_nothing_is_left(db: &TestDb, tenant: TenantId) {
    for (table, (rows, _)) in table_checksums(db, tenant).await {
        match table.as_str() {
            "tenants" => assert_eq!(rows, 1),
            "audit_logs" => {}
            _ => assert_eq!(rows, 0, "{table}"),
        }
    }
    let log = db
        .superuser()
        .await
        .query(
            "SELECT action FROM audit_logs WHERE tenant_id = $1 ORDER BY seq",
            &[tenant.as_uuid()],
        )
        .await
        .unwrap();
    let actions: Vec<String> = log.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        actions.last().map(String::as_str),
        Some("tenant.erase"),
        "{actions:?}"
    );
    let certificates = actions.iter().filter(|action| *action == "tenant.erase");
    assert_eq!(certificates.count(), 1, "{actions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_every_table_and_of_several_months_go() {
    let db = TestDb::new().await;
    let tenant = acme(&db).await;
    let superuser = db.superuser().await;
    superuser
        .batch_execute(&format!(
            "BEGIN; SET LOCAL app.current_tenant_id = '{tenant}';\n{}\n
             INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
             SELECT current_tenant_id(), usage_partition_bound(now() + make_interval(months => months)),
                    current_tenant_id(), current_tenant_id(), 'probe', 'ok', 1, 'stdio'
             FROM generate_series(-1, 1) months;
             COMMIT",
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/isolation_probe/seed.sql")),
        ))
        .await
        .unwrap();
    let months: i64 = db
        .value("SELECT count(DISTINCT tableoid) FROM usage_events")
        .await;
    assert!(months >= 2, "{months}");
    for (table, (rows, _)) in table_checksums(&db, tenant).await {
        assert!(rows > 0, "there is nothing to erase in {table}");
    }
    let told = admin(&db, &["tenant", "erase", "acme", "--confirm", "acme", "--json"]).json();
    assert_eq!(told["erased_rows"]["usage_events"], 4);
    assert_nothing_is_left(&db, tenant).await;
    let anywhere: i64 = db
        .value("SELECT count(*) FROM usage_events UNION ALL SELECT count(*) FROM blobs LIMIT 1")
        .await;
    assert_eq!(anywhere, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_is_told_that_nothing_was_done_and_leaves_no_record() {
    for tool in ["record_usage", "install_skill", "search_skills", "no such tool"] {
        let db = TestDb::new().await;
        let tenant = acme(&db).await;
        db.skill(tenant, "shared", "Of a tenant.", &[]).await;
        let key = db.full_key(tenant).await;
        let (begun, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (told, held) = (Arc::clone(&begun), Arc::clone(&go));
        let limits = Limits { call: PATIENCE * 5 };
        let service = db.service_with_faults(
            limits,
            test_hook(move |_, _| {
                let (told, held) = (Arc::clone(&told), Arc::clone(&held));
                async move {
                    told.add_permits(1);
                    held.acquire().await.unwrap().forget();
                }
                .boxed()
            }),
        );
        if tool == "no such tool" {
            // It does not come as far as a tool: held by the lock of the tenant's row instead.
            go.add_permits(1);
        }
        let client = Client::connect(&service, &key).await;
        let arguments = match tool {
            "record_usage" => json!({"skill": "shared", "outcome": "helped"}),
            "install_skill" => json!({"skill": "shared", "assistant": "codex"}),
            _ => json!({}),
        };
        let superuser = db.superuser().await;
        superuser.batch_execute("BEGIN").await.unwrap();
        if tool == "no such tool" {
            superuser
                .batch_execute("SELECT FROM tenants WHERE slug = 'acme' FOR UPDATE")
                .await
                .unwrap();
        }
        let call = tokio::spawn(async move { client.call(tool, arguments).await });
        if tool == "no such tool" {
            waiting(&db, 1).await;
        } else {
            let in_time = tokio::time::timeout(PATIENCE, begun.acquire()).await;
            in_time.expect("the call begins").unwrap().forget();
        }
        superuser
            .batch_execute(&format!(
                "SET LOCAL app.current_tenant_id = '{tenant}'; SELECT erase_tenant('{tenant}'); COMMIT"
            ))
            .await
            .unwrap();
        go.add_permits(1);
        let refused = call.await.unwrap().expect_err(tool).to_string();
        assert!(refused.contains("nothing of it was done"), "{tool}: {refused}");
        assert!(!refused.contains("constraint"), "{tool}: {refused}");
        service.drain().await;
        for (table, (rows, _)) in table_checksums(&db, tenant).await {
            if !["tenants", "audit_logs"].contains(&table.as_str()) {
                assert_eq!(rows, 0, "{tool}: {table}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_flight_adds_nothing_and_says_why() {
    for arguments in [
        ["import", "samples"].as_slice(),
        ["user", "create", "eve@example.com"].as_slice(),
        ["key", "create", "--user", "eve@example.com"].as_slice(),
        ["tenant", "set", "acme", "--name", "Eve"].as_slice(),
        ["tenant", "suspend", "acme"].as_slice(),
    ] {
        let db = TestDb::new().await;
        let tenant = acme(&db).await;
        let superuser = db.superuser().await;
        superuser
            .batch_execute("BEGIN; SELECT FROM tenants WHERE slug = 'acme' FOR UPDATE")
            .await
            .unwrap();
        let mut all = arguments.to_vec();
        if arguments[0] != "tenant" {
            all.extend(["--tenant", "acme"]);
        }
        let child = start(&db, &all);
        waiting(&db, 1).await;
        superuser
            .batch_execute(&format!(
                "SET LOCAL app.current_tenant_id = '{tenant}'; SELECT erase_tenant('{tenant}'); COMMIT"
            ))
            .await
            .unwrap();
        let ran = CommandOutput::end(child);
        assert_eq!(ran.code, 4, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("was erased"), "{arguments:?}: {ran:?}");
        for (table, (rows, _)) in table_checksums(&db, tenant).await {
            let kept = ["tenants", "audit_logs"].contains(&table.as_str());
            assert_eq!(rows, i64::from(kept), "{arguments:?}: {table}");
        }
        let name: String = db
            .value("SELECT name || status FROM tenants WHERE name <> 'Default'")
            .await;
        assert_eq!(name, "erasederased");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_erasures_at_once_one_is_done_and_the_other_refused() {
    let db = TestDb::new().await;
    let tenant = acme(&db).await;
    db.skill(tenant, "shared", "Of a tenant.", &[]).await;
    let superuser = db.superuser().await;
    superuser
        .batch_execute("BEGIN; SELECT FROM tenants WHERE slug = 'acme' FOR UPDATE")
        .await
        .unwrap();
    let both = [erase(&db), erase(&db)];
    waiting(&db, 2).await;
    superuser.batch_execute("COMMIT").await.unwrap();
    let mut ends = both.map(CommandOutput::end);
    ends.sort_by_key(|ran| ran.code);
    assert_eq!((ends[0].code, ends[1].code), (0, 4), "{ends:?}");
    assert!(ends[1].err.contains("was erased"), "{ends:?}");
    assert_nothing_is_left(&db, tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_meets_a_call_in_the_wrong_order_begins_anew() {
    let db = TestDb::new().await;
    let tenant = acme(&db).await;
    db.full_key(tenant).await;
    let (call, superuser) = (db.superuser().await, db.superuser().await);
    // The call holds the user's row, as a reference to it does.
    call.batch_execute("BEGIN; SET deadlock_timeout = '1h'; SELECT FROM users FOR KEY SHARE")
        .await
        .unwrap();
    superuser
        .batch_execute("BEGIN; SELECT FROM api_keys FOR UPDATE")
        .await
        .unwrap();
    let child = erase(&db);
    // The erasure holds the tenant's row, and waits for the key's.
    waiting(&db, 1).await;
    let insert = format!(
        "INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
         VALUES ('{tenant}', usage_partition_bound(now()), '{tenant}', '{tenant}', 'late', 'ok', 1, 'stdio')"
    );
    let call = tokio::spawn(async move {
        call.batch_execute(&insert).await.unwrap();
        call.batch_execute("COMMIT").await.unwrap();
    });
    waiting(&db, 2).await;
    superuser.batch_execute("COMMIT").await.unwrap();
    let ran = CommandOutput::end(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    call.await.unwrap();
    assert_nothing_is_left(&db, tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_after_the_certificate_whatever_an_old_key_is_tried_for() {
    let db = TestDb::new().await;
    let tenant = acme(&db).await;
    let key = db.full_key(tenant).await;
    let (before, after) = (db.service(), db.service());
    admin(&db, &["tenant", "suspend", "acme"]);
    let client = Client::connect(&before, &key).await;
    // The first is written at once, the second counted and written later.
    for _ in 0..2 {
        client.call("whoami", json!({})).await.unwrap_err();
    }
    let denied = "SELECT count(*) FROM audit_logs WHERE action = 'denied.key'";
    let written = async {
        while db.value::<i64>(denied).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, written)
        .await
        .expect("a refusal is written");
    admin(&db, &["tenant", "erase", "acme", "--confirm", "acme"]);
    before.drain().await;
    let client = Client::connect(&after, &key).await;
    let refused = client.call("whoami", json!({})).await.unwrap_err().to_string();
    after.drain().await;
    assert_nothing_is_left(&db, tenant).await;
    // As a key of no tenant is answered.
    let nobody = skillkeep::tenancy::ApiKey::generate(TenantId::new(), &mut rand::rng());
    let client = Client::connect(&db.service(), &nobody).await;
    let unknown = client.call("whoami", json!({})).await.unwrap_err().to_string();
    assert_eq!(refused, unknown);
}
