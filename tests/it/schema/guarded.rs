//! Ways around the walls that lie beside the tables: other schemas, other roles, owners, extensions, settings.

use serde_json::json;
use skillkeep::db::{connect_owner, migrations};

use crate::harness::{Client, TestDb};

/// PostgreSQL looks for a name first in a schema named as the role.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_named_as_the_role_takes_in_nothing() {
    let db = TestDb::new().await;
    let shadows = ["skillkeep_app", "skillkeep_admin"].map(|role| {
        format!(
            "CREATE SCHEMA {role};
             CREATE TABLE {role}.usage_events (LIKE public.usage_events INCLUDING DEFAULTS);
             CREATE TABLE {role}.audit_logs (LIKE public.audit_logs INCLUDING DEFAULTS);
             CREATE TABLE {role}.tenants (LIKE public.tenants INCLUDING DEFAULTS);
             CREATE TABLE {role}.skillkeep_migrations (LIKE public.skillkeep_migrations);
             CREATE FUNCTION {role}.ensure_usage_partitions(integer) RETURNS integer LANGUAGE sql AS 'SELECT 77';
             GRANT USAGE ON SCHEMA {role} TO PUBLIC;
             GRANT ALL ON ALL TABLES IN SCHEMA {role} TO PUBLIC;"
        )
    });
    let superuser = db.superuser().await;
    superuser.batch_execute(&shadows.concat()).await.unwrap();
    assert_ne!(db.server.ensure_usage_partitions().await.unwrap(), 77);
    let schema = connect_owner(&db.ways.server).await.unwrap();
    migrations::check(&schema).await.unwrap();
    let tenant = db.tenant("acme").await;
    let client = Client::connect(&db.door(), &db.full_key(tenant).await).await;
    client.ok("whoami", json!({})).await;
    assert_eq!(db.events(tenant).await.len(), 1);
    for table in ["usage_events", "audit_logs", "tenants"] {
        for role in ["skillkeep_app", "skillkeep_admin"] {
            let there: i64 = db.value(&format!("SELECT count(*) FROM {role}.{table}")).await;
            assert_eq!(there, 0, "{role}.{table}");
        }
    }
}
