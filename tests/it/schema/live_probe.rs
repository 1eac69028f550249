//! The proof on the live database goes red by itself, without the comparison of texts, for each deed and each table.

use skillkeep::db::{AdminDb, prove_isolation};

use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn each_table_whose_policies_hold_nothing_is_read_changed_and_deleted_from_by_the_proof() {
    let db = TestDb::new().await;
    let owner = AdminDb::new(&db.ways.owner).unwrap();
    let superuser = db.superuser().await;
    let whole = prove_isolation(&owner).await.unwrap();
    assert_eq!(whole.findings, Vec::<String>::new());
    assert!(!whole.name.contains("privileges only"), "{}", whole.name);
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
        let walls = [
            ("tenant_access", row.get::<_, String>(1)),
            ("tenant_isolation", row.get(2)),
        ];
        let has_rows: bool = row.get(3);
        if !has_rows {
            continue;
        }
        let set = |using: Option<&str>, check: Option<&str>| -> String {
            walls
                .iter()
                .map(|(policy, wall)| {
                    let (using, check) = (using.unwrap_or(wall), check.unwrap_or(wall));
                    format!("ALTER POLICY {policy} ON {table} USING ({using}) WITH CHECK ({check});")
                })
                .collect()
        };
        let none = Some("true");
        superuser.batch_execute(&set(none, none)).await.unwrap();
        let found = prove_isolation(&owner).await.unwrap().findings;
        // A row that may be found is reached, even where the changed one is refused.
        superuser.batch_execute(&set(none, None)).await.unwrap();
        let half = prove_isolation(&owner).await.unwrap().findings;
        superuser.batch_execute(&set(None, None)).await.unwrap();
        for deed in ["change", "delete", "take", "forge"] {
            let wanted = format!("{table} lets a tenant {deed} another's rows");
            assert!(found.contains(&wanted), "{wanted}: {found:#?}");
        }
        for deed in ["change", "delete", "take"] {
            let wanted = format!("{table} lets a tenant {deed} another's rows");
            assert!(half.contains(&wanted), "{wanted}: {half:#?}");
        }
    }
    let whole = prove_isolation(&owner).await.unwrap();
    assert_eq!(whole.findings, Vec::<String>::new());
}

/// A table that no policy keeps, though both are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_switched_off_wall_and_a_table_that_shows_nothing_are_found_by_the_proof() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    let owner = AdminDb::new(&db.ways.owner).unwrap();
    for (hole, mend, wanted) in [
        (
            "ALTER TABLE ratings DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE ratings ENABLE ROW LEVEL SECURITY",
            "ratings lets a tenant give its rows to another",
        ),
        (
            "REVOKE SELECT ON ratings FROM skillkeep_app",
            "GRANT SELECT ON ratings TO skillkeep_app",
            "ratings hides a tenant's own rows, so its policies prove nothing",
        ),
        (
            "DROP POLICY tenant_access ON ratings",
            "CREATE POLICY tenant_access ON ratings USING (tenant_id = current_tenant_id())",
            "a tenant's own rows were refused: new row violates row-level security policy for table \"ratings\"",
        ),
    ] {
        superuser.batch_execute(hole).await.unwrap();
        let found = prove_isolation(&owner).await.unwrap().findings;
        superuser.batch_execute(mend).await.unwrap();
        assert!(found.contains(&wanted.to_owned()), "{hole}: {found:#?}");
    }
}

/// Somebody who may not act as the owner is told that less was tried; what can be tried still is.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_owner_the_proof_tries_what_the_server_may_and_says_so() {
    let db = TestDb::new().await;
    let whole = prove_isolation(&db.admin).await.unwrap();
    assert_eq!(whole.findings, Vec::<String>::new());
    assert!(whole.name.contains("own privileges only"), "{}", whole.name);
    let loosened = ["tenant_access", "tenant_isolation"]
        .map(|policy| format!("ALTER POLICY {policy} ON ratings USING (true) WITH CHECK (true);"))
        .concat();
    db.superuser().await.batch_execute(&loosened).await.unwrap();
    let found = prove_isolation(&db.admin).await.unwrap().findings;
    let wanted = "ratings lets a tenant change another's rows".to_owned();
    assert!(found.contains(&wanted), "{found:#?}");
}
