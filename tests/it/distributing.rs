//! Which skills users should have: distributions to all users and to groups.

use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::{TenantId, UserId};
use skillkeep::registry::distributions::{self, Requirement};
use skillkeep::tenancy::Scope;

use crate::command::{admin, ended};
use crate::harness::TestDb;

struct Distributing {
    db: TestDb,
    tenant: TenantId,
    ada: UserId,
    bob: UserId,
}

impl Distributing {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        for name in ["sort-tides", "sort-ships"] {
            for text in ["One.", "Two."] {
                db.skill(tenant, name, "Sorts.", &[("notes.txt", text.as_bytes())])
                    .await;
            }
        }
        let (ada, _) = db.key(tenant, "ada@example.com", &[Scope::SkillsRead]).await;
        let (bob, _) = db.key(tenant, "bob@example.com", &[Scope::SkillsRead]).await;
        Self { db, tenant, ada, bob }
    }

    fn run(&self, arguments: &[&str]) -> Value {
        admin(&self.db, &[arguments, &["--tenant", "acme", "--json"]].concat()).json()
    }

    fn code(&self, arguments: &[&str]) -> i32 {
        ended(&self.db, &[arguments, &["--tenant", "acme"]].concat()).code
    }

    /// As the server reads it.
    async fn wanted(&self, user: UserId) -> Vec<(String, Option<String>)> {
        let tx = TenantTx::begin_after_call(&self.db.server, self.tenant)
            .await
            .unwrap();
        let found = distributions::for_user(&tx, user).await.unwrap();
        tx.rollback().await.unwrap();
        found
            .into_iter()
            .map(|(slug, requirement)| match requirement {
                Requirement::Latest => (slug.to_string(), None),
                Requirement::Exactly(label) => (slug.to_string(), Some(label)),
            })
            .collect()
    }
}

fn latest(slug: &str) -> (String, Option<String>) {
    (slug.to_owned(), None)
}

fn exactly(slug: &str, version: &str) -> (String, Option<String>) {
    (slug.to_owned(), Some(version.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn group_distribution_counts_before_that_to_all_users() {
    let it = Distributing::new().await;
    assert_eq!(it.wanted(it.ada).await, []);
    it.run(&["distribute", "sort-tides"]);
    assert_eq!(it.wanted(it.ada).await, [latest("sort-tides")]);
    it.run(&["group", "create", "sales"]);
    it.run(&["group", "add", "sales", "ada@example.com"]);
    it.run(&["distribute", "sort-tides", "--version", "1", "--group", "sales"]);
    it.run(&["distribute", "sort-ships", "--group", "sales"]);
    assert_eq!(
        it.wanted(it.ada).await,
        [latest("sort-ships"), exactly("sort-tides", "1")]
    );
    assert_eq!(it.wanted(it.bob).await, [latest("sort-tides")]);
    // The same audience again replaces the version.
    it.run(&["distribute", "sort-tides", "--group", "sales"]);
    assert_eq!(
        it.wanted(it.ada).await,
        [latest("sort-ships"), latest("sort-tides")]
    );
    assert_eq!(it.run(&["distribute", "list"]).as_array().unwrap().len(), 3);
    it.run(&["group", "remove", "sales", "ada@example.com"]);
    assert_eq!(it.wanted(it.ada).await, [latest("sort-tides")]);
    it.run(&["distribute", "remove", "sort-tides"]);
    assert_eq!(it.wanted(it.ada).await, []);
    let groups = it.run(&["group", "list"]);
    assert_eq!(
        (&groups[0]["name"], &groups[0]["members"]),
        (&json!("sales"), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_versions_and_suspended_users_get_nothing() {
    let it = Distributing::new().await;
    it.run(&["distribute", "sort-tides", "--version", "1"]);
    it.run(&["distribute", "sort-ships"]);
    it.run(&["recall", "sort-tides", "1", "--reason", "broken"]);
    assert_eq!(it.wanted(it.ada).await, [latest("sort-ships")]);
    it.run(&["skill", "archive", "sort-ships"]);
    assert_eq!(it.wanted(it.ada).await, []);
    it.run(&["skill", "restore", "sort-ships"]);
    it.run(&["user", "suspend", "ada@example.com"]);
    assert_eq!(it.wanted(it.ada).await, []);
    assert_eq!(it.wanted(it.bob).await, [latest("sort-ships")]);
    // A purge ends the distribution.
    it.run(&[
        "skill",
        "purge",
        "sort-ships",
        "--reason",
        "test",
        "--confirm",
        "sort-ships",
    ]);
    assert_eq!(it.wanted(it.bob).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_are_refused_and_changes_are_logged_without_addresses() {
    let it = Distributing::new().await;
    it.run(&["group", "create", "sales"]);
    for (arguments, code) in [
        (&["group", "create", "sales"][..], 4),
        (&["group", "create", "No Name"], 2),
        (&["group", "add", "nobody", "ada@example.com"], 3),
        (&["group", "add", "sales", "carol@example.com"], 3),
        (&["distribute", "sort-clams"], 3),
        (&["distribute", "sort-tides", "--version", "9"], 3),
        (&["distribute", "sort-tides", "--group", "nobody"], 3),
        (&["distribute", "remove", "sort-tides"], 3),
        (&["distribute"], 2),
    ] {
        assert_eq!(it.code(arguments), code, "{arguments:?}");
    }
    it.run(&["group", "add", "sales", "ada@example.com"]);
    assert_eq!(
        it.run(&["group", "add", "sales", "ada@example.com"])["changed"],
        false
    );
    it.run(&["distribute", "sort-tides", "--group", "sales"]);
    it.run(&["distribute", "remove", "sort-tides", "--group", "sales"]);
    it.run(&["group", "remove", "sales", "ada@example.com"]);
    let log = admin(&it.db, &["audit", "tail", "--tenant", "acme", "--json"]).json_lines();
    let actions: Vec<&str> = log.iter().filter_map(|entry| entry["action"].as_str()).collect();
    let expected = [
        "group.create",
        "group.add",
        "distribution.set",
        "distribution.remove",
        "group.remove",
    ];
    assert_eq!(actions[actions.len() - 5..], expected);
    assert!(
        log.iter().all(|entry| !entry.to_string().contains('@')),
        "{log:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn server_role_changes_neither_groups_nor_distributions() {
    let it = Distributing::new().await;
    it.run(&["group", "create", "sales"]);
    it.run(&["distribute", "sort-tides"]);
    let server = skillkeep::db::connect_owner(&it.db.ways.server).await.unwrap();
    let set = format!("SET app.current_tenant_id = '{}'", it.tenant);
    server.batch_execute(&set).await.unwrap();
    let member = format!(
        "INSERT INTO user_group_members (tenant_id, group_id, user_id) SELECT tenant_id, id, '{}' FROM user_groups",
        it.ada
    );
    for statement in [
        member.as_str(),
        "DELETE FROM user_groups",
        "DELETE FROM distributions",
        "UPDATE distributions SET version_id = NULL",
    ] {
        let error = server.batch_execute(statement).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{statement}");
    }
}
