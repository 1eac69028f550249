//! Who has which version, for administrators: copies, affected users, recalls, and the privacy of machines.

use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::{InstallId, TenantId, UserId};
use skillkeep::registry::installs::{self, DeviceState, Machine};
use skillkeep::registry::settings;
use skillkeep::tenancy::{CursorSecret, Scope};

use crate::command::{admin, ended};
use crate::harness::{Client, TestDb};

struct Installs {
    db: TestDb,
    tenant: TenantId,
}

impl Installs {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        for text in ["One.", "Two."] {
            db.skill(
                tenant,
                "sort-tides",
                "Sorts tide tables.",
                &[("notes.txt", text.as_bytes())],
            )
            .await;
        }
        Self { db, tenant }
    }

    async fn user(&self, email: &str) -> (UserId, Client) {
        let (user, key) = self
            .db
            .key(self.tenant, email, &[Scope::SkillsRead, Scope::SkillsInstall])
            .await;
        (user, Client::connect(&self.db.service(), &key).await)
    }

    /// Reports what a machine has, in the server's role.
    async fn seen(&self, user: UserId, install: &Value, machine: &str, state: DeviceState) -> bool {
        let tx = TenantTx::begin_after_call(&self.db.server, self.tenant)
            .await
            .unwrap();
        let settings = settings::load(&tx).await.unwrap();
        let machine = Machine::new(machine, &settings, &CursorSecret::from_bytes(&[1; 32])).unwrap();
        let id = InstallId::from_uuid(install["install_id"].as_str().unwrap().parse().unwrap());
        let found = installs::seen(&tx, id, user, Some(&machine), state)
            .await
            .unwrap();
        skillkeep::search::commit(tx).await.unwrap();
        found
    }

    fn list(&self, filter: &[&str]) -> Vec<Value> {
        let listed = admin(
            &self.db,
            &[&["installs", "list", "--tenant", "acme", "--json"], filter].concat(),
        );
        listed.json().as_array().unwrap().clone()
    }

    fn affected(&self, version: &str) -> Value {
        let arguments = [
            "installs",
            "affected",
            "sort-tides",
            version,
            "--tenant",
            "acme",
            "--json",
        ];
        admin(&self.db, &arguments).json()
    }
}

fn install(version: &str, assistant: &str) -> Value {
    json!({"skill": "sort-tides", "version": version, "assistant": assistant})
}

