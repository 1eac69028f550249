//! Each wall of the database alone, with the others taken down: a policy without its sister, the owner without the grants of the server,
//! and a reference without row level security. Whoever misses one of them gets through here.

use skillkeep::ids::TenantId;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::harness::TestDb;

/// Two tenants with a row in every table, in a transaction that is never committed.
struct Planted {
    // Outlives the connection.
    _db: TestDb,
    superuser: Client,
    attacker: TenantId,
    victim: TenantId,
    tables: Vec<String>,
}

impl Planted {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let superuser = db.superuser().await;
        let (attacker, victim) = (TenantId::new(), TenantId::new());
        superuser.batch_execute("BEGIN").await.unwrap();
        for tenant in [attacker, victim] {
            let plant = format!(
                "INSERT INTO tenants (id, slug, name) VALUES ('{tenant}', 'probe-{tenant}', 'probe');
                 SET LOCAL app.current_tenant_id = '{tenant}';\n{}",
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/isolation_probe/seed.sql"))
            );
            superuser.batch_execute(&plant).await.unwrap();
        }
        // The victim's alone.
        let only_theirs = format!(
            "INSERT INTO blobs (tenant_id, digest, bytes) VALUES ('{victim}', sha256('other_tenant'), 'other_tenant')"
        );
        superuser.batch_execute(&only_theirs).await.unwrap();
        let with_rows = superuser
            .query(
                "SELECT c.relname::text FROM pg_class c
                 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
                   AND (c.relname = 'tenants' OR EXISTS (
                       SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'))
                   AND (xpath('/row/n/text()', query_to_xml(
                       format('SELECT count(*) AS n FROM %I', c.relname), false, true, '')))[1]::text::int > 0
                 ORDER BY 1",
                &[],
            )
            .await
            .unwrap();
        let tables: Vec<String> = with_rows.iter().map(|row| row.get(0)).collect();
        assert!(tables.len() >= 16, "{tables:?}");
        assert!(
            tables.iter().any(|table| table.starts_with("usage_events_2")),
            "this month is one of them: {tables:?}"
        );
        Self {
            _db: db,
            superuser,
            attacker,
            victim,
            tables,
        }
    }

    /// How many rows of the attacker and of others a role sees in a table with this tenant set, after these statements.
    async fn seen(&self, before: &str, role: &str, tenant: &str, table: &str) -> (i64, i64) {
        let column = if table == "tenants" { "id" } else { "tenant_id" };
        let attacker = self.attacker;
        let begin = format!(
            "SAVEPOINT attempt; {before};
             GRANT SELECT ON {table} TO {role}; SET LOCAL ROLE {role}; SET LOCAL app.current_tenant_id = '{tenant}'"
        );
        let count = format!(
            "SELECT count(*) FILTER (WHERE {column} = '{attacker}'), count(*) FILTER (WHERE {column} <> '{attacker}') FROM {table}"
        );
        self.superuser.batch_execute(&begin).await.unwrap();
        let row = self.superuser.query_one(&count, &[]).await.unwrap();
        self.superuser
            .batch_execute("ROLLBACK TO SAVEPOINT attempt; RESET ROLE")
            .await
            .unwrap();
        (row.get(0), row.get(1))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_of_a_table_keeps_tenants_apart_without_the_other() {
    let planted = Planted::new().await;
    let attacker = planted.attacker.to_string();
    for table in &planted.tables {
        for open in ["tenant_access", "tenant_isolation"] {
            // It may be that a mutation took it away already; then there is nothing to open, and the other stands alone.
            let open = format!(
                "DO $$ BEGIN ALTER POLICY {open} ON {table} USING (true) WITH CHECK (true);
                 EXCEPTION WHEN undefined_object THEN NULL; END $$"
            );
            let seen = planted.seen(&open, "skillkeep_app", &attacker, table).await;
            assert_eq!(seen, (1, 0), "{table} with {open}");
        }
        let nobody = planted.seen("SELECT 1", "skillkeep_app", "", table).await;
        assert_eq!(nobody, (0, 0), "{table} without a tenant");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_tables_is_bound_by_their_policies() {
    let planted = Planted::new().await;
    let attacker = planted.attacker.to_string();
    for table in &planted.tables {
        let seen = planted
            .seen("SELECT 1", "skillkeep_owner", &attacker, table)
            .await;
        assert_eq!(seen, (1, 0), "{table}");
        let nobody = planted.seen("SELECT 1", "skillkeep_owner", "", table).await;
        assert_eq!(nobody, (0, 0), "{table} without a tenant");
    }
}

/// The references as the schema is expected to have them, so that one that is gone is missed: table and columns.
fn references() -> Vec<(String, Vec<String>)> {
    let expected = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/isolation_probe/schema.txt"));
    let lines = expected.lines().filter(|line| line.starts_with("constraint "));
    let references = lines.filter_map(|line| {
        let (name, key) = line.split_once(" FOREIGN KEY (")?;
        let columns = key.split_once(')')?.0.split(", ");
        let columns: Vec<String> = columns
            .filter(|column| !["tenant_id", "id"].contains(column))
            .map(str::to_owned)
            .collect();
        let table = name.split_once(" of ")?.1.to_owned();
        (!columns.is_empty()).then_some((table, columns))
    });
    references.collect()
}

/// As one whom no policy binds, and whom no trigger of ours stops: nothing of the attacker's can be made to refer to what is another's.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_refers_to_a_row_of_another_tenant() {
    let planted = Planted::new().await;
    let (attacker, victim) = (planted.attacker, planted.victim);
    let references = references();
    assert!(references.len() >= 15, "{references:?}");
    for (table, columns) in references
        .iter()
        .filter(|(table, _)| !table.starts_with("usage_events_"))
    {
        let other_tenant = |column: &String| match column.as_str() {
            "digest" => "digest = sha256('other_tenant')".to_owned(),
            // Each of the planted rows has its tenant's id.
            id => format!("{id} = '{victim}'"),
        };
        let set: Vec<String> = columns.iter().map(other_tenant).collect();
        let attempt = format!(
            "SAVEPOINT attempt; SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE {table} DISABLE TRIGGER USER;
             UPDATE {table} SET {} WHERE tenant_id = '{attacker}'",
            set.join(", ")
        );
        let refused = planted.superuser.batch_execute(&attempt).await;
        let code = refused.err().and_then(|error| error.code().cloned());
        assert_eq!(
            code,
            Some(SqlState::FOREIGN_KEY_VIOLATION),
            "{table} refers to another tenant's {columns:?}"
        );
        let back = "ROLLBACK TO SAVEPOINT attempt";
        planted.superuser.batch_execute(back).await.unwrap();
    }
}
