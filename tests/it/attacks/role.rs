//! What an attacker could do who runs SQL in the server's role with their own tenant set: SQL that tries to evade the policies.

mod keys;
mod plans;
mod session;

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use skillkeep::ids::TenantId;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::harness::{Cluster, TestDb};
use crate::helpers::table_checksums;

struct SqlAttacker {
    client: Client,
    /// The notices of the current transaction.
    notices: Arc<Mutex<String>>,
}

impl SqlAttacker {
    async fn connect(db: &TestDb) -> Self {
        let config = Cluster::get().config("skillkeep_app", &db.name);
        let (client, mut connection) = config.connect(NoTls).await.unwrap();
        let notices: Arc<Mutex<String>> = Arc::default();
        let received = Arc::clone(&notices);
        tokio::spawn(async move {
            let messages = futures::stream::poll_fn(move |cx| connection.poll_message(cx));
            messages
                .for_each(|message| {
                    if let Ok(AsyncMessage::Notice(notice)) = message {
                        received.lock().unwrap().push_str(notice.message());
                    }
                    futures::future::ready(())
                })
                .await;
        });
        Self { client, notices }
    }

    /// Returns everything that the statements reveal: rows, notices, errors. Runs them in a transaction of this tenant, which is
    /// rolled back.
    async fn execute(&self, tenant: TenantId, sql: &str) -> String {
        self.notices.lock().unwrap().clear();
        let begin = format!("BEGIN; SET LOCAL app.current_tenant_id = '{tenant}'");
        self.client.batch_execute(&begin).await.unwrap();
        let mut output = match self.client.simple_query(sql).await {
            Ok(messages) => messages
                .iter()
                .filter_map(|message| {
                    let tokio_postgres::SimpleQueryMessage::Row(row) = message else {
                        return None;
                    };
                    let columns = (0..row.len()).map(|column| row.get(column).unwrap_or("NULL"));
                    Some(columns.collect::<Vec<_>>().join("|"))
                })
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => {
                let error = error.as_db_error().unwrap();
                format!(
                    "{}: {} {:?}",
                    error.code().code(),
                    error.message(),
                    error.detail()
                )
            }
        };
        self.client.batch_execute("ROLLBACK").await.unwrap();
        output.push_str(&self.notices.lock().unwrap());
        output
    }
}

async fn two_tenants(db: &TestDb) -> (TenantId, TenantId) {
    let (mine, other_tenant) = (db.tenant("mine").await, db.tenant("victim").await);
    db.skill(mine, "shared", "Of mine.", &[]).await;
    db.skill(other_tenant, "shared", "Of xylophones.", &[]).await;
    db.skill(
        other_tenant,
        "only-victim",
        "Of xylophones.",
        &[("secret.txt", b"xylophone")],
    )
    .await;
    db.full_key(other_tenant).await;
    db.superuser().await.batch_execute("ANALYZE").await.unwrap();
    (mine, other_tenant)
}

