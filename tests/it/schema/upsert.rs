//! `users/upsert`: concurrent calls, and the same address in two tenants.

use skillkeep::db::{DatabaseUrl, TenantTx, connect_owner};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::users::{self, Email};

use crate::harness::{Cluster, TestDb};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_upserts_of_one_user_both_return_a_row() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let email: Email = "ada@example.com".parse().unwrap();
    let first_tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let first = users::find_or_create(&first_tx, &email, "Ada").await.unwrap();
    let second = async {
        let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
        let user = users::find_or_create(&tx, &email, "Countess").await;
        skillkeep::search::commit(tx).await.unwrap();
        user
    };
    let commit_first = async {
        // Commits only once the second statement waits for the first transaction.
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE '-- users/upsert:%'";
        while db.value::<i64>(waits).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        first_tx.commit().await.unwrap();
    };
    let (second, ()) = tokio::join!(second, commit_first);
    let second = second.unwrap();
    assert!(first.created && !second.created);
    assert!(first.active && second.active);
    assert_eq!(first.id, second.id);
    let names: i64 = db
        .value("SELECT count(*) FROM users WHERE email = 'ada@example.com' AND name = 'Ada'")
        .await;
    assert_eq!(names, 1, "the first name is kept");
}

/// Runs the query in a transaction that is rolled back; returns whether it created the user, or the error's SQLSTATE.
async fn upsert(
    db: &TestDb,
    role: &str,
    current_tenant: Option<TenantId>,
    tenant: TenantId,
) -> Result<bool, String> {
    let url = DatabaseUrl::from_config(Cluster::get().config(role, &db.name));
    let client = connect_owner(&url).await.unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    if let Some(current) = current_tenant {
        let set = format!("SET LOCAL app.current_tenant_id = '{current}'");
        client.batch_execute(&set).await.unwrap();
    }
    client
        .query_one(
            skillkeep::sql!("users/upsert.sql").text(),
            &[
                tenant.as_uuid(),
                &uuid::Uuid::now_v7(),
                &"bob@example.com",
                &"Bob",
            ],
        )
        .await
        .map(|row| row.get("created"))
        .map_err(|error| {
            error
                .code()
                .map_or_else(String::new, |code| code.code().to_owned())
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_ignores_the_same_address_of_another_tenant() {
    let db = TestDb::new().await;
    let (mine, other) = (db.tenant("mine").await, db.tenant("other").await);
    let tx = TenantTx::begin_as_admin(&db.admin, other).await.unwrap();
    users::find_or_create(&tx, &"bob@example.com".parse().unwrap(), "")
        .await
        .unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    let superuser = Cluster::get().superuser(&db.name);
    let superuser = superuser.user().unwrap().to_owned();
    // The query alone separates tenants, also where no policy applies.
    for role in ["skillkeep_admin", &superuser] {
        assert_eq!(upsert(&db, role, Some(mine), mine).await, Ok(true), "{role}");
        assert_eq!(upsert(&db, role, Some(other), other).await, Ok(false), "{role}");
    }
    // The policies reject a row of a tenant that is not the current one.
    for current in [None, Some(mine)] {
        let rejected = upsert(&db, "skillkeep_admin", current, other).await;
        assert_eq!(rejected, Err("42501".to_owned()), "{current:?}");
    }
}
