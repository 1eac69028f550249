//! A connection's state after one tenant's transaction reveals nothing to the next tenant that uses it.

use skillkeep::db::{ServerDb, Sql, TenantTx};
use skillkeep::ids::TenantId;

use super::two_tenants;
use crate::harness::TestDb;

const NOTHING: Sql = Sql::from_file("SELECT 1");

async fn begin(db: &ServerDb, tenant: TenantId) -> TenantTx {
    TenantTx::begin(db, tenant, NOTHING, &[]).await.unwrap().0
}

async fn texts(tx: &TenantTx, sql: &'static str) -> Vec<String> {
    let rows = tx.query(Sql::from_file(sql), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_state_reveals_nothing_to_the_next_tenant() {
    let db = TestDb::new().await;
    let (mine, other_tenant) = two_tenants(&db).await;
    // One connection, which both tenants use in turn.
    let server = ServerDb::new(&db.ways.server, 1).unwrap();
    let first = begin(&server, other_tenant).await;
    let backend = texts(&first, "SELECT pg_backend_pid()::text").await;
    for left in [
        "CREATE TEMP TABLE skills AS SELECT * FROM public.skills",
        "CREATE TEMP TABLE tenants AS SELECT * FROM public.tenants",
        "DECLARE held CURSOR WITH HOLD FOR SELECT slug FROM public.skills",
        "PREPARE mine AS SELECT slug FROM public.skills ORDER BY slug",
        "SELECT set_config('app.current_tenant_id', current_setting('app.current_tenant_id'), false)",
        "SET search_path = pg_temp, public",
        "SET statement_timeout = '1h'",
    ] {
        first.query(Sql::from_file(left), &[]).await.unwrap();
    }
    first.commit().await.unwrap();

    let next = begin(&server, mine).await;
    assert_eq!(texts(&next, "SELECT pg_backend_pid()::text").await, backend);
    assert_eq!(texts(&next, "SELECT slug FROM skills").await, ["shared"]);
    assert_eq!(texts(&next, "SELECT slug FROM tenants").await, ["mine"]);
    assert_eq!(
        texts(&next, "SELECT current_setting('app.current_tenant_id')").await,
        [mine.to_string()]
    );
    assert_eq!(
        texts(&next, "SELECT current_setting('statement_timeout')").await,
        ["20s"]
    );
    let executed = next.query(Sql::from_file("EXECUTE mine"), &[]).await.unwrap();
    assert_eq!(executed.len(), 1);
    assert_eq!(executed[0].get::<_, String>(0), "shared");
    let held = next
        .query(Sql::from_file("FETCH ALL FROM held"), &[])
        .await
        .unwrap_err();
    assert_eq!(held.sql_state().unwrap().code(), "34000", "{held}");
    next.rollback().await.unwrap();
    server.close();
}
