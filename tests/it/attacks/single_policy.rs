//! Each protection of the database alone, with the others disabled: one of the two policies, the policies for the owner, and the
//! foreign keys without row level security. A missing protection fails a test here.

use skillkeep::ids::TenantId;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::harness::TestDb;

/// Two tenants with a row in every table, in a transaction that is never committed.
struct SeededDb {
    // Dropped after the connection.
    _db: TestDb,
    superuser: Client,
    attacker: TenantId,
    victim: TenantId,
    tables: Vec<String>,
}

impl SeededDb {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let superuser = db.superuser().await;
        let (attacker, victim) = (TenantId::new(), TenantId::new());
        superuser.batch_execute("BEGIN").await.unwrap();
        for tenant in [attacker, victim] {
            let plant = format!(
                "INSERT INTO tenants (id, slug, name) VALUES ('{tenant}', 'probe-{tenant}', 'probe');
                 SET LOCAL app.current_tenant_id = '{tenant}';\n{}",
                include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/sql/isolation_probe/seed.sql"
                ))
            );
            superuser.batch_execute(&plant).await.unwrap();
        }
        let victim_blob = format!(
            "INSERT INTO blobs (tenant_id, digest, bytes) VALUES ('{victim}', sha256('theirs'), 'theirs')"
        );
        superuser.batch_execute(&victim_blob).await.unwrap();
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
            "the current month's partition has rows: {tables:?}"
        );
        Self {
            _db: db,
            superuser,
            attacker,
            victim,
            tables,
        }
    }

    /// Runs `before`, sets role and tenant, and counts the visible rows of a table: the attacker's and all others.
    async fn visible_rows(&self, before: &str, role: &str, tenant: &str, table: &str) -> (i64, i64) {
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
async fn each_policy_isolates_tenants_without_the_other() {
    let seeded = SeededDb::new().await;
    let attacker = seeded.attacker.to_string();
    for table in &seeded.tables {
        for open in ["tenant_access", "tenant_isolation"] {
            // A mutation test may have dropped the policy already.
            let open = format!(
                "DO $$ BEGIN ALTER POLICY {open} ON {table} USING (true) WITH CHECK (true);
                 EXCEPTION WHEN undefined_object THEN NULL; END $$"
            );
            let seen = seeded
                .visible_rows(&open, "skillkeep_app", &attacker, table)
                .await;
            assert_eq!(seen, (1, 0), "{table} with {open}");
        }
        let without_tenant = seeded.visible_rows("SELECT 1", "skillkeep_app", "", table).await;
        assert_eq!(without_tenant, (0, 0), "{table} without a tenant");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn table_owner_is_restricted_by_the_policies() {
    let seeded = SeededDb::new().await;
    let attacker = seeded.attacker.to_string();
    for table in &seeded.tables {
        let seen = seeded
            .visible_rows("SELECT 1", "skillkeep_owner", &attacker, table)
            .await;
        assert_eq!(seen, (1, 0), "{table}");
        let without_tenant = seeded
            .visible_rows("SELECT 1", "skillkeep_owner", "", table)
            .await;
        assert_eq!(without_tenant, (0, 0), "{table} without a tenant");
    }
}

/// Table and columns of each foreign key in the expected schema, so that a missing one is noticed.
fn references() -> Vec<(String, Vec<String>)> {
    let expected = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/sql/isolation_probe/schema.txt"
    ));
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

/// As the superuser, without skillkeep's triggers: the attacker's rows cannot be changed to refer to the victim's.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_reject_references_to_other_tenants() {
    let seeded = SeededDb::new().await;
    let (attacker, victim) = (seeded.attacker, seeded.victim);
    let references = references();
    assert!(references.len() >= 15, "{references:?}");
    for (table, columns) in references
        .iter()
        .filter(|(table, _)| !table.starts_with("usage_events_"))
    {
        let reference = |column: &String| match column.as_str() {
            "digest" => "digest = sha256('theirs')".to_owned(),
            // Each seeded row has its tenant's id.
            id => format!("{id} = '{victim}'"),
        };
        let set: Vec<String> = columns.iter().map(reference).collect();
        let attempt = format!(
            "SAVEPOINT attempt; SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE {table} DISABLE TRIGGER USER;
             UPDATE {table} SET {} WHERE tenant_id = '{attacker}'",
            set.join(", ")
        );
        let rejected = seeded.superuser.batch_execute(&attempt).await;
        let code = rejected.err().and_then(|error| error.code().cloned());
        assert_eq!(
            code,
            Some(SqlState::FOREIGN_KEY_VIOLATION),
            "{table} refers to another tenant's {columns:?}"
        );
        let rollback = "ROLLBACK TO SAVEPOINT attempt";
        seeded.superuser.batch_execute(rollback).await.unwrap();
    }
}
