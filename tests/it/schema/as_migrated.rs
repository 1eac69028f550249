//! The isolation checks compare the whole schema: every object that is removed or added is found, without a list here.

use std::path::Path;

use skillkeep::db::isolation_checks;

use super::findings;
use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn schema_txt_matches_the_migrations() {
    let db = TestDb::new().await;
    let lines = isolation_checks::schema_lines(&db.admin)
        .await
        .unwrap()
        .join("\n")
        + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/isolation_probe/schema.txt");
    if std::env::var_os("SKILLKEEP_WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &lines).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        lines == expected,
        "sql/isolation_probe/schema.txt differs from what the migrations create; run this test with SKILLKEEP_WRITE_SCHEMA=1 and read the difference"
    );
}

/// Statements that each remove or weaken one object of the schema, generated from the system catalog, and some additions.
async fn mutations(db: &TestDb) -> Vec<String> {
    let rows = db
        .superuser()
        .await
        .query(
            "WITH tables AS (
                 SELECT c.oid, c.relname, c.relkind FROM pg_class c
                 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'skillkeep_migrations'
             )
             SELECT format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', relname) FROM tables
             UNION ALL SELECT format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', relname) FROM tables
             UNION ALL SELECT format('DROP POLICY %I ON %I', p.polname, t.relname) FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
             UNION ALL SELECT format('ALTER POLICY %I ON %I USING (true)', p.polname, t.relname)
                 FROM tables t JOIN pg_policy p ON p.polrelid = t.oid WHERE p.polname <> 'tenant_directory'
             UNION ALL SELECT format('ALTER POLICY %I ON %I WITH CHECK (true)', p.polname, t.relname)
                 FROM tables t JOIN pg_policy p ON p.polrelid = t.oid WHERE p.polname <> 'tenant_directory'
             UNION ALL SELECT format('ALTER TABLE %I DROP CONSTRAINT %I CASCADE', t.relname, con.conname)
                 FROM tables t JOIN pg_constraint con ON con.conrelid = t.oid
                 WHERE con.contype IN ('p', 'u', 'f', 'c') AND con.conparentid = 0 AND con.coninhcount = 0
             UNION ALL SELECT format('DROP TRIGGER %I ON %I', g.tgname, t.relname)
                 FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND g.tgparentid = 0
             UNION ALL SELECT format('ALTER TABLE %I DISABLE TRIGGER %I', t.relname, g.tgname)
                 FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal
             UNION ALL SELECT string_agg(format('ALTER TABLE %I DISABLE TRIGGER %I', t.relname, g.tgname), '; ')
                 FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE g.tgisinternal GROUP BY t.oid
             UNION ALL SELECT format('ALTER TABLE %I DISABLE TRIGGER ALL', relname) FROM tables
                 WHERE EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = tables.oid)
             UNION ALL SELECT format('GRANT DELETE ON %I TO skillkeep_app', relname) FROM tables
                 WHERE NOT has_table_privilege('skillkeep_app', tables.oid, 'DELETE')
             UNION ALL SELECT format('GRANT UPDATE ON %I TO skillkeep_app', relname) FROM tables
             UNION ALL SELECT format('GRANT SELECT ON %I TO PUBLIC', relname) FROM tables
             UNION ALL SELECT format('ALTER FUNCTION %s RESET ALL', p.oid::regprocedure) FROM pg_proc p
                 WHERE p.pronamespace = 'public'::regnamespace AND p.proconfig IS NOT NULL
             UNION ALL SELECT format('ALTER FUNCTION %s SECURITY %s', p.oid::regprocedure,
                                     CASE WHEN p.prosecdef THEN 'INVOKER' ELSE 'DEFINER' END) FROM pg_proc p
                 WHERE p.pronamespace = 'public'::regnamespace
             UNION ALL SELECT format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', p.oid::regprocedure) FROM pg_proc p
                 WHERE p.pronamespace = 'public'::regnamespace AND p.proname <> 'current_tenant_id'",
            &[],
        )
        .await
        .unwrap();
    let mut statements: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    for added in [
        "CREATE RULE peek AS ON INSERT TO ratings DO ALSO NOTHING",
        "CREATE VIEW all_skills AS SELECT slug FROM skills",
        "CREATE MATERIALIZED VIEW all_skills AS SELECT slug FROM skills",
        "CREATE TABLE copies () INHERITS (skills)",
        "CREATE FUNCTION peek() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER peek AFTER INSERT ON skills FOR EACH ROW EXECUTE FUNCTION peek()",
        "CREATE OR REPLACE FUNCTION current_tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
         RETURN coalesce(nullif(current_setting('app.current_tenant_id', true), '')::uuid,
                         '01900000-0000-7000-8000-000000000001')",
        "ALTER TABLE audit_logs ADD COLUMN note text",
        "CREATE UNIQUE INDEX one_slug ON skills (slug)",
        "ALTER TABLE usage_events DETACH PARTITION MONTH",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO skillkeep_app",
    ] {
        statements.push(added.to_owned());
    }
    statements
}

