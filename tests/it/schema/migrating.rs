//! Migrations: applied once, concurrently, as a printed script, and rejected.

use skillkeep::db::migrations::{self, SchemaError};
use skillkeep::db::{DatabaseUrl, ServerDb, connect_owner, isolation_checks};

use crate::harness::{Cluster, TestDb};

/// An empty database, dropped by [`Self::drop_database`] or else by the next run.
pub(super) struct EmptyDb {
    name: String,
    pub(super) superuser: DatabaseUrl,
    pub(super) owner: DatabaseUrl,
}

impl EmptyDb {
    pub(super) async fn new(purpose: &str) -> Self {
        // Creates the roles, if this is the first test.
        drop(TestDb::new().await);
        let name = format!("skillkeep_t{}_{purpose}", std::process::id());
        let superuser = Cluster::get().superuser(&name);
        connect_owner(&Cluster::get().superuser("postgres"))
            .await
            .unwrap()
            .batch_execute(&format!("CREATE DATABASE {name} OWNER skillkeep_owner"))
            .await
            .unwrap();
        Self {
            name,
            owner: superuser.with_user("skillkeep_owner"),
            superuser,
        }
    }

    pub(super) async fn drop_database(self) {
        connect_owner(&Cluster::get().superuser("postgres"))
            .await
            .unwrap()
            .batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await
            .unwrap();
    }
}

