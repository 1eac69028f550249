//! The tenant condition of each query with row level security down: run by one whom no policy binds, each of `sql/queries` as it
//! stands shows and touches what it does to the server's role, and not a row more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::queries::{Theirs, Values, attempt, role_of};
use super::two;
use crate::harness::{Client, Cluster};

/// Queries that have no tenant condition, and why.
const WITHOUT: [(&str, &str); 21] = [
    ("audit/insert", "writes a row of the tenant that it is given"),
    (
        "audit/insert_denial",
        "writes a row of the tenant that it is given",
    ),
    ("installs/insert", "writes a row of the tenant that it is given"),
    ("api_keys/insert", "writes a row of the tenant that it is given"),
    ("skills/insert", "writes a row of the tenant that it is given"),
    (
        "tenants/erase",
        "a function that takes the tenant and compares it with the setting",
    ),
    ("tenants/find", "the operator's directory of tenants"),
    ("tenants/lock_key_share", "the tenant's own row, by its id"),
    ("tenants/insert", "the operator's directory of tenants"),
    ("tenants/list", "the operator's directory of tenants"),
    ("tenants/lock", "the tenant's own row, by its id"),
    ("tenants/next_revision", "the tenant's own row, by its id"),
    ("tenants/set_status", "the tenant's own row, by its id"),
    ("tenants/update", "the tenant's own row, by its id"),
    ("usage/ensure_partitions", "touches no row"),
    (
        "usage/insert_event",
        "writes a row of the tenant that it is given",
    ),
    (
        "usage/insert_feedback",
        "writes a row of the tenant that it is given",
    ),
    ("usage/prune", "whole months of every tenant, by the operator"),
    ("users/upsert", "writes a row of the tenant that it is given"),
    ("versions/insert", "writes a row of the tenant that it is given"),
    (
        "versions/insert_blobs",
        "writes rows of the tenant that it is given",
    ),
];
/// One more of them, whose text has a condition in a subquery.
const ALSO_WITHOUT: &str = "versions/insert_files";

/// The rows of every tenant are in these.
const TABLES: [&str; 14] = [
    "users",
    "api_keys",
    "skills",
    "skill_versions",
    "blobs",
    "skill_files",
    "skill_embeddings",
    "skill_reviews",
    "ratings",
    "installs",
    "tenant_settings",
    "usage_events",
    "skill_feedback",
    "audit_logs",
];

/// Every query but those of the catalog, which holds no tenant's rows.
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

/// The statement without comments, on one line, its words parted by single blanks.
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

/// Each use of a tenant's table with the name that it has there.
fn uses(plain: &str) -> Vec<(String, String)> {
    const ENDS: [&str; 14] = [
        "WHERE", "SET", "ON", "JOIN", "LEFT", "GROUP", "ORDER", "LIMIT", "UNION", "FOR", "CROSS", "AS",
        "VALUES", "USING",
    ];
    let words: Vec<&str> = plain.split(' ').collect();
    let mut uses = Vec::new();
    for (at, pair) in words.windows(2).enumerate() {
        if ["FROM", "JOIN", "UPDATE"].contains(&pair[0]) && TABLES.contains(&pair[1]) {
            let next = words.get(at + 2).copied().unwrap_or("WHERE");
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

/// The columns that equal the tenant, by themselves or through others.
fn anchored<'a>(words: &[&'a str]) -> BTreeSet<&'a str> {
    let is_tenant = |word: &str| word == "$1" || word.ends_with("tenant_id");
    let equal: Vec<(&str, &str)> = words
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
fn a_table_that_is_bound_to_an_unbound_one_is_not_bound() {
    let words = |sql| -> Vec<&'static str> { str::split(sql, ' ').collect() };
    let bound = words("s.tenant_id = $1 AND f.tenant_id = s.tenant_id AND b.tenant_id = f.tenant_id");
    assert_eq!(
        anchored(&bound),
        BTreeSet::from(["$1", "b.tenant_id", "f.tenant_id", "s.tenant_id"])
    );
    let loose = words("s.tenant_id = $1 AND true AND b.tenant_id = f.tenant_id");
    assert_eq!(anchored(&loose), BTreeSet::from(["$1", "s.tenant_id"]));
}

#[test]
fn every_use_of_a_tenants_table_in_a_query_is_bound_to_the_tenant() {
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
        // Each use has a condition of its own: subqueries may call their tables by the same name.
        let mut unbound: BTreeMap<String, usize> = BTreeMap::new();
        for (_, name) in uses(&plain) {
            *unbound.entry(name).or_default() += 1;
        }
        let words: Vec<&str> = plain.split(' ').collect();
        let anchored = anchored(&words);
        for (name, uses) in unbound {
            let column = format!("{name}tenant_id");
            // To be bound to another table that is bound to nothing is not enough.
            assert!(
                anchored.contains(column.as_str()),
                "{query} does not lead \"{name}\" to the tenant"
            );
            let bound = words
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
async fn each_query_alone_keeps_tenants_apart_where_no_policy_does() {
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
    let other_tenant = Theirs::of(&two).await;
    let superuser = Cluster::get().superuser(&two.db.name);
    let superuser = superuser.user().unwrap().to_owned();
    let mut tried = 0;
    for (name, sql) in all() {
        if is_without(&name) {
            continue;
        }
        let values = other_tenant.values(&name);
        let bound = attempt(&two, role_of(&name), Some(two.mine), &sql, &values).await;
        let unbound = attempt(&two, &superuser, Some(two.mine), &sql, &values).await;
        assert_eq!(
            unbound, bound,
            "{name} sees or touches more than its tenant's rows"
        );
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

/// The operator's changes of the list of tenants, which have no tenant's rows but the one's that they are given.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_tenant_touches_the_one_that_it_is_given() {
    let two = two().await;
    let superuser = Cluster::get().superuser(&two.db.name);
    let superuser = superuser.user().unwrap().to_owned();
    for (name, values) in [
        ("tenants/next_revision", Values::new()),
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
    // Who works on one tenant holds up nobody who works on another.
    for name in ["tenants/lock_key_share", "tenants/lock"] {
        let held = attempt(&two, &superuser, Some(two.mine), &all()[name], &Values::new()).await;
        assert_eq!(held.len(), 1, "{name}: {held:?}");
    }
    let find = &all()["tenants/find"];
    for (slug, found) in [("mine", 1), ("theirs", 1), ("nobodys", 0)] {
        let statement = find.replace("$1", &format!("'{slug}'"));
        let rows = two.db.superuser().await.query(&statement, &[]).await.unwrap();
        assert_eq!(rows.len(), found, "{slug}");
    }
}
