//! The tenant conditions alone: run by a role that no policy applies to, each query of `sql/queries` must reach the same rows as
//! with the server's role.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::queries::{attempt, role_of};
use super::two;
use super::values::{OtherTenantIds, Values};
use crate::harness::{Client, Cluster};

/// Queries without a tenant condition, with the reason.
const WITHOUT: [(&str, &str); 48] = [
    ("audit/insert", "inserts a row with the given tenant"),
    ("audit/insert_denial", "inserts a row with the given tenant"),
    ("installs/insert", "inserts a row with the given tenant"),
    ("api_keys/insert", "inserts a row with the given tenant"),
    ("secret_paths/insert", "inserts a row with the given tenant"),
    ("archives/insert", "inserts a row with the given tenant"),
    ("archives/insert_plugin", "inserts a row with the given tenant"),
    ("skills/insert", "inserts a row with the given tenant"),
    ("aliases/insert", "inserts a row with the given tenant"),
    ("ratings/upsert", "inserts a row with the given tenant"),
    ("reviews/insert", "inserts a row with the given tenant"),
    ("scans/insert_override", "inserts a row with the given tenant"),
    ("scans/upsert", "inserts a row with the given tenant"),
    ("denied/insert", "inserts a row with the given tenant"),
    ("distributions/insert", "inserts a row with the given tenant"),
    ("groups/add_member", "inserts a row with the given tenant"),
    ("groups/insert", "inserts a row with the given tenant"),
    ("embeddings/insert", "inserts rows with the given tenant"),
    ("embeddings/next_revision", "the tenant's own row, by its id"),
    ("search/insert_blocks", "inserts rows with the given tenant"),
    ("search/insert_segment", "inserts a row with the given tenant"),
    ("search/try_lock", "takes a lock and reads no row"),
    ("settings/set", "inserts a row with the given tenant"),
    ("signatures/insert", "inserts a row with the given tenant"),
    ("signing_keys/insert", "inserts a row with the given tenant"),
    (
        "skills/purge",
        "a function that compares the given tenant with the setting",
    ),
    (
        "usage/prune_tenant",
        "a function that compares the given tenant with the setting",
    ),
    (
        "tenants/erase",
        "a function that compares the given tenant with the setting",
    ),
    ("skills/import_lock", "takes a lock and reads no row"),
    ("skills/try_import_lock", "takes a lock and reads no row"),
    ("tenants/find", "the administrator's list of tenants"),
    ("tenants/lock_key_share", "the tenant's own row, by its id"),
    ("tenants/insert", "the administrator's list of tenants"),
    ("tenants/list", "the administrator's list of tenants"),
    ("tenants/lock", "the tenant's own row, by its id"),
    ("tenants/next_revision", "the tenant's own row, by its id"),
    ("tenants/set_status", "the tenant's own row, by its id"),
    ("tenants/update", "the tenant's own row, by its id"),
    ("usage/ensure_partitions", "changes no row"),
    ("usage/insert_day", "inserts a row with the given tenant"),
    ("usage/insert_event", "inserts a row with the given tenant"),
    ("usage/insert_feedback", "inserts a row with the given tenant"),
    ("usage/prune_batch", "months of all tenants, by the administrator"),
    (
        "usage/prune_detach",
        "months of all tenants, by the administrator",
    ),
    ("usage/try_lock_days", "takes a lock and reads no row"),
    ("users/upsert", "inserts a row with the given tenant"),
    ("versions/insert", "inserts a row with the given tenant"),
    ("versions/insert_blobs", "inserts rows with the given tenant"),
];
/// Another query without a tenant condition; the text of its subquery looks like one.
const ALSO_WITHOUT: &str = "versions/insert_files";

/// The tables with rows of tenants.
const TABLES: [&str; 29] = [
    "users",
    "api_keys",
    "skills",
    "skill_versions",
    "blobs",
    "skill_files",
    "skill_embeddings",
    "skill_reviews",
    "skill_aliases",
    "skill_scans",
    "scan_overrides",
    "search_segments",
    "search_blocks",
    "secret_paths",
    "archive_digests",
    "plugin_digests",
    "signing_keys",
    "version_signatures",
    "denied_digests",
    "distributions",
    "user_group_members",
    "user_groups",
    "ratings",
    "installs",
    "tenant_settings",
    "usage_events",
    "usage_days",
    "skill_feedback",
    "audit_logs",
];

/// Every query except those of `pg_catalog`, which has no rows of tenants.
fn all() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/queries");
    let files = walkdir::WalkDir::new(&folder).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let named = files.map(|entry| {
        let name = entry.path().strip_prefix(&folder).unwrap().with_extension("");
        (
            name.display().to_string(),
            std::fs::read_to_string(entry.path()).unwrap(),
        )
    });
    named
        .filter(|(name, _)| !name.starts_with("pg_catalog/"))
        .collect()
}

fn is_without(name: &str) -> bool {
    name == ALSO_WITHOUT || WITHOUT.iter().any(|(query, _)| *query == name)
}

