//! Row level security alone: each query of `sql/queries` without its own tenant condition.

use std::collections::BTreeMap;
use std::path::Path;

use skillkeep::ids::TenantId;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{TwoTenants, two};
use crate::harness::Cluster;

pub(super) type Values = Vec<Box<dyn ToSql + Sync>>;

/// The queries of `sql/queries` with a tenant condition, by name. Those of `tenants/` have none.
fn queries() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/queries");
    let mut found = BTreeMap::new();
    for area in std::fs::read_dir(&folder).unwrap() {
        for file in std::fs::read_dir(area.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path
                .strip_prefix(&folder)
                .unwrap()
                .with_extension("")
                .display()
                .to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains("tenant_id = $1") {
                found.insert(name, text);
            }
        }
    }
    assert!(found.len() > 25, "{found:?}");
    found
}

/// The query without its tenant condition. The parameter is kept, so that PostgreSQL can infer its type.
fn without_filter(sql: &str) -> String {
    let mut bare = sql.to_owned();
    for alias in ["", "a.", "e.", "f.", "i.", "k.", "r.", "s.", "u.", "v.", "w."] {
        for before in [" ", "("] {
            bare = bare.replace(
                &format!("{before}{alias}tenant_id = $1"),
                &format!("{before}$1::uuid IS NOT NULL"),
            );
        }
    }
    assert!(!bare.contains("tenant_id = $1"), "{bare}");
    bare
}

/// The ids of the other tenant, as an attacker would use them who knows all of them.
pub(super) struct OtherTenantIds {
    skill: Uuid,
    version: Uuid,
    user: Uuid,
    key: Uuid,
    key_hash: Vec<u8>,
    install: Uuid,
}

impl OtherTenantIds {
    pub(super) async fn of(two: &TwoTenants) -> Self {
        let row = two
            .db
            .superuser()
            .await
            .query_one(
                "SELECT s.id, s.latest_version_id, i.user_id, i.api_key_id, k.key_hash, i.id
                 FROM installs i
                 JOIN skills s ON s.id = i.skill_id JOIN api_keys k ON k.id = i.api_key_id
                 WHERE i.tenant_id = $1",
                &[two.other_tenant.as_uuid()],
            )
            .await
            .unwrap();
        Self {
            skill: row.get(0),
            version: row.get(1),
            user: row.get(2),
            key: row.get(3),
            key_hash: row.get(4),
            install: row.get(5),
        }
    }

    /// The parameters of a query after `$1`, the tenant. A new query needs a line here.
    pub(super) fn values(&self, query: &str) -> Values {
        let (from, until) = (Uuid::nil(), Uuid::max());
        match query {
            "audit/chain" => vec![Box::new(0_i64), Box::new(1_000_i64)],
            "audit/tail" | "usage/recent" => vec![Box::new(1_000_i64)],
            "installs/find" => vec![Box::new(self.install), Box::new(self.user)],
            "installs/set_state" => vec![
                Box::new(self.install),
                Box::new("confirmed"),
                Box::new(vec![0_u8; 32]),
            ],
            "keys/authenticate" | "keys/inspect" | "keys/refused" => vec![Box::new(self.key_hash.clone())],
            "keys/get" | "keys/revoke" => vec![Box::new(self.key)],
            "keys/set_limits" => vec![Box::new(self.key), Box::new(1_i32), Box::new(1_i64)],
            "usage/count_minute" => vec![Box::new(self.key), Box::new(from)],
            "usage/count_month" => vec![Box::new(self.key), Box::new(from), Box::new(from), Box::new(from)],
            "keys/replace" => vec![Box::new(self.key), Box::new(self.key), Box::new(0_f64)],
            "keys/list" | "users/list" => vec![],
            "skills/changed_slugs" => vec![Box::new(-1_i64), Box::new(1_000_i64)],
            "skills/page" => vec![
                Box::new(String::new()),
                Box::new(None::<Vec<String>>),
                Box::new(1_000_i64),
            ],
            "versions/manifests" => vec![Box::new(vec![self.version])],
            "skills/by_ids" => vec![Box::new(vec![self.skill])],
            "skills/changed_since" => vec![Box::new(-1_i64), Box::new(1_000_i64)],
            "skills/details" | "skills/find" | "skills/shelved" | "versions/files" => {
                vec![Box::new("only-theirs"), Box::new(None::<String>)]
            }
            "skills/for_publishing" => {
                vec![Box::new(vec!["only-theirs"]), Box::new("only-theirs")]
            }
            "skills/set_latest" => vec![
                Box::new(self.skill),
                Box::new(self.version),
                Box::new("stolen"),
                Box::new("stolen"),
                Box::new(None::<String>),
                Box::new(Vec::<String>::new()),
                Box::new(None::<String>),
                Box::new(None::<String>),
                Box::new(true),
                Box::new(serde_json::json!([])),
                Box::new(99_i64),
            ],
            "usage/by_skill" | "usage/by_user" | "usage/searches_without_result" => {
                vec![Box::new(from), Box::new(until), Box::new(1_000_i64)]
            }
            "usage/by_tool" | "usage/reported" | "usage/totals" => vec![Box::new(from), Box::new(until)],
            "usage/find_report" => vec![Box::new(self.user), Box::new("taken")],
            "users/set_status" => vec![Box::new("bob@example.com"), Box::new("suspended")],
            "users/upsert" => vec![
                Box::new(Uuid::now_v7()),
                Box::new("bob@example.com"),
                Box::new(""),
            ],
            "versions/contents" | "versions/manifest" => vec![Box::new(self.version)],
            "versions/file" => vec![
                Box::new("only-theirs"),
                Box::new(None::<String>),
                Box::new("SKILL.md"),
            ],
            "versions/labels" => vec![Box::new(self.skill), Box::new("1")],
            "versions/list" => vec![Box::new("only-theirs"), Box::new(100_i64)],
            other => panic!("add the parameters of {other} with values of the other tenant"),
        }
    }
}

