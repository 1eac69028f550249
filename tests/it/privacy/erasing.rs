//! Erasure of a tenant during concurrent writes: no row remains, and none is added afterwards.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use skillkeep::ids::TenantId;
use skillkeep::server::ServiceLimits;
use tokio::sync::Semaphore;

use crate::command::{CommandOutput, admin, ended, program_as};
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

/// Waits until this many database connections wait for a lock.
async fn wait_for_blocked(db: &TestDb, count: i64) {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let enough = async {
        while db.value::<i64>(query).await < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough)
        .await
        .expect("the statements wait for a lock");
}

/// Only the tenant's own row and its audit log remain, and the log ends with its one certificate.
async fn assert_erased(db: &TestDb, tenant: TenantId) {
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
async fn erasure_removes_rows_of_every_table_and_month() {
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
    let report = admin(&db, &["tenant", "erase", "acme", "--confirm", "acme", "--json"]).json();
    assert_eq!(report["erased_rows"]["usage_events"], 4);
    assert_erased(&db, tenant).await;
    let remaining: i64 = db
        .value("SELECT count(*) FROM usage_events UNION ALL SELECT count(*) FROM blobs LIMIT 1")
        .await;
    assert_eq!(remaining, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn running_call_fails_and_leaves_no_row_after_erasure() {
    for tool in ["record_usage", "install_skill", "search_skills", "no such tool"] {
        let db = TestDb::new().await;
        let tenant = acme(&db).await;
        db.skill(tenant, "shared", "Of a tenant.", &[]).await;
        let key = db.full_key(tenant).await;
        let (started, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (hook_started, hook_release) = (Arc::clone(&started), Arc::clone(&release));
        let limits = ServiceLimits {
            call_timeout: PATIENCE * 5,
            ..ServiceLimits::default()
        };
        let service = db.service_with_faults(
            limits,
            test_hook(move |_, _| {
                let (started, release) = (Arc::clone(&hook_started), Arc::clone(&hook_release));
                async move {
                    started.add_permits(1);
                    release.acquire().await.unwrap().forget();
                }
                .boxed()
            }),
        );
        if tool == "no such tool" {
            // The hook is not called for an unknown tool; the lock of the tenant's row holds the call instead.
            release.add_permits(1);
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
            wait_for_blocked(&db, 1).await;
        } else {
            let in_time = tokio::time::timeout(PATIENCE, started.acquire()).await;
            in_time.expect("the call starts").unwrap().forget();
        }
        superuser
            .batch_execute(&format!(
                "SET LOCAL app.current_tenant_id = '{tenant}'; SELECT erase_tenant('{tenant}'); COMMIT"
            ))
            .await
            .unwrap();
        release.add_permits(1);
        let refused = call.await.unwrap().expect_err(tool).to_string();
        assert!(refused.contains("nothing was done"), "{tool}: {refused}");
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
async fn running_command_adds_nothing_after_erasure_and_says_why() {
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
        wait_for_blocked(&db, 1).await;
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
async fn second_of_two_concurrent_erasures_is_refused() {
    let db = TestDb::new().await;
    let tenant = acme(&db).await;
    db.skill(tenant, "shared", "Of a tenant.", &[]).await;
    let superuser = db.superuser().await;
    superuser
        .batch_execute("BEGIN; SELECT FROM tenants WHERE slug = 'acme' FOR UPDATE")
        .await
        .unwrap();
    let erasures = [erase(&db), erase(&db)];
    wait_for_blocked(&db, 2).await;
    superuser.batch_execute("COMMIT").await.unwrap();
    let mut ends = erasures.map(CommandOutput::end);
    ends.sort_by_key(|ran| ran.code);
    assert_eq!((ends[0].code, ends[1].code), (0, 4), "{ends:?}");
    assert!(ends[1].err.contains("was erased"), "{ends:?}");
    assert_erased(&db, tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasure_retries_after_a_deadlock_with_a_call() {
    let db = TestDb::new().await;
    let tenant = acme(&db).await;
    db.full_key(tenant).await;
    let (call, superuser) = (db.superuser().await, db.superuser().await);
    // The call locks the user's row, as the foreign key of its usage event does.
    call.batch_execute("BEGIN; SET deadlock_timeout = '1h'; SELECT FROM users FOR KEY SHARE")
        .await
        .unwrap();
    superuser
        .batch_execute("BEGIN; SELECT FROM api_keys FOR UPDATE")
        .await
        .unwrap();
    let child = erase(&db);
    // The erasure has locked the tenant's row and waits for the API key's.
    wait_for_blocked(&db, 1).await;
    let insert = format!(
        "INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
         VALUES ('{tenant}', usage_partition_bound(now()), '{tenant}', '{tenant}', 'late', 'ok', 1, 'stdio')"
    );
    let call = tokio::spawn(async move {
        call.batch_execute(&insert).await.unwrap();
        call.batch_execute("COMMIT").await.unwrap();
    });
    wait_for_blocked(&db, 2).await;
    superuser.batch_execute("COMMIT").await.unwrap();
    let ran = CommandOutput::end(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    call.await.unwrap();
    assert_erased(&db, tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slug_of_an_erased_tenant_is_reserved() {
    let db = TestDb::new().await;
    let tenant = acme(&db).await;
    for id in [tenant.to_string(), TenantId::new().to_string()] {
        let refused = ended(&db, &["tenant", "create", &format!("erased-{id}")]);
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(refused.err.contains("reserved"), "{refused:?}");
    }
    admin(&db, &["tenant", "create", "erased-things"]);
    assert_eq!(CommandOutput::end(erase(&db)).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_after_erasure_adds_no_audit_entry() {
    let db = TestDb::new().await;
    let tenant = acme(&db).await;
    let key = db.full_key(tenant).await;
    let (before, after) = (db.service(), db.service());
    admin(&db, &["tenant", "suspend", "acme"]);
    let client = Client::connect(&before, &key).await;
    // The first denial is written at once, the second one is counted and written later.
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
        .expect("the denial is written");
    admin(&db, &["tenant", "erase", "acme", "--confirm", "acme"]);
    before.drain().await;
    let client = Client::connect(&after, &key).await;
    let refused = client.call("whoami", json!({})).await.unwrap_err().to_string();
    after.drain().await;
    assert_erased(&db, tenant).await;
    // The response is the same as for a key of a tenant that never existed.
    let unknown_key = skillkeep::tenancy::ApiKey::generate(TenantId::new(), &mut rand::rng());
    let client = Client::connect(&db.service(), &unknown_key).await;
    let unknown = client.call("whoami", json!({})).await.unwrap_err().to_string();
    assert_eq!(refused, unknown);
}
