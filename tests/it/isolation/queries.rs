//! Row level security alone: each query of `sql/queries` without its own tenant condition.

use std::collections::BTreeMap;
use std::path::Path;

use skillkeep::ids::TenantId;
use tokio_postgres::types::ToSql;

use super::values::{OtherTenantIds, Values};
use super::{TwoTenants, two};
use crate::harness::Cluster;

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
    for alias in [
        "", "a.", "b.", "c.", "d.", "e.", "f.", "g.", "i.", "k.", "o.", "p.", "r.", "s.", "t.", "u.", "v.",
        "w.",
    ] {
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
    let statement = sql.lines().nth(1).unwrap();
    if statement.starts_with("UPDATE") || statement.starts_with("DELETE") {
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
    if [
        "api_keys/",
        "users/",
        "settings/",
        "secret_paths/revoke",
        "signing_keys/retire",
        "denied/delete",
        "distributions/delete",
        "groups/remove_member",
        "skills/set_source",
    ]
    .iter()
    .any(|area| query.starts_with(area))
    {
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
        assert_eq!(with_policies, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rows_are_visible_without_a_tenant() {
    let two = two().await;
    let other = OtherTenantIds::of(&two).await;
    for (name, sql) in queries() {
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
