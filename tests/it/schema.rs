//! The database schema: queries, policies, the isolation checks, the SQL isolation probe, and migrations.

mod as_migrated;
mod data_egress;
mod detected_changes;
mod foreign_keys;
mod live_probe;
mod migrating;
mod upgrading;
mod upsert;

use std::path::Path;

use serde_json::json;
use skillkeep::db::isolation_checks::{self, Check};
use skillkeep::db::{DatabaseUrl, ServerDb, TenantTx, connect_owner};
use skillkeep::registry::audit::{self, Actor, Entry};

use crate::harness::{Client, Cluster, TestDb};

#[tokio::test(flavor = "multi_thread")]
async fn every_query_is_named_and_prepares_as_its_role() {
    let db = TestDb::new().await;
    let server = connect_owner(&db.ways.server).await.unwrap();
    let admin = connect_owner(&db.ways.admin).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/queries");
    let mut prepared_queries = 0;
    for subfolder in std::fs::read_dir(&folder).unwrap() {
        for file in std::fs::read_dir(subfolder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(&folder).unwrap().with_extension("");
            let name = name.to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let first = text.lines().next().unwrap();
            assert!(
                first.starts_with(&format!("-- {name}: ")) && first.ends_with('.'),
                "{first}"
            );
            let admin_queries = [
                "tenants/",
                "api_keys/",
                "users/",
                "pg_catalog/",
                "settings/",
                "secret_paths/insert",
                "secret_paths/revoke",
                "usage/prune",
                "skills/purge",
                "skills/set_source",
                "denied/insert",
                "denied/delete",
                "distributions/insert",
                "distributions/delete",
                "groups/insert",
                "groups/add_member",
                "groups/remove_member",
                "signing_keys/insert",
                "signing_keys/retire",
            ];
            let client = if admin_queries.iter().any(|prefix| name.starts_with(prefix)) {
                &admin
            } else {
                &server
            };
            // Planning too, because a missing privilege is reported there.
            let prepared = client.prepare(&text).await;
            assert!(prepared.is_ok(), "{name}: {prepared:?}");
            let planned = client
                .batch_execute(&format!(
                    "SET plan_cache_mode = force_generic_plan; PREPARE q AS {text};"
                ))
                .await;
            assert!(planned.is_ok(), "{name}: {planned:?}");
            let nulls = vec!["NULL"; prepared.unwrap().params().len()].join(", ");
            let arguments = if nulls.is_empty() {
                String::new()
            } else {
                format!("({nulls})")
            };
            let planned = client
                .batch_execute(&format!("EXPLAIN EXECUTE q{arguments}; DEALLOCATE q"))
                .await;
            assert!(planned.is_ok(), "{name}: {planned:?}");
            prepared_queries += 1;
        }
    }
    assert!(prepared_queries > 50, "{prepared_queries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tenant_table_forces_both_policies() {
    let db = TestDb::new().await;
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT c.relname::text, c.relispartition, c.relrowsecurity AND c.relforcerowsecurity,
                    (SELECT array_agg(p.polname::text || CASE WHEN p.polpermissive THEN ' permissive' ELSE ' restrictive' END
                                      || ' ' || pg_get_expr(p.polqual, c.oid) || pg_get_expr(p.polwithcheck, c.oid)
                                      ORDER BY p.polname)
                     FROM pg_policy p WHERE p.polrelid = c.oid)
             FROM pg_class c
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
               AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')",
            &[],
        )
        .await
        .unwrap();
    let condition = "(tenant_id = current_tenant_id())";
    for row in &rows {
        let (table, forced): (String, bool) = (row.get(0), row.get(2));
        let policies: Option<Vec<String>> = row.get(3);
        assert!(forced, "{table}");
        assert_eq!(
            policies.unwrap_or_default(),
            [
                format!("tenant_access permissive {condition}{condition}"),
                format!("tenant_isolation restrictive {condition}{condition}")
            ],
            "{table}"
        );
    }
    let partitions = rows.iter().filter(|row| row.get(1)).count();
    assert!(partitions >= 4 && rows.len() - partitions >= 14, "{}", rows.len());
}

