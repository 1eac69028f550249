//! The SQL isolation probe finds each attack on each table by itself, without the comparison of the schema.

use skillkeep::db::{AdminDb, probe_isolation};

use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn probe_finds_every_table_with_open_policies() {
    let db = TestDb::new().await;
    let owner = AdminDb::new(&db.ways.owner).unwrap();
    let superuser = db.superuser().await;
    let intact = probe_isolation(&owner).await.unwrap();
    assert_eq!(intact.findings, Vec::<String>::new());
    assert!(!intact.name.contains("privileges only"), "{}", intact.name);
    let rows = superuser
        .query(
            "SELECT p.tablename::text, p.qual,
                    (SELECT w.qual FROM pg_policies w WHERE w.tablename = p.tablename AND w.policyname = 'tenant_isolation'), NOT c.relispartition OR c.relname ~ to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
             FROM pg_policies p JOIN pg_class c ON c.oid = p.tablename::regclass
             WHERE p.policyname = 'tenant_access' AND p.schemaname = 'public'",
            &[],
        )
        .await
        .unwrap();
    assert!(rows.len() > 15, "{}", rows.len());
    for row in &rows {
        let table: String = row.get(0);
        let policies = [
            ("tenant_access", row.get::<_, String>(1)),
            ("tenant_isolation", row.get(2)),
        ];
        let has_rows: bool = row.get(3);
        if !has_rows {
            continue;
        }
        let set = |using: Option<&str>, check: Option<&str>| -> String {
            policies
                .iter()
                .map(|(policy, condition)| {
                    let (using, check) = (using.unwrap_or(condition), check.unwrap_or(condition));
                    format!("ALTER POLICY {policy} ON {table} USING ({using}) WITH CHECK ({check});")
                })
                .collect()
        };
        let open = Some("true");
        superuser.batch_execute(&set(open, open)).await.unwrap();
        let found = probe_isolation(&owner).await.unwrap().findings;
        // USING (true) alone: the row is found, although the changed row is rejected.
        superuser.batch_execute(&set(open, None)).await.unwrap();
        let half = probe_isolation(&owner).await.unwrap().findings;
        superuser.batch_execute(&set(None, None)).await.unwrap();
        for verb in ["change", "delete", "take", "forge"] {
            let wanted = format!("{table} lets a tenant {verb} another's rows");
            assert!(found.contains(&wanted), "{wanted}: {found:#?}");
        }
        for verb in ["change", "delete", "take"] {
            let wanted = format!("{table} lets a tenant {verb} another's rows");
            assert!(half.contains(&wanted), "{wanted}: {half:#?}");
        }
    }
    let intact = probe_isolation(&owner).await.unwrap();
    assert_eq!(intact.findings, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_finds_disabled_rls_and_hidden_rows() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    let owner = AdminDb::new(&db.ways.owner).unwrap();
    for (change, restore, wanted) in [
        (
            "ALTER TABLE ratings DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE ratings ENABLE ROW LEVEL SECURITY",
            "ratings lets a tenant give its rows to another",
        ),
        (
            "REVOKE SELECT ON ratings FROM skillkeep_app",
            "GRANT SELECT ON ratings TO skillkeep_app",
            "ratings hides a tenant's own rows, so the probe shows nothing about its policies",
        ),
        (
            "DROP POLICY tenant_access ON ratings",
            "CREATE POLICY tenant_access ON ratings USING (tenant_id = current_tenant_id())",
            "a tenant's own rows were rejected: new row violates row-level security policy for table \"ratings\"",
        ),
    ] {
        superuser.batch_execute(change).await.unwrap();
        let found = probe_isolation(&owner).await.unwrap().findings;
        superuser.batch_execute(restore).await.unwrap();
        assert!(found.contains(&wanted.to_owned()), "{change}: {found:#?}");
    }
}

/// A connection that cannot act as the tables' owner attacks with the server's privileges, and the check's name says so.
#[tokio::test(flavor = "multi_thread")]
async fn probe_without_the_owner_is_restricted_and_says_so() {
    let db = TestDb::new().await;
    let intact = probe_isolation(&db.admin).await.unwrap();
    assert_eq!(intact.findings, Vec::<String>::new());
    assert!(intact.name.contains("own privileges only"), "{}", intact.name);
    let loosened = ["tenant_access", "tenant_isolation"]
        .map(|policy| format!("ALTER POLICY {policy} ON ratings USING (true) WITH CHECK (true);"))
        .concat();
    db.superuser().await.batch_execute(&loosened).await.unwrap();
    let found = probe_isolation(&db.admin).await.unwrap().findings;
    let wanted = "ratings lets a tenant change another's rows".to_owned();
    assert!(found.contains(&wanted), "{found:#?}");
}