/// The statement without comments, on one line, its tokens separated by single spaces.
fn plain(sql: &str) -> String {
    let code = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    let code: Vec<&str> = code.collect();
    code.join(" ")
        .replace(['(', ')', ','], " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Each use of a tenant table, with its alias.
fn uses(plain: &str) -> Vec<(String, String)> {
    const ENDS: [&str; 14] = [
        "WHERE", "SET", "ON", "JOIN", "LEFT", "GROUP", "ORDER", "LIMIT", "UNION", "FOR", "CROSS", "AS",
        "VALUES", "USING",
    ];
    let tokens: Vec<&str> = plain.split(' ').collect();
    let mut uses = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if ["FROM", "JOIN", "UPDATE"].contains(&pair[0]) && TABLES.contains(&pair[1]) {
            let next = tokens.get(at + 2).copied().unwrap_or("WHERE");
            let name = if ENDS.contains(&next) {
                String::new()
            } else {
                format!("{next}.")
            };
            uses.push((pair[1].to_owned(), name));
        }
    }
    uses
}

/// The columns that equal the tenant, directly or through other columns.
fn anchored<'a>(tokens: &[&'a str]) -> BTreeSet<&'a str> {
    let is_tenant = |token: &str| token == "$1" || token.ends_with("tenant_id");
    let equal: Vec<(&str, &str)> = tokens
        .windows(3)
        .filter(|three| three[1] == "=" && is_tenant(three[0]) && is_tenant(three[2]))
        .map(|three| (three[0], three[2]))
        .collect();
    let mut anchored = BTreeSet::from(["$1"]);
    loop {
        let known = anchored.len();
        for (one, other) in &equal {
            if anchored.contains(one) || anchored.contains(other) {
                anchored.extend([one, other]);
            }
        }
        if anchored.len() == known {
            return anchored;
        }
    }
}

#[test]
fn table_joined_to_an_unbound_table_is_unbound() {
    let tokens = |sql| -> Vec<&'static str> { str::split(sql, ' ').collect() };
    let bound = tokens("s.tenant_id = $1 AND f.tenant_id = s.tenant_id AND b.tenant_id = f.tenant_id");
    assert_eq!(
        anchored(&bound),
        BTreeSet::from(["$1", "b.tenant_id", "f.tenant_id", "s.tenant_id"])
    );
    let loose = tokens("s.tenant_id = $1 AND true AND b.tenant_id = f.tenant_id");
    assert_eq!(anchored(&loose), BTreeSet::from(["$1", "s.tenant_id"]));
}

#[test]
fn every_table_of_a_query_is_bound_to_the_tenant() {
    let all = all();
    assert!(all.len() > 45, "{}", all.len());
    for (query, _) in WITHOUT {
        assert!(all.contains_key(query), "{query} is gone; take it from the list");
    }
    for (query, sql) in &all {
        let plain = plain(sql);
        if is_without(query) {
            continue;
        }
        assert!(plain.contains("tenant_id = $1"), "{query} names no tenant");
        // Each use needs its own condition, because subqueries may reuse an alias.
        let mut unbound: BTreeMap<String, usize> = BTreeMap::new();
        for (_, name) in uses(&plain) {
            *unbound.entry(name).or_default() += 1;
        }
        let tokens: Vec<&str> = plain.split(' ').collect();
        let anchored = anchored(&tokens);
        for (name, uses) in unbound {
            let column = format!("{name}tenant_id");
            // A join to a table that is itself not bound is not enough.
            assert!(
                anchored.contains(column.as_str()),
                "{query} does not bind \"{name}\" to the tenant"
            );
            let bound = tokens
                .windows(3)
                .filter(|three| three[1] == "=" && (three[0] == column || three[2] == column));
            assert!(
                bound.count() >= uses,
                "{query} does not bind each \"{name}\" to the tenant"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_query_isolates_tenants_without_any_policy() {
    let two = two().await;
    two.db
        .key(
            two.other_tenant,
            "bob@example.com",
            &[skillkeep::tenancy::Scope::SkillsRead],
        )
        .await;
    let client = Client::connect(&two.db.service(), &two.their_key).await;
    client
        .ok("search_skills", serde_json::json!({"query": "unobtainium"}))
        .await;
    let other = OtherTenantIds::of(&two).await;
    let superuser = Cluster::get().superuser(&two.db.name);
    let superuser = superuser.user().unwrap().to_owned();
    let mut tried = 0;
    for (name, sql) in all() {
        if is_without(&name) {
            continue;
        }
        let values = other.values(&name);
        let bound = attempt(&two, role_of(&name), Some(two.mine), &sql, &values).await;
        let unbound = attempt(&two, &superuser, Some(two.mine), &sql, &values).await;
        assert_eq!(
            unbound, bound,
            "{name} reads or changes more than its tenant's rows"
        );
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

/// The administrator's statements on the table of tenants.
#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_update_touches_only_its_tenant() {
    let two = two().await;
    let superuser = Cluster::get().superuser(&two.db.name);
    let superuser = superuser.user().unwrap().to_owned();
    for (name, values) in [
        ("tenants/next_revision", Values::new()),
        ("embeddings/next_revision", Values::new()),
        ("tenants/set_status", vec![Box::new("suspended")]),
        (
            "tenants/update",
            vec![
                Box::new("new"),
                Box::new(1_i32),
                Box::new(1_i64),
                Box::new("hashed"),
            ],
        ),
    ] {
        let sql = &all()[name];
        let touched = attempt(&two, &superuser, Some(two.mine), sql, &values).await;
        assert_eq!(touched, ["1 rows touched"], "{name}");
    }
    // A lock on one tenant must not block work on another.
    for name in ["tenants/lock_key_share", "tenants/lock"] {
        let held = attempt(&two, &superuser, Some(two.mine), &all()[name], &Values::new()).await;
        assert_eq!(held.len(), 1, "{name}: {held:?}");
    }
    let find = &all()["tenants/find"];
    for (slug, found) in [("mine", 1), ("theirs", 1), ("missing", 0)] {
        let statement = find.replace("$1", &format!("'{slug}'"));
        let rows = two.db.superuser().await.query(&statement, &[]).await.unwrap();
        assert_eq!(rows.len(), found, "{slug}");
    }
}
