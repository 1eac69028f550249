//! Upgrades of a baseline database by migrations that a later version could have.

use skillkeep::db::migrations::{self, Migration, SchemaError};
use skillkeep::db::{ServerDb, connect_owner, isolation_checks};

use super::migrating::EmptyDb;
use crate::harness::TestDb;

/// A migration that a later version could have: it changes the schema and the rows of every tenant. Its owner is bound by
/// the policies, so it lifts FORCE while it deletes rows, as such a migration must.
const LATER_MIGRATION: &str = "
DO $delete$
DECLARE
    tenant_table text;
    tenant_tables CONSTANT text[] := ARRAY[
        'skill_feedback', 'usage_events', 'installs', 'ratings', 'skill_reviews', 'skill_embeddings', 'skill_files',
        'skill_aliases', 'skill_scans', 'scan_overrides', 'version_signatures', 'signing_keys', 'denied_digests',
        'distributions', 'user_group_members', 'user_groups', 'skill_versions', 'skills', 'blobs', 'api_keys', 'users',
        'tenant_settings'
    ];
BEGIN
    ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY;
    FOREACH tenant_table IN ARRAY tenant_tables LOOP
        EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', tenant_table);
    END LOOP;
    FOREACH tenant_table IN ARRAY tenant_tables LOOP
        EXECUTE format('DELETE FROM %I WHERE tenant_id IN (SELECT id FROM tenants WHERE status = ''suspended'')', tenant_table);
    END LOOP;
    SET CONSTRAINTS ALL IMMEDIATE;
    FOREACH tenant_table IN ARRAY tenant_tables LOOP
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    END LOOP;
    ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
END
$delete$;
CREATE INDEX skills_by_author ON skills (tenant_id, author);";

const TENANT_TABLES: [&str; 23] = [
    "skill_feedback",
    "usage_events",
    "installs",
    "ratings",
    "skill_reviews",
    "skill_embeddings",
    "skill_files",
    "skill_aliases",
    "skill_scans",
    "scan_overrides",
    "version_signatures",
    "signing_keys",
    "denied_digests",
    "distributions",
    "user_group_members",
    "user_groups",
    "skill_versions",
    "skills",
    "blobs",
    "api_keys",
    "users",
    "tenant_settings",
    "audit_logs",
];

/// The program's migrations, followed by others.
fn with_later(later: &[(&'static str, &'static str)]) -> Vec<Migration> {
    let mut all = migrations::MIGRATIONS.to_vec();
    for &(name, sql) in later {
        let version = all.last().unwrap().version + 1;
        all.push(Migration { version, name, sql });
    }
    all
}