/// Every object of the schema as a line, without its owner.
async fn schema_listing(url: &DatabaseUrl) -> Vec<String> {
    let rows = connect_owner(url)
        .await
        .unwrap()
        .query(
            "SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                    || ' ' || a.attnotnull::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' '
                    || coalesce(replace(a.attacl::text, pg_get_userbyid(c.relowner), 'OWNER'), '')
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
             LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
             WHERE c.relnamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'relation ' || relname || ' ' || relkind::text || relrowsecurity::text || relforcerowsecurity::text || ' '
                    || coalesce(replace(relacl::text, pg_get_userbyid(relowner), 'OWNER'), '') || ' '
                    || coalesce(pg_get_expr(relpartbound, oid), '')
             FROM pg_class WHERE relnamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
             UNION ALL
             SELECT 'policy ' || p.*::text FROM pg_policies p WHERE schemaname = 'public'
             UNION ALL
             SELECT 'trigger ' || pg_get_triggerdef(oid) || ' ' || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
             UNION ALL
             SELECT 'function ' || pg_get_functiondef(oid) || ' '
                    || coalesce(replace(proacl::text, pg_get_userbyid(proowner), 'OWNER'), '')
             FROM pg_proc WHERE pronamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'ledger ' || version || ' ' || name || ' ' || encode(checksum, 'hex') FROM skillkeep_migrations
             UNION ALL
             SELECT 'tenant ' || slug || ' ' || id FROM tenants
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_and_repeated_migration_applies_once() {
    let empty = EmptyDb::new("twice").await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(connect_owner(&empty.owner).await.unwrap());
    }
    let [first, second] = clients.as_mut_slice() else {
        panic!("two clients")
    };
    let (one, two) = tokio::join!(migrations::apply(first), migrations::apply(second));
    let mut applied = [one.unwrap().len(), two.unwrap().len()];
    applied.sort_unstable();
    assert_eq!(applied, [0, migrations::MIGRATIONS.len()]);
    let before = schema_listing(&empty.superuser).await;
    assert_eq!(migrations::apply(first).await.unwrap(), Vec::<&str>::new());
    assert_eq!(schema_listing(&empty.superuser).await, before);
    migrations::check(first).await.unwrap();
    empty.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_script_creates_the_same_schema() {
    let db = TestDb::new().await;
    let empty = EmptyDb::new("printed").await;
    let owner = connect_owner(&empty.owner).await.unwrap();
    owner.batch_execute(&migrations::print()).await.unwrap();
    let (printed, applied) = (
        schema_listing(&empty.superuser).await,
        schema_listing(&Cluster::get().superuser(&db.name)).await,
    );
    for line in &printed {
        assert!(applied.contains(line), "only printed: {line}");
    }
    for line in &applied {
        assert!(printed.contains(line), "not printed: {line}");
    }
    assert!(printed.len() > 200, "{}", printed.len());
    let app = empty.superuser.with_user("skillkeep_app");
    migrations::check(&connect_owner(&app).await.unwrap())
        .await
        .unwrap();
    let server = ServerDb::new(&app, 1).unwrap();
    let checks = isolation_checks::check_server(&server).await.unwrap();
    assert!(checks.iter().all(isolation_checks::Check::passed), "{checks:?}");
    server.close();
    empty.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn working_roles_cannot_create_temporary_tables() {
    for printed in [false, true] {
        let empty = EmptyDb::new(if printed { "temporary_printed" } else { "temporary" }).await;
        let mut owner = connect_owner(&empty.owner).await.unwrap();
        if printed {
            owner.batch_execute(&migrations::print()).await.unwrap();
        } else {
            migrations::apply(&mut owner).await.unwrap();
        }
        for role in ["skillkeep_app", "skillkeep_admin"] {
            let client = connect_owner(&empty.superuser.with_user(role)).await.unwrap();
            let error = client
                .batch_execute("CREATE TEMPORARY TABLE skills (slug text)")
                .await
                .unwrap_err();
            assert_eq!(error.code().unwrap().code(), "42501", "{error}");
        }
        empty.drop_database().await;
    }
}

/// SECURITY DEFINER functions of a superuser would bypass every policy.
#[tokio::test(flavor = "multi_thread")]
async fn schema_owned_by_a_superuser_is_a_finding() {
    let empty = EmptyDb::new("superusers").await;
    let mut superuser = connect_owner(&empty.superuser).await.unwrap();
    migrations::apply(&mut superuser).await.unwrap();
    let server = ServerDb::new(&empty.superuser.with_user("skillkeep_app"), 1).unwrap();
    let found = super::findings(&isolation_checks::check_server(&server).await.unwrap());
    assert!(
        found.len() == 1 && found[0].contains("ALTER TABLE ... OWNER TO"),
        "{found:?}"
    );
    superuser
        .batch_execute(
            "DO $$ DECLARE t text; BEGIN
                 FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                 LOOP EXECUTE format('ALTER TABLE %I OWNER TO skillkeep_owner', t); END LOOP;
                 FOR t IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                 LOOP EXECUTE format('ALTER FUNCTION %s OWNER TO skillkeep_owner', t); END LOOP;
             END $$",
        )
        .await
        .unwrap();
    let found = super::findings(&isolation_checks::check_server(&server).await.unwrap());
    assert_eq!(found, Vec::<String>::new());
    server.close();
    empty.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_newer_older_and_missing_schemas_are_rejected() {
    for (change, wanted, apply_too) in [
        (
            "UPDATE skillkeep_migrations SET checksum = sha256('edited') WHERE version = 3",
            "0003_users_and_api_keys",
            true,
        ),
        (
            "INSERT INTO skillkeep_migrations (version, name, checksum) VALUES (9999, 'next', '')",
            "newer",
            true,
        ),
        (
            "DELETE FROM skillkeep_migrations WHERE version = (SELECT max(version) FROM skillkeep_migrations)",
            "skillkeep migrate",
            false,
        ),
        ("DROP TABLE skillkeep_migrations", "skillkeep migrate", false),
    ] {
        let db = TestDb::new().await;
        db.superuser().await.batch_execute(change).await.unwrap();
        let mut owner = connect_owner(&db.ways.owner).await.unwrap();
        let server = connect_owner(&db.ways.server).await.unwrap();
        let message = migrations::check(&server).await.unwrap_err().to_string();
        assert!(message.contains(wanted), "{change}: {message}");
        if apply_too {
            let message = migrations::apply(&mut owner).await.unwrap_err().to_string();
            assert!(message.contains(wanted), "{change}: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_of_another_application_is_not_changed() {
    let empty = EmptyDb::new("foreign").await;
    let mut owner = connect_owner(&empty.owner).await.unwrap();
    owner
        .batch_execute("CREATE TABLE invoices (id integer)")
        .await
        .unwrap();
    let error = migrations::apply(&mut owner).await.unwrap_err();
    assert!(
        matches!(&error, SchemaError::Foreign { table } if table == "invoices"),
        "{error}"
    );
    let tables = owner
        .query("SELECT FROM pg_tables WHERE schemaname = 'public'", &[])
        .await
        .unwrap();
    assert_eq!(tables.len(), 1);
    empty.drop_database().await;
}