#[tokio::test(flavor = "multi_thread")]
async fn leaky_functions_operators_and_errors_reveal_no_foreign_row() {
    let db = TestDb::new().await;
    let (mine, other_tenant) = two_tenants(&db).await;
    let attacker = SqlAttacker::connect(&db).await;
    let before = table_checksums(&db, other_tenant).await;
    let leak = "CREATE FUNCTION pg_temp.leak(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
                $$ BEGIN RAISE NOTICE 'saw %', t; RETURN true; END $$;";
    let operator = "CREATE FUNCTION pg_temp.same(a text, b text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
                    $$ BEGIN RAISE NOTICE 'saw %', a; RETURN a = b; END $$;
                    CREATE OPERATOR pg_temp.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.same, RESTRICT = eqsel);";
    for statement in [
        format!("{leak} SELECT count(*) FROM skills WHERE pg_temp.leak(slug || description)"),
        format!("{leak} SELECT count(*) FROM skills s JOIN skill_versions v ON pg_temp.leak(s.slug) AND v.skill_id = s.id"),
        format!("{leak} SELECT count(*) FROM blobs WHERE pg_temp.leak(convert_from(bytes, 'UTF8'))"),
        format!("{leak} SELECT count(*) FROM tenants WHERE pg_temp.leak(slug)"),
        format!("{leak} SELECT slug FROM skills ORDER BY pg_temp.leak(slug)"),
        format!("{leak} UPDATE skills SET status = status WHERE pg_temp.leak(slug) RETURNING slug"),
        format!("{operator} SELECT count(*) FROM skills WHERE slug OPERATOR(pg_temp.===) 'only-victim'"),
        "SELECT 1 / (CASE WHEN slug = 'only-victim' THEN 0 ELSE 1 END) FROM skills".to_owned(),
        "SELECT slug::integer FROM skills WHERE slug <> 'shared'".to_owned(),
        "SELECT description::uuid FROM skills WHERE description <> 'Of mine.'".to_owned(),
        "SELECT * FROM skills WHERE ctid = ANY (ARRAY['(0,1)','(0,2)','(0,3)','(0,4)']::tid[]) AND description <> 'Of mine.'".to_owned(),
        "SELECT slug FROM skills TABLESAMPLE SYSTEM (100) WHERE description <> 'Of mine.'".to_owned(),
        "SELECT slug FROM ONLY skills WHERE description <> 'Of mine.' FOR UPDATE".to_owned(),
        "WITH RECURSIVE all_of AS (SELECT slug FROM skills UNION SELECT s.slug FROM skills s, all_of) SELECT * FROM all_of WHERE slug <> 'shared'".to_owned(),
        "SELECT string_agg(email, ',') FROM users".to_owned(),
        "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE schemaname = 'public'".to_owned(),
        "SELECT query_to_xml('SELECT slug, description FROM skills WHERE slug <> ''shared''', true, true, '')".to_owned(),
        "SELECT database_to_xml(true, true, '')".to_owned(),
        "PREPARE p AS SELECT slug FROM skills WHERE description <> 'Of mine.'; EXECUTE p".to_owned(),
        "DECLARE c CURSOR WITH HOLD FOR SELECT slug FROM skills WHERE description <> 'Of mine.'; FETCH ALL FROM c".to_owned(),
        "DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM skills LOOP RAISE NOTICE '%', r; END LOOP; END $$".to_owned(),
        "MERGE INTO skills s USING (SELECT 'only-victim' AS slug) x ON s.slug = x.slug WHEN MATCHED THEN UPDATE SET status = 'archived'".to_owned(),
        "CREATE TEMP VIEW v AS SELECT * FROM skills; SELECT slug FROM v WHERE description <> 'Of mine.'".to_owned(),
        "SET LOCAL search_path = pg_temp, public; CREATE FUNCTION pg_temp.current_tenant_id() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'; SELECT slug FROM skills WHERE description <> 'Of mine.'".to_owned(),
    ] {
        let output = attacker.execute(mine, &statement).await;
        for secret in ["xylophone", "only-victim|", "saw only-victim", "22012", "ada@example.com"] {
            assert!(!output.contains(secret), "{statement}\n{output}");
        }
        assert!(!output.lines().any(|line| line == "only-victim"), "{statement}\n{output}");
    }
    assert_eq!(table_checksums(&db, other_tenant).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_role_cannot_escalate_or_disable_protections() {
    let db = TestDb::new().await;
    let (mine, other_tenant) = two_tenants(&db).await;
    let attacker = SqlAttacker::connect(&db).await;
    let before = table_checksums(&db, other_tenant).await;
    for statement in [
        "SET LOCAL row_security = off; SELECT slug FROM skills",
        "SET ROLE skillkeep_admin",
        "SET ROLE skillkeep_owner",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION skillkeep_owner",
        "SET session_replication_role = replica",
        "ALTER TABLE skills DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE skills NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE skills OWNER TO skillkeep_app",
        "ALTER POLICY tenant_access ON skills USING (true)",
        "CREATE POLICY all_of_it ON skills USING (true)",
        "DROP POLICY tenant_isolation ON skills",
        "CREATE RULE peek AS ON SELECT TO skills DO INSTEAD SELECT 1",
        "CREATE TRIGGER peek AFTER INSERT ON skills FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE audit_logs DISABLE TRIGGER ALL",
        "CREATE OR REPLACE FUNCTION public.current_tenant_id() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'",
        "CREATE FUNCTION public.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "CREATE TABLE public.copies AS SELECT * FROM skills",
        "CREATE TABLE public.child () INHERITS (audit_logs)",
        "ALTER TABLE usage_events DETACH PARTITION usage_events_2000_01",
        "TRUNCATE skills",
        "TRUNCATE audit_logs",
        "LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE",
        "COPY skills TO PROGRAM 'cat'",
        "COPY skills FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT * FROM pg_authid",
        "SELECT detach_usage_month('2020-01-01')",
        "SELECT prune_detached_month('2020-01-01', 'eve', 10)",
        "SELECT erase_tenant(current_tenant_id())",
        "SELECT chain_audit_entry()",
        "DELETE FROM usage_events",
        "DELETE FROM skills",
        "UPDATE tenants SET status = 'active'",
        "UPDATE tenants SET calls_per_minute = NULL",
        "INSERT INTO tenants (id, slug, name) VALUES (current_tenant_id(), 'x', 'x')",
        "UPDATE api_keys SET revoked_at = NULL",
        "INSERT INTO api_keys (tenant_id, id, user_id, name, key_hash, scopes) SELECT tenant_id, id, id, 'x', sha256('x'), '{admin}' FROM users",
        "UPDATE tenant_settings SET value = '1'",
        "UPDATE tenants SET catalog_revision = 9223372036854775807",
        "UPDATE tenants SET catalog_revision = catalog_revision - 1",
        "UPDATE skills SET source_name = 'other'",
        "INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject)
         VALUES (current_tenant_id(), gen_random_uuid(), 'admin', 'root', 'skill.publish', 'shared')",
        "INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject)
         VALUES (current_tenant_id(), gen_random_uuid(), 'system', 'root', 'tenant.erase', 'mine')",
        "INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject)
         VALUES (current_tenant_id(), gen_random_uuid(), 'key', 'root', 'skill.purge', 'shared')",
        "INSERT INTO audit_logs (tenant_id, id, seq, actor_kind, actor, action, subject)
         VALUES (current_tenant_id(), gen_random_uuid(), 9, 'key', 'eve', 'skill.publish', 'shared')",
        "INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject, created_at)
         VALUES (current_tenant_id(), gen_random_uuid(), 'key', 'eve', 'skill.publish', 'shared', now())",
        "SELECT check_audit_actor()",
        "SELECT lo_from_bytea(0, 'kept for another tenant')",
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_get(1)",
        "SELECT lo_put(1, 0, 'x')",
        "SELECT lo_unlink(1)",
        "SELECT loread(lo_open(1, 262144), 10)",
        "CREATE EXTENSION dblink",
        "CREATE EVENT TRIGGER peek ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "REASSIGN OWNED BY skillkeep_owner TO skillkeep_app",
        "ALTER ROLE skillkeep_app BYPASSRLS",
        "SET LOCAL log_statement = 'all'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'skillkeep_owner' AND pid IS NULL; SELECT pg_reload_conf()",
    ] {
        let output = attacker.execute(mine, statement).await;
        let code = output.get(..6).unwrap_or_default();
        assert!(
            ["42501:", "42809:", "0A000:", "42704:", "22023:", "42P17:"].contains(&code),
            "{statement} was not rejected: {output}"
        );
    }
    // PostgreSQL does not reject this one: it grants nothing and sends a warning.
    let output = attacker.execute(mine, "GRANT ALL ON skills TO PUBLIC").await;
    assert!(output.contains("no privileges were granted"), "{output}");
    assert_eq!(table_checksums(&db, other_tenant).await, before);
}