fn findings(checks: &[Check]) -> Vec<String> {
    checks.iter().flat_map(|check| check.findings.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn isolation_checks_find_each_weakness_and_pass_otherwise() {
    let db = TestDb::new().await;
    assert_eq!(
        findings(&isolation_checks::check_server(&db.server).await.unwrap()),
        Vec::<String>::new()
    );
    let month: String = db
        .value("SELECT 'usage_events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
        .await;
    let condition = "(tenant_id = current_tenant_id())";
    for (change, named) in [
        ("ALTER TABLE ratings NO FORCE ROW LEVEL SECURITY".to_owned(), "ratings"),
        ("ALTER TABLE ratings DISABLE ROW LEVEL SECURITY".to_owned(), "ratings"),
        (format!("ALTER TABLE {month} NO FORCE ROW LEVEL SECURITY"), month.as_str()),
        ("DROP POLICY tenant_isolation ON blobs".to_owned(), "blobs"),
        (
            "DROP POLICY tenant_access ON blobs; CREATE POLICY tenant_access ON blobs USING (true)".to_owned(),
            "blobs",
        ),
        (
            format!("ALTER POLICY tenant_isolation ON skills USING (true) WITH CHECK {condition}"),
            "skills",
        ),
        (
            format!("ALTER POLICY tenant_isolation ON skills USING {condition} WITH CHECK (true)"),
            "skills",
        ),
        ("CREATE POLICY support ON users USING (true)".to_owned(), "users"),
        ("CREATE TABLE notes (id integer)".to_owned(), "notes"),
        ("CREATE TABLE notes (tenant_id uuid)".to_owned(), "notes"),
        (
            "CREATE VIEW all_skills AS SELECT * FROM skills; GRANT SELECT ON all_skills TO skillkeep_app".to_owned(),
            "all_skills",
        ),
        (
            "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM skills'"
                .to_owned(),
            "peek",
        ),
        ("ALTER TABLE audit_logs DISABLE TRIGGER audit_append_only".to_owned(), "audit_append_only"),
        (
            "ALTER TABLE skill_versions ENABLE TRIGGER forbid_version_update".to_owned(),
            "forbid_version_update",
        ),
        (format!("GRANT SELECT ON {month} TO skillkeep_app"), month.as_str()),
        ("GRANT TRUNCATE ON skills TO skillkeep_app".to_owned(), "skills"),
        ("ALTER TABLE ratings ADD UNIQUE (id)".to_owned(), "ratings"),
        (format!("DROP TABLE {month}"), "this month"),
    ] {
        let broken = TestDb::new().await;
        broken.superuser().await.batch_execute(&change).await.unwrap();
        let found = findings(&isolation_checks::check_server(&broken.server).await.unwrap());
        assert!(
            !found.is_empty() && found.iter().any(|finding| finding.contains(named)),
            "{change}: {found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn isolation_checks_find_privileged_server_role() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    let role = format!("skillkeep_checked_{}", std::process::id());
    Cluster::get().admit(&role).await;
    for (rights, wanted) in [
        ("BYPASSRLS IN ROLE skillkeep_app", "BYPASSRLS"),
        ("IN ROLE skillkeep_app, pg_read_all_data", "predefined role"),
        ("IN ROLE skillkeep_admin", "administer"),
        ("IN ROLE skillkeep_owner", "owns tables"),
        ("SUPERUSER", "superuser"),
    ] {
        superuser
            .batch_execute(&format!("CREATE ROLE {role} LOGIN {rights}"))
            .await
            .unwrap();
        let url = DatabaseUrl::from_config(Cluster::get().config(&role, &db.name));
        let server = ServerDb::new(&url, 1).unwrap();
        let found = isolation_checks::check_server(&server).await;
        server.close();
        superuser
            .batch_execute(&format!("DROP ROLE {role}"))
            .await
            .unwrap();
        let found = findings(&found.unwrap());
        assert!(
            found.iter().any(|finding| finding.contains(wanted)),
            "{rights}: {found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_role_can_change_records_or_published_versions() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "fill-pdf", "Fills in PDF forms.", &[]).await;
    Client::connect(&db.service(), &db.full_key(tenant).await)
        .await
        .ok("whoami", json!({}))
        .await;
    for url in [&db.ways.server, &db.ways.admin] {
        let client = connect_owner(url).await.unwrap();
        for attempt in [
            "UPDATE audit_logs SET actor = 'nobody'",
            "DELETE FROM audit_logs",
            "TRUNCATE audit_logs",
            "UPDATE usage_events SET outcome = 'ok'",
            "DELETE FROM usage_events",
            "TRUNCATE usage_events",
            "UPDATE skill_versions SET digest = sha256('x')",
            "UPDATE skill_versions SET version = 'x'",
            "DELETE FROM skill_versions",
            "UPDATE blobs SET bytes = 'x'",
            "DELETE FROM blobs",
            "UPDATE skill_files SET digest = sha256('x')",
            "DELETE FROM skill_files",
            "DELETE FROM api_keys",
            "DELETE FROM users",
            "ALTER TABLE audit_logs DISABLE TRIGGER ALL",
            "ALTER TABLE skills DISABLE ROW LEVEL SECURITY",
            "DROP POLICY tenant_access ON skills",
            "SET session_replication_role = replica",
        ] {
            client
                .batch_execute(&format!("BEGIN; SET LOCAL app.current_tenant_id = '{tenant}'"))
                .await
                .unwrap();
            let error = client.batch_execute(attempt).await.unwrap_err();
            client.batch_execute("ROLLBACK").await.unwrap();
            assert_eq!(
                error.code().unwrap().code(),
                "42501",
                "{attempt} must lack the privilege: {error:?}"
            );
        }
    }
    // The triggers stop even a superuser.
    let superuser = db.superuser().await;
    for attempt in [
        "UPDATE audit_logs SET actor = 'nobody'",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
        "SET session_replication_role = replica; UPDATE blobs SET bytes = bytes",
        "UPDATE skill_versions SET version = 'x'",
    ] {
        assert!(superuser.batch_execute(attempt).await.is_err(), "{attempt}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_verification_finds_changes_made_without_triggers() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let actor = Actor::Admin("ada".to_owned());
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    for subject in ["one", "two", "drei \u{fc}", "four"] {
        let entry = Entry {
            actor: &actor,
            action: "skill.done",
            subject,
            details: json!({"b": 1, "a": [1.50, "\u{1F600}"]}),
            source: "test",
        };
        audit::write(&tx, &entry).await.unwrap();
    }
    skillkeep::search::commit(tx).await.unwrap();
    let verify = async || {
        let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
        audit::verify(&tx).await.unwrap()
    };
    let intact = verify().await;
    assert_eq!((intact.entries, intact.broken_at), (4, None));
    let superuser = db.superuser().await;
    for (change, broken_at) in [
        ("UPDATE audit_logs SET actor = 'eve' WHERE seq = 4", 4),
        (
            "UPDATE audit_logs SET created_at = created_at + interval '1 us' WHERE seq = 3",
            3,
        ),
        ("DELETE FROM audit_logs WHERE seq = 2", 2),
    ] {
        superuser
            .batch_execute(&format!("ALTER TABLE audit_logs DISABLE TRIGGER USER; {change}"))
            .await
            .unwrap();
        assert_eq!(verify().await.broken_at, Some(broken_at), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_event_is_stored_in_the_month_of_its_id() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let superuser = db.superuser().await;
    let months: Vec<String> = superuser
        .query(
            "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'usage_events'::regclass ORDER BY 1",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(months.len() >= 4, "{months:?}");
    for pair in months.windows(2) {
        let digits = pair[1].trim_start_matches("usage_events_").replace('_', "-");
        let first: jiff::Timestamp = format!("{digits}-01T00:00:00Z").parse().unwrap();
        let millisecond = u128::try_from(first.as_millisecond()).unwrap();
        for (id, wanted) in [
            // The last id of the last millisecond, and the first one of the next.
            ((millisecond << 80) - 1, &pair[0]),
            (millisecond << 80, &pair[1]),
            ((millisecond << 80) + (0x7 << 76), &pair[1]),
        ] {
            let row = superuser
                .query_one(
                    "INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
                     VALUES ($1, $2, $2, $2, 'test', 'ok', 1, 'stdio') RETURNING tableoid::regclass::text",
                    &[tenant.as_uuid(), &uuid::Uuid::from_u128(id)],
                )
                .await
                .unwrap();
            assert_eq!(&row.get::<_, String>(0), wanted, "{first}");
        }
    }
}
