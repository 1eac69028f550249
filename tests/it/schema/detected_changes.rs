//! The isolation checks find ways around the policies: other schemas, roles, owners, extensions and settings.

use serde_json::json;
use skillkeep::db::{DatabaseUrl, ServerDb, connect_owner, isolation_checks, migrations};

use super::findings;
use crate::command::{CommandOutput, program_as};
use crate::harness::{Client, Cluster, TestDb};

/// Applies each change to a database of its own, and asserts that the server's isolation checks report it.
async fn assert_each_is_found(changes: &[(&str, &str)]) {
    let mut not_found = Vec::new();
    for (change, named) in changes {
        let db = TestDb::new().await;
        let change = change.replace("THIS_ONE", &db.name);
        db.superuser().await.batch_execute(&change).await.unwrap();
        let found = findings(&isolation_checks::check_server(&db.server).await.unwrap());
        if !found.iter().any(|finding| finding.contains(named)) {
            not_found.push(format!("{change}: {found:#?}"));
        }
    }
    assert_eq!(not_found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn accessible_objects_in_other_schemas_are_found() {
    assert_each_is_found(&[
        (
            "CREATE SCHEMA reporting; CREATE VIEW reporting.s AS SELECT * FROM skills;
             GRANT USAGE ON SCHEMA reporting TO skillkeep_app; GRANT SELECT ON reporting.s TO skillkeep_app",
            "reporting.s is outside",
        ),
        (
            "CREATE SCHEMA reporting; CREATE TABLE reporting.s AS SELECT * FROM skills;
             GRANT SELECT (slug) ON reporting.s TO PUBLIC",
            "reporting.s is outside",
        ),
        (
            "CREATE SCHEMA archive; CREATE TABLE archive.old () INHERITS (skill_feedback)",
            "archive.old is a child of skill_feedback",
        ),
        (
            "CREATE SCHEMA archive; CREATE TABLE archive.usage_events_2001_01 PARTITION OF usage_events
             FOR VALUES FROM ('00000000-0000-7000-8000-000000000000') TO ('00000000-0000-7000-8000-000000000001')",
            "archive.usage_events_2001_01 is a child of usage_events",
        ),
        (
            "CREATE SCHEMA tools; GRANT USAGE ON SCHEMA tools TO PUBLIC;
             CREATE FUNCTION tools.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.skills'",
            "tools.peek() is a SECURITY DEFINER function outside",
        ),
        (
            "CREATE SCHEMA skillkeep_app; GRANT USAGE ON SCHEMA skillkeep_app TO skillkeep_app;
             CREATE TABLE skillkeep_app.usage_events AS SELECT * FROM public.usage_events;
             GRANT INSERT ON skillkeep_app.usage_events TO skillkeep_app",
            "skillkeep_app.usage_events is outside",
        ),
        ("GRANT CREATE ON DATABASE THIS_ONE TO skillkeep_app", "may create schemas"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "may create objects in the schema public"),
        (
            "CREATE SCHEMA tools; GRANT CREATE ON SCHEMA tools TO skillkeep_admin",
            "skillkeep_admin may create objects in the schema tools",
        ),
        ("ALTER SCHEMA public OWNER TO skillkeep_app", "owns the schema public"),
        ("ALTER DATABASE THIS_ONE OWNER TO skillkeep_admin", "owns this database"),
    ])
    .await;
}

/// By default, PostgreSQL searches a schema named like the role first.
#[tokio::test(flavor = "multi_thread")]
async fn schema_named_like_a_role_is_not_used() {
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
    let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
    client.ok("whoami", json!({})).await;
    assert_eq!(db.events(tenant).await.len(), 1);
    for table in ["usage_events", "audit_logs", "tenants"] {
        for role in ["skillkeep_app", "skillkeep_admin"] {
            let there: i64 = db.value(&format!("SELECT count(*) FROM {role}.{table}")).await;
            assert_eq!(there, 0, "{role}.{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_another_owner_are_found() {
    assert_each_is_found(&[
        (
            "ALTER FUNCTION erase_tenant(uuid) OWNER TO CURRENT_USER",
            "ALTER FUNCTION erase_tenant(uuid) OWNER TO skillkeep_owner",
        ),
        (
            "GRANT CREATE ON SCHEMA public TO skillkeep_app; ALTER FUNCTION forbid_audit_change() OWNER TO skillkeep_app;
             REVOKE CREATE ON SCHEMA public FROM skillkeep_app",
            "forbid_audit_change() belongs to skillkeep_app",
        ),
        ("ALTER TABLE ratings OWNER TO skillkeep_admin", "ALTER TABLE ratings OWNER TO skillkeep_owner"),
        (
            "DO $$ DECLARE t text; BEGIN
                 FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                 LOOP EXECUTE format('ALTER TABLE %I OWNER TO CURRENT_USER', t); END LOOP;
                 FOR t IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                 LOOP EXECUTE format('ALTER FUNCTION %s OWNER TO CURRENT_USER', t); END LOOP;
             END $$",
            "a superuser, so no policy binds",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_with_wrong_bounds_are_found() {
    let month = "to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')";
    let moved = format!(
        "DO $$ DECLARE t text := 'usage_events_' || {month}; b text; BEGIN
             SELECT pg_get_expr(relpartbound, oid) INTO b FROM pg_class WHERE relname = t;
             EXECUTE format('ALTER TABLE usage_events DETACH PARTITION %I', t);
             b := regexp_replace(b, 'FROM \\(''(.*)''\\) TO .*', 'FROM (''\\1'') TO (''\\1'')');
             b := overlay(b placing '1' from length(b) - 2 for 1);
             EXECUTE format('ALTER TABLE usage_events ATTACH PARTITION %I %s', t, b);
         END $$"
    );
    assert_each_is_found(&[
        (moved.as_str(), "are not those of its month"),
        (
            "CREATE TABLE usage_events_rest PARTITION OF usage_events DEFAULT",
            "the bounds of the partition usage_events_rest are not",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_egress_and_extension_members_are_found() {
    assert_each_is_found(&[
        ("CREATE EXTENSION dblink", "dblink is an extension"),
        ("CREATE EXTENSION postgres_fdw", "postgres_fdw is an extension"),
        ("CREATE EXTENSION adminpack; GRANT EXECUTE ON FUNCTION pg_file_write(text, text, boolean) TO skillkeep_app", "adminpack"),
        (
            "CREATE EXTENSION citext; CREATE TABLE copies AS SELECT * FROM skills; ALTER EXTENSION citext ADD TABLE copies;
             GRANT SELECT ON copies TO skillkeep_app",
            "copies is a member of the extension citext",
        ),
        (
            "CREATE EXTENSION citext; CREATE VIEW shown AS SELECT * FROM skills; ALTER EXTENSION citext ADD VIEW shown;
             GRANT SELECT ON shown TO PUBLIC",
            "shown is a member of the extension citext",
        ),
        (
            "CREATE EXTENSION citext; CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER
             AS 'SELECT count(*) FROM public.skills'; ALTER EXTENSION citext ADD FUNCTION peek()",
            "citext is an extension",
        ),
        ("GRANT EXECUTE ON FUNCTION lo_import(text) TO skillkeep_app", "lo_import(text) is a PostgreSQL object reserved for superusers"),
        ("GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC", "pg_read_file(text) is a PostgreSQL object reserved for superusers"),
        ("GRANT SELECT ON pg_statistic TO skillkeep_admin", "pg_statistic is a PostgreSQL object reserved for superusers"),
        ("GRANT SELECT (stavalues1) ON pg_statistic TO skillkeep_app", "pg_statistic.stavalues1 is a PostgreSQL object reserved for superusers"),
        (
            "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER away FOREIGN DATA WRAPPER nothing;
             CREATE USER MAPPING FOR skillkeep_app SERVER away",
            "away for skillkeep_app is a user mapping",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER away FOREIGN DATA WRAPPER nothing;
             GRANT USAGE ON FOREIGN SERVER away TO PUBLIC",
            "away is a foreign server",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn harmless_objects_are_allowed() {
    let db = TestDb::new().await;
    db.superuser()
        .await
        .batch_execute(
            "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_trgm; CREATE EXTENSION citext; CREATE EXTENSION pgcrypto;
             CREATE SCHEMA hidden; CREATE TABLE hidden.t AS SELECT * FROM skills;
             CREATE FUNCTION hidden.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
             REVOKE EXECUTE ON FUNCTION pg_sleep(double precision) FROM PUBLIC;
             GRANT EXECUTE ON FUNCTION pg_sleep(double precision) TO skillkeep_app, skillkeep_admin",
        )
        .await
        .unwrap();
    assert_eq!(
        findings(&isolation_checks::check_server(&db.server).await.unwrap()),
        Vec::<String>::new()
    );
}

/// The server may log in as another member of skillkeep_app.
#[tokio::test(flavor = "multi_thread")]
async fn custom_server_role_is_checked_like_skillkeep_app() {
    let db = TestDb::new().await;
    let superuser = db.superuser().await;
    let role = format!("skillkeep_web_{}", std::process::id());
    Cluster::get().admit(&role).await;
    let group = format!("skillkeep_group_{}", std::process::id());
    for (rights, then, wanted) in [
        ("", "", ""),
        ("", "ALTER ROLE ROLE SET statement_timeout = '1min'", ""),
        ("", "ALTER ROLE ROLE SET role = skillkeep_app", ""),
        ("CREATEROLE", "", "may create roles"),
        ("CREATEDB", "", "may create databases"),
        ("REPLICATION", "", "may replicate"),
        (
            "IN ROLE pg_execute_server_program",
            "",
            "may act as pg_execute_server_program",
        ),
        (
            "IN ROLE pg_read_server_files",
            "",
            "may act as pg_read_server_files",
        ),
        (
            "IN ROLE pg_write_server_files",
            "",
            "may act as pg_write_server_files",
        ),
        (
            "",
            "GRANT EXECUTE ON FUNCTION erase_tenant(uuid) TO ROLE",
            "erase_tenant(uuid)",
        ),
        ("", "GRANT DELETE ON skills TO ROLE", "DELETE on skills"),
        (
            "",
            "GRANT UPDATE (created_by) ON skills TO ROLE",
            "UPDATE on skills(created_by)",
        ),
        (
            "",
            "GRANT DELETE ON skills TO GROUP; GRANT GROUP TO ROLE",
            "DELETE on skills",
        ),
        (
            "",
            "ALTER ROLE GROUP CREATEROLE; GRANT GROUP TO ROLE",
            "may create roles",
        ),
        (
            "",
            "GRANT EXECUTE ON FUNCTION lo_export(oid, text) TO ROLE",
            "lo_export",
        ),
        (
            "",
            "GRANT CREATE ON SCHEMA public TO ROLE",
            "may create objects in the schema public",
        ),
        (
            "",
            "GRANT SET ON PARAMETER session_replication_role TO ROLE",
            "session_replication_role",
        ),
        (
            "",
            "ALTER ROLE ROLE SET \"App.Current_Tenant_Id\" = '01900000-0000-7000-8000-000000000001'",
            "begins with a tenant",
        ),
        (
            "",
            "ALTER ROLE ROLE IN DATABASE DATABASE SET search_path = evil, public",
            "search_path",
        ),
        (
            "",
            "ALTER ROLE ROLE SET row_security = off",
            "begins with row_security off",
        ),
    ] {
        let name = |text: &str| {
            text.replace("ALTER ROLE ROLE", &format!("ALTER ROLE {role}"))
                .replace("ALTER ROLE GROUP", &format!("ALTER ROLE {group}"))
                .replace("IN DATABASE DATABASE", &format!("IN DATABASE {}", db.name))
                .replace("TO ROLE", &format!("TO {role}"))
                .replace("TO GROUP", &format!("TO {group}"))
                .replace("GRANT GROUP", &format!("GRANT {group}"))
        };
        superuser
            .batch_execute(&format!(
                "CREATE ROLE {group}; CREATE ROLE {role} LOGIN {rights}; GRANT skillkeep_app TO {role}; {}",
                name(then)
            ))
            .await
            .unwrap();
        let url = DatabaseUrl::from_config(Cluster::get().config(&role, &db.name));
        let server = ServerDb::new(&url, 1).unwrap();
        let found = isolation_checks::check_server(&server).await;
        server.close();
        superuser
            .batch_execute(&format!(
                "DROP OWNED BY {role}, {group}; DROP ROLE {role}; DROP ROLE {group}"
            ))
            .await
            .unwrap();
        let found = findings(&found.unwrap());
        if wanted.is_empty() {
            assert_eq!(found, Vec::<String>::new(), "{then}");
        } else {
            assert!(
                found.iter().any(|finding| finding.contains(wanted)),
                "{rights} {then}: {found:#?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_with_tenant_or_without_policies_is_found() {
    let db = TestDb::new().await;
    for (options, wanted) in [
        (
            "-c app.current_tenant_id=01900000-0000-7000-8000-000000000001",
            "begins with a tenant",
        ),
        ("-c row_security=off", "begins with row_security off"),
    ] {
        let mut config = Cluster::get().config("skillkeep_app", &db.name);
        config.options(options);
        let server = ServerDb::new(&DatabaseUrl::from_config(config), 1).unwrap();
        let found = findings(&isolation_checks::check_server(&server).await.unwrap());
        server.close();
        assert!(
            found.iter().any(|finding| finding.contains(wanted)),
            "{options}: {found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_refuses_to_start_with_a_finding() {
    for (change, named) in [
        (
            "CREATE SCHEMA reporting; CREATE VIEW reporting.s AS SELECT * FROM skills; GRANT SELECT ON reporting.s TO skillkeep_app",
            "reporting.s is outside the schema public",
        ),
        (
            "ALTER TABLE skill_files DISABLE TRIGGER ALL; ALTER TABLE skill_files ENABLE ALWAYS TRIGGER forbid_file_update",
            "trigger on skill_files of the constraint",
        ),
        (
            "ALTER FUNCTION erase_tenant(uuid) OWNER TO CURRENT_USER",
            "ALTER FUNCTION erase_tenant(uuid) OWNER TO skillkeep_owner",
        ),
        ("CREATE EXTENSION dblink", "dblink is an extension"),
    ] {
        let db = TestDb::new().await;
        db.superuser().await.batch_execute(change).await.unwrap();
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        let ran = CommandOutput::of(&mut program_as("skillkeep_app", &db, &serve));
        assert_eq!(ran.code, 4, "{change}: {ran:?}");
        assert!(ran.err.contains(named), "{change}: {}", ran.err);
    }
}