/// The slugs of the tenants with rows in a table, sorted, once for each row.
async fn tenants_in(superuser: &tokio_postgres::Client, table: &str) -> Vec<String> {
    let rows = superuser
        .query(
            &format!("SELECT t.slug FROM {table} r JOIN tenants t ON t.id = r.tenant_id ORDER BY 1"),
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get("slug")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_applies_only_the_missing_migration_and_keeps_other_rows() {
    let empty = EmptyDb::new("upgrade").await;
    let mut owner = connect_owner(&empty.owner).await.unwrap();
    // The printed script and the program must agree on what is applied.
    owner.batch_execute(&migrations::print()).await.unwrap();
    let superuser = connect_owner(&empty.superuser).await.unwrap();
    let seed = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/sql/isolation_probe/seed.sql"
    ));
    for (slug, status) in [("deleted", "suspended"), ("kept", "active")] {
        let id = skillkeep::ids::TenantId::new();
        superuser
            .batch_execute(&format!(
                "BEGIN; INSERT INTO tenants (id, slug, name) VALUES ('{id}', '{slug}', '{slug}');
                 SET LOCAL app.current_tenant_id = '{id}'; {seed};
                 UPDATE skills SET latest_version_id = id WHERE tenant_id = '{id}';
                 UPDATE tenants SET status = '{status}' WHERE id = '{id}'; COMMIT"
            ))
            .await
            .unwrap();
    }
    let upgraded = with_later(&[("later", LATER_MIGRATION)]);
    let applied = migrations::apply_list(&mut owner, &upgraded).await.unwrap();
    assert_eq!(applied, ["later"]);
    for table in TENANT_TABLES {
        let expected: &[&str] = if table == "audit_logs" {
            // The log of the default tenant begins with its creation.
            &["default", "deleted", "kept"]
        } else {
            &["kept"]
        };
        assert_eq!(tenants_in(&superuser, table).await, expected, "{table}");
    }
    let server = ServerDb::new(&empty.superuser.with_user("skillkeep_app"), 1).unwrap();
    let checks = isolation_checks::check_server(&server).await.unwrap();
    assert!(checks.iter().all(isolation_checks::Check::passed), "{checks:?}");
    server.close();
    // Applied once; and this program, which lacks the migration, neither serves nor migrates the database.
    let again = migrations::apply_list(&mut owner, &upgraded).await.unwrap();
    assert_eq!(again, Vec::<&str>::new());
    for error in [
        migrations::check(&owner).await.unwrap_err(),
        migrations::apply(&mut owner).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, SchemaError::Newer { found, wanted } if found == wanted + 1),
            "{error}"
        );
    }
    let edited = with_later(&[("later", "SELECT 1")]);
    let error = migrations::apply_list(&mut owner, &edited).await.unwrap_err();
    assert!(
        matches!(&error, SchemaError::Edited { name } if name == "later"),
        "{error}"
    );
    empty.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_migration_is_rolled_back_and_earlier_ones_stay() {
    let empty = EmptyDb::new("failing").await;
    let mut owner = connect_owner(&empty.owner).await.unwrap();
    let failing = [
        (
            "good",
            "CREATE INDEX skills_by_author ON skills (tenant_id, author)",
        ),
        (
            "bad",
            "CREATE INDEX skills_by_license ON skills (tenant_id, license); SELECT 1 / 0",
        ),
    ];
    let error = migrations::apply_list(&mut owner, &with_later(&failing))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("division by zero"), "{error}");
    let indexes = owner
        .query(
            "SELECT indexname::text FROM pg_indexes WHERE indexname IN ('skills_by_author', 'skills_by_license')",
            &[],
        )
        .await
        .unwrap();
    let indexes: Vec<String> = indexes.iter().map(|row| row.get("indexname")).collect();
    assert_eq!(indexes, ["skills_by_author"]);
    // The lock is free again for the next attempt, with the migration corrected.
    let corrected = [failing[0], ("bad", "SELECT 1")];
    let applied = migrations::apply_list(&mut owner, &with_later(&corrected))
        .await
        .unwrap();
    assert_eq!(applied, ["bad"]);
    empty.drop_database().await;
}

/// The baseline refuses what an upgrade once had to delete: rows of an erased tenant.
#[tokio::test(flavor = "multi_thread")]
async fn erased_tenant_with_rows_cannot_exist() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    let seed = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/sql/isolation_probe/seed.sql"
    ));
    let id = skillkeep::ids::TenantId::new();
    superuser
        .batch_execute(&format!(
            "INSERT INTO tenants (id, slug, name) VALUES ('{id}', 'gone', 'gone');
             BEGIN; SET LOCAL app.current_tenant_id = '{id}'; {seed}; COMMIT"
        ))
        .await
        .unwrap();
    for table in TENANT_TABLES.iter().filter(|table| **table != "audit_logs") {
        let constraint = format!("{table}_tenant_id_fkey");
        // Without the other tables' keys, so that the key of this table alone refuses.
        let others: String = TENANT_TABLES
            .iter()
            .filter(|other| *other != table && **other != "audit_logs")
            .map(|other| format!("ALTER TABLE {other} DROP CONSTRAINT {other}_tenant_id_fkey;"))
            .collect();
        superuser
            .batch_execute(&format!("BEGIN; {others}"))
            .await
            .unwrap();
        let error = superuser
            .batch_execute(&format!("UPDATE tenants SET status = 'erased' WHERE id = '{id}'"))
            .await
            .unwrap_err();
        superuser.batch_execute("ROLLBACK").await.unwrap();
        let error = error.as_db_error().unwrap();
        assert_eq!(
            (error.code().code(), error.constraint()),
            ("23503", Some(constraint.as_str()))
        );
    }
}