/// The partition of the usage events of this month.
async fn current_month(db: &TestDb) -> String {
    db.value("SELECT 'usage_events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_schema_change_is_found() {
    let db = TestDb::new().await;
    let month = current_month(&db).await;
    let mutations = mutations(&db).await;
    let superuser = db.superuser().await;
    let mut count = 0;
    for mutation in &mutations {
        // In a transaction that is rolled back; the comparison runs inside it.
        let mutation = mutation.replace("MONTH", &month);
        superuser.batch_execute("BEGIN").await.unwrap();
        if let Err(error) = superuser.batch_execute(&mutation).await {
            panic!("{mutation}: {error:?}");
        }
        let found = findings(&[isolation_checks::compare_schema(&superuser).await.unwrap()]);
        superuser.batch_execute("ROLLBACK").await.unwrap();
        assert!(!found.is_empty(), "not found: {mutation}");
        count += 1;
    }
    assert!(count > 250, "{count}");
    assert_eq!(
        findings(&[isolation_checks::compare_schema(&superuser).await.unwrap()]),
        Vec::<String>::new()
    );
}

/// Prints, for `tests/mutation/run`, the statements that each remove one isolation measure, one a line.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a list for a script"]
async fn list_of_mutations() {
    let db = TestDb::new().await;
    let month = current_month(&db).await;
    for mutation in mutations(&db).await {
        let removes_isolation = ["NO FORCE", "DISABLE ROW", "DROP POLICY", "DROP TRIGGER"]
            .iter()
            .any(|text| mutation.contains(text))
            || (mutation.contains("DROP CONSTRAINT") && !mutation.contains("_check "));
        // All partitions are alike: the one of the current month represents them.
        if removes_isolation && (!mutation.contains("usage_events_2") || mutation.contains(&month)) {
            eprintln!("mutation: {mutation}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn additional_index_is_allowed() {
    let db = TestDb::new().await;
    db.superuser()
        .await
        .batch_execute("CREATE INDEX by_author ON skills (tenant_id, author)")
        .await
        .unwrap();
    assert_eq!(
        findings(&isolation_checks::check_server(&db.server).await.unwrap()),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_and_grants_to_other_roles_are_allowed() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    superuser
        .batch_execute("BEGIN; CREATE EXTENSION pg_stat_statements")
        .await
        .unwrap();
    superuser
        .batch_execute("GRANT SELECT ON skills TO pg_monitor")
        .await
        .unwrap();
    let found = findings(&[isolation_checks::compare_schema(&superuser).await.unwrap()]);
    assert_eq!(found, Vec::<String>::new());
    superuser
        .batch_execute("GRANT SELECT ON skills TO PUBLIC")
        .await
        .unwrap();
    let found = findings(&[isolation_checks::compare_schema(&superuser).await.unwrap()]);
    assert_eq!(found, ["unexpected: grant SELECT on skills to public"]);
    superuser.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn isolation_relevant_role_setting_is_found() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    for setting in [
        "app.current_tenant_id = '01900000-0000-7000-8000-000000000001'",
        "search_path = evil, public",
        "row_security = off",
    ] {
        superuser.batch_execute("BEGIN").await.unwrap();
        superuser
            .batch_execute(&format!(
                "ALTER ROLE skillkeep_app IN DATABASE {} SET {setting}",
                db.name
            ))
            .await
            .unwrap();
        let found = findings(&[isolation_checks::compare_schema(&superuser).await.unwrap()]);
        superuser.batch_execute("ROLLBACK").await.unwrap();
        assert!(
            found.iter().any(|finding| finding.contains("setting of a role")),
            "{setting}: {found:?}"
        );
    }
}