fn confirmation(installed: &Value) -> Value {
    let files = installed["files"].as_array().unwrap().iter();
    let files: Vec<Value> = files
        .map(|file| json!({"path": file["path"], "digest": file["digest"]}))
        .collect();
    json!({"install_id": installed["install_id"], "files": files})
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_install_in_each_place_counts() {
    let it = Installs::new().await;
    let (ada, ada_client) = it.user("ada@example.com").await;
    let (bob, bob_client) = it.user("bob@example.com").await;
    let old = ada_client.ok("install_skill", install("1", "codex")).await;
    assert_eq!(it.list(&[])[0]["state"], "offered");
    assert!(it.seen(ada, &old, "laptop", DeviceState::Live).await);
    let elsewhere = ada_client.ok("install_skill", install("1", "cursor")).await;
    it.seen(ada, &elsewhere, "laptop", DeviceState::Drifted).await;
    let of_bob = bob_client.ok("install_skill", install("1", "codex")).await;
    it.seen(bob, &of_bob, "server", DeviceState::Live).await;
    let affected = it.affected("1");
    assert_eq!(
        affected["total"],
        json!({"users": 2, "machines": 2, "copies": 3, "live": 2, "offered": 0})
    );
    assert_eq!(affected["assistants"][0]["assistant"], "codex");
    assert_eq!(affected["assistants"][0]["copies"], 2);
    // Ada's laptop updates in one place, and Bob removes his copy.
    let new = ada_client.ok("install_skill", install("2", "codex")).await;
    it.seen(ada, &new, "laptop", DeviceState::Live).await;
    it.seen(bob, &of_bob, "server", DeviceState::Removed).await;
    assert_eq!(
        it.affected("1")["total"],
        json!({"users": 1, "machines": 1, "copies": 1, "live": 0, "offered": 0})
    );
    assert_eq!(it.affected("2")["total"]["live"], 1);
    assert_eq!(it.list(&["--user", "ada@example.com"]).len(), 2);
    assert_eq!(it.list(&["--version", "2"])[0]["user"], "ada@example.com");
    assert_eq!(it.list(&["--skill", "sort-ships"]), Vec::<Value>::new());
    let table = admin(&it.db, &["installs", "list", "--tenant", "acme"]).out;
    assert!(table.contains("removed") && table.contains("drifted"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmation_sets_the_state_and_the_time() {
    let it = Installs::new().await;
    let (_, client) = it.user("ada@example.com").await;
    let installed = client.ok("install_skill", install("2", "codex")).await;
    client.ok("confirm_install", confirmation(&installed)).await;
    let copy = it.list(&[]).remove(0);
    assert_eq!((&copy["state"], &copy["machine"]), (&json!("live"), &Value::Null));
    assert!(copy["last_seen_at"].is_string());
    let mut changed = confirmation(&installed);
    changed["files"].as_array_mut().unwrap().pop();
    client.ok("confirm_install", changed).await;
    assert_eq!(it.list(&[])[0]["state"], "drifted");
}

#[tokio::test(flavor = "multi_thread")]
async fn recall_reaches_each_check_with_its_reason() {
    let it = Installs::new().await;
    let (_, client) = it.user("ada@example.com").await;
    let installed = client.ok("install_skill", install("2", "codex")).await;
    client.ok("confirm_install", confirmation(&installed)).await;
    let recall = [
        "recall",
        "sort-tides",
        "2",
        "--reason",
        "It deletes drafts.",
        "--tenant",
        "acme",
    ];
    let recalled = admin(&it.db, &[&recall[..], &["--json"]].concat()).json();
    assert_eq!(
        (&recalled["version"], &recalled["total"]["copies"]),
        (&json!("2"), &json!(1))
    );
    let checked = client.ok("confirm_install", confirmation(&installed)).await;
    let next_step = checked["next_step"].as_str().unwrap();
    assert_eq!(
        next_step,
        "This version was withdrawn (It deletes drafts.): install 1 instead."
    );
    let refused = client.error("install_skill", install("2", "codex")).await;
    assert!(refused.contains("It deletes drafts."), "{refused}");
    assert_eq!(it.list(&[])[0]["forbidden"], true);
    let again = ended(&it.db, &recall);
    assert_eq!(again.code, 4, "{again:?}");
    let empty = ["recall", "sort-tides", "1", "--reason", " ", "--tenant", "acme"];
    assert_eq!(ended(&it.db, &empty).code, 2);
    let log = admin(&it.db, &["audit", "tail", "--tenant", "acme", "--json"]).json_lines();
    let entry = log.last().unwrap();
    assert_eq!(
        (&entry["action"], &entry["details"]["after"]["affected"]["copies"]),
        (&json!("skill.recall"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_names_are_hashed_unless_the_tenant_keeps_them() {
    let it = Installs::new().await;
    let (ada, client) = it.user("ada@example.com").await;
    let installed = client.ok("install_skill", install("2", "codex")).await;
    it.seen(ada, &installed, "adas-laptop", DeviceState::Live).await;
    let rows =
        "SELECT count(*) FROM installs i WHERE i::text LIKE '%' || encode('adas-laptop', 'hex') || '%'";
    assert_eq!(it.db.value::<i64>(rows).await, 0);
    let shown = it.list(&[])[0]["machine"].as_str().unwrap().to_owned();
    assert!(shown.len() == 13 && shown.starts_with('#'), "{shown}");
    let set = |value: &str| {
        admin(
            &it.db,
            &[
                "settings",
                "set",
                "installs.machine_names",
                value,
                "--tenant",
                "acme",
            ],
        );
    };
    set("kept");
    it.seen(ada, &installed, "adas-laptop", DeviceState::Live).await;
    assert_eq!(it.list(&[])[0]["machine"], "adas-laptop");
    assert_eq!(it.db.value::<i64>(rows).await, 1);
    // The names go with the setting.
    set("hashed");
    assert_eq!(it.list(&[])[0]["machine"], Value::Null);
    assert_eq!(it.db.value::<i64>(rows).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn report_about_an_install_of_somebody_else_changes_nothing() {
    let it = Installs::new().await;
    let (ada, client) = it.user("ada@example.com").await;
    let (bob, _) = it.user("bob@example.com").await;
    let installed = client.ok("install_skill", install("2", "codex")).await;
    assert!(!it.seen(bob, &installed, "server", DeviceState::Removed).await);
    assert_eq!(it.list(&[])[0]["state"], "offered");
    assert!(it.seen(ada, &installed, "laptop", DeviceState::Stale).await);
    let globex = it.db.tenant("globex").await;
    let tx = TenantTx::begin_after_call(&it.db.server, globex).await.unwrap();
    let id = InstallId::from_uuid(installed["install_id"].as_str().unwrap().parse().unwrap());
    let found = installs::seen(&tx, id, ada, None, DeviceState::Removed)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert!(!found);
    assert_eq!(it.list(&[])[0]["state"], "stale");
}