/// Runs a statement for a tenant in a transaction that is rolled back. Returns its rows as text, or the number of changed rows.
pub(super) async fn attempt(
    two: &TwoTenants,
    role: &str,
    tenant: Option<TenantId>,
    sql: &str,
    values: &Values,
) -> Vec<String> {
    let url = skillkeep::db::DatabaseUrl::from_config(Cluster::get().config(role, &two.db.name));
    let client = skillkeep::db::connect_owner(&url).await.unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    if let Some(tenant) = tenant {
        let set = format!("SET LOCAL app.current_tenant_id = '{tenant}'");
        client.batch_execute(&set).await.unwrap();
    }
    // The server always passes the caller's own tenant; only the query is faulty.
    let mut all: Vec<&(dyn ToSql + Sync)> = vec![two.mine.as_uuid()];
    all.extend(values.iter().map(|value| &**value));
    if sql.lines().nth(1).unwrap().starts_with("UPDATE") {
        let touched = client.execute(sql, &all).await.unwrap();
        return vec![format!("{touched} rows touched")];
    }
    let wrapped = if sql.contains("INSERT") {
        sql.to_owned()
    } else {
        format!("SELECT to_jsonb(q)::text FROM ({sql}\n) q")
    };
    let rows = client.query(&wrapped, &all).await.unwrap();
    rows.iter()
        .map(|row| row.try_get::<_, String>(0).unwrap_or_else(|_| "a row".to_owned()))
        .collect()
}

pub(super) fn role_of(query: &str) -> &'static str {
    if query.starts_with("keys/") || query.starts_with("users/") {
        "skillkeep_admin"
    } else {
        "skillkeep_app"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_isolate_tenants_without_query_conditions() {
    let two = two().await;
    // The first tenant has only what both have, so every additional row belongs to the other tenant.
    two.db
        .key(
            two.other_tenant,
            "bob@example.com",
            &[skillkeep::tenancy::Scope::SkillsRead],
        )
        .await;
    let client = crate::harness::Client::connect(&two.db.service(), &two.their_key).await;
    client
        .ok("search_skills", serde_json::json!({"query": "unobtainium"}))
        .await;
    let other = OtherTenantIds::of(&two).await;
    let superuser = Cluster::get().superuser(&two.db.name);
    let superuser = superuser.user().unwrap().to_owned();
    for (name, sql) in queries() {
        let values = other.values(&name);
        let unfiltered = without_filter(&sql);
        let role = role_of(&name);
        let expected = attempt(&two, role, Some(two.mine), &sql, &values).await;
        // Without policies the query must reach rows of the other tenant, or the test would prove nothing.
        let without_policies = attempt(&two, &superuser, Some(two.mine), &unfiltered, &values).await;
        assert_ne!(
            without_policies, expected,
            "{name} reaches no row of the other tenant even without policies"
        );
        let with_policies = attempt(&two, role, Some(two.mine), &unfiltered, &values).await;
        if name == "users/upsert" {
            // It inserts a user of the first tenant. If it saw the other tenant's user, it would return that one as well.
            assert_eq!(with_policies.len(), 1, "{name}");
            continue;
        }
        assert_eq!(with_policies, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rows_are_visible_without_a_tenant() {
    let two = two().await;
    let other = OtherTenantIds::of(&two).await;
    for (name, sql) in queries() {
        if name == "users/upsert" {
            // An insert without a tenant is rejected.
            continue;
        }
        let values = other.values(&name);
        let unfiltered = without_filter(&sql);
        let nobody = attempt(&two, role_of(&name), Some(TenantId::new()), &sql, &values).await;
        let unset = attempt(&two, role_of(&name), None, &unfiltered, &values).await;
        assert_eq!(unset, nobody, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_role_sees_only_its_own_tenant() {
    let two = two().await;
    let list = "-- all tenants\nSELECT slug FROM tenants WHERE $1::uuid IS NOT NULL";
    let seen = attempt(&two, "skillkeep_app", Some(two.mine), list, &vec![]).await;
    assert_eq!(seen, [r#"{"slug": "mine"}"#]);
    assert_eq!(
        attempt(&two, "skillkeep_app", None, list, &vec![]).await,
        Vec::<String>::new()
    );
}
