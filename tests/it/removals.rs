//! A copy that is gone is known to the registry after the next contact, however it was removed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;
use tempfile::TempDir;

use crate::command::{CommandOutput, admin, program, program_as};
use crate::harness::{Client, TestDb};
use crate::http_server::serve;
use crate::local_install::assistant::Assistant;
use crate::methods::store;

struct Desk {
    db: TestDb,
    acme: TenantId,
    key: ApiKey,
    url: String,
    root: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let acme = db.tenant("acme").await;
        let key = db.full_key(acme).await;
        let url = format!("http://{}", serve(&db.service()).await);
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "shop"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let desk = Self {
            db,
            acme,
            key,
            url,
            root,
        };
        desk.publish("tides", "1.0").await;
        desk
    }

    async fn publish(&self, name: &str, version: &str) {
        let text = format!(
            "---\nname: {name}\ndescription: Reads tides.\nmetadata:\n  version: \"{version}\"\n---\n\n{version}\n"
        );
        store(&self.db, self.acme, name, &[("SKILL.md", text.as_bytes())]).await;
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    fn project(&self) -> PathBuf {
        self.root.path().join("shop")
    }

    fn run(&self, code: i32, arguments: &[&str]) -> CommandOutput {
        let mut command = program(arguments);
        command
            .current_dir(self.project())
            .env("HOME", self.home())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("CLAUDE_CONFIG_DIR")
            .env("SKILLKEEP_API_KEY", self.key.reveal());
        let output = CommandOutput::of(&mut command);
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        output
    }

    fn with_url(&self, code: i32, arguments: &[&str]) -> CommandOutput {
        self.run(code, &[arguments, &["--url", &self.url]].concat())
    }

    /// Skill, version and state of each copy, as an administrator sees them.
    fn states(&self) -> Vec<(String, String, String)> {
        let listed = admin(&self.db, &["installs", "list", "--tenant", "acme", "--json"]).json();
        let text = |copy: &Value, field: &str| copy[field].as_str().unwrap().to_owned();
        let copies = listed.as_array().unwrap().iter();
        let mut states: Vec<_> = copies
            .map(|copy| (text(copy, "skill"), text(copy, "version"), text(copy, "state")))
            .collect();
        states.sort();
        states
    }

    fn state(&self) -> String {
        let states = self.states();
        assert_eq!(states.len(), 1, "{states:?}");
        states[0].2.clone()
    }

    async fn checks(&self) -> usize {
        let events = self.db.events(self.acme).await;
        events
            .iter()
            .filter(|(tool, _)| tool == "check_installed")
            .count()
    }

    fn known(&self) -> Value {
        let path = self.home().join(".config/skillkeep/known-installs.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_skill_is_reported_with_the_next_check() {
    let desk = Desk::new().await;
    desk.with_url(0, &["add", "tides"]);
    assert_eq!(desk.state(), "live");
    desk.run(0, &["remove", "tides"]);
    // `remove` needs no registry.
    assert_eq!((desk.state().as_str(), desk.checks().await), ("live", 0));
    let outdated = desk.with_url(0, &["outdated"]);
    assert_eq!(
        (desk.state().as_str(), desk.checks().await),
        ("removed", 1),
        "{outdated:?}"
    );
    // Nothing is left to report, so there is no further call.
    desk.with_url(0, &["outdated"]);
    assert_eq!(desk.checks().await, 1);
    assert_eq!(desk.known(), json!([]));

    desk.with_url(0, &["add", "tides"]);
    assert_eq!(desk.state(), "live", "the newer install in the same place");
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_and_project_that_were_deleted_are_noticed_by_sync() {
    let desk = Desk::new().await;
    desk.publish("winds", "1.0").await;
    desk.with_url(0, &["add", "tides", "winds", "--no-save"]);
    let skills = desk.project().join(".agents/skills");
    fs::remove_dir_all(skills.join("tides")).unwrap();
    // The marker file makes it a copy of this program.
    fs::remove_file(skills.join("winds/.skillkeep.json")).unwrap();
    desk.with_url(0, &["sync"]);
    let state = |skill: &str, state: &str| (skill.to_owned(), "1.0".to_owned(), state.to_owned());
    assert_eq!(
        desk.states(),
        [state("tides", "removed"), state("winds", "removed")]
    );

    desk.with_url(0, &["add", "tides", "--no-save"]);
    assert_eq!(desk.states()[0], state("tides", "live"));
    fs::remove_dir_all(desk.project()).unwrap();
    fs::create_dir(desk.root.path().join("other")).unwrap();
    let mut command = program(&["outdated", "--url", &desk.url]);
    command
        .current_dir(desk.root.path().join("other"))
        .env("HOME", desk.home())
        .env("SKILLKEEP_API_KEY", desk.key.reveal());
    assert_eq!(CommandOutput::of(&mut command).code, 0);
    assert_eq!(desk.states()[0], state("tides", "removed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn updated_edited_and_unreadable_copies_are_not_reported_as_removed() {
    let desk = Desk::new().await;
    desk.with_url(0, &["add", "tides"]);
    desk.publish("tides", "1.1").await;
    desk.with_url(0, &["update"]);
    desk.with_url(0, &["outdated"]);
    assert_eq!(desk.state(), "live");
    assert_eq!(desk.known().as_array().unwrap().len(), 1);
    fs::write(desk.project().join(".agents/skills/tides/SKILL.md"), "mine").unwrap();
    desk.with_url(0, &["outdated"]);
    assert_eq!(desk.state(), "drifted");
    // A disk that is not connected now.
    let (away, back) = (desk.root.path().join("away"), desk.root.path().join("disk"));
    fs::create_dir(&back).unwrap();
    let project = back.join("shop");
    fs::rename(desk.project(), &project).unwrap();
    fs::create_dir(desk.project()).unwrap();
    let file = desk.home().join(".config/skillkeep/known-installs.json");
    let text = fs::read_to_string(&file).unwrap();
    let moved = text.replace(desk.project().to_str().unwrap(), project.to_str().unwrap());
    assert_ne!(moved, text);
    fs::write(&file, moved).unwrap();
    fs::rename(&back, &away).unwrap();
    desk.with_url(0, &["outdated"]);
    assert_eq!(desk.state(), "drifted");
}

/// A process that serves an assistant notices it with its first call, and tells nobody but the registry.
async fn noticed_by_assistant(desk: &Desk, start: impl Fn() -> Assistant) {
    let install = json!({"skill": "tides", "assistant": "goose", "location": "user"});
    start().ok("install_skill", install);
    assert_eq!(desk.state(), "live");
    fs::remove_dir_all(desk.home().join(".agents/skills/tides")).unwrap();
    let mut assistant = start();
    let result = assistant.call("whoami", json!({}));
    assert_eq!(result["content"].as_array().map(Vec::len), Some(1), "{result}");
    assert_eq!(desk.state(), "removed");

    // As `check_installed` does.
    let install = json!({"skill": "tides", "assistant": "goose", "location": "user"});
    assistant.ok("install_skill", install);
    assert_eq!(desk.state(), "live");
    fs::remove_dir_all(desk.home().join(".agents/skills/tides")).unwrap();
    let checked = assistant.ok("check_installed", json!({}));
    assert_eq!(checked["skills"], json!([]), "{checked}");
    assert_eq!(desk.state(), "removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_is_noticed_over_stdio() {
    let desk = Desk::new().await;
    let start = || {
        let mut command = program_as("skillkeep_app", &desk.db, &["stdio"]);
        command.env("SKILLKEEP_API_KEY", desk.key.reveal());
        Assistant::start(command, &desk.home(), &[])
    };
    noticed_by_assistant(&desk, start).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_is_noticed_over_the_bridge() {
    let desk = Desk::new().await;
    let start = || {
        let mut command = program(&["bridge", &desk.url]);
        command.env("SKILLKEEP_API_KEY", desk.key.reveal());
        Assistant::start(command, &desk.home(), &[])
    };
    noticed_by_assistant(&desk, start).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_skill_that_is_distributed_is_named_and_installed_again() {
    let desk = Desk::new().await;
    desk.with_url(0, &["add", "tides", "--user"]);
    admin(&desk.db, &["distribute", "tides", "--tenant", "acme"]);
    desk.run(0, &["remove", "tides", "--user"]);
    desk.with_url(0, &["sync", "--user"]);
    assert!(desk.home().join(".agents/skills/tides/SKILL.md").is_file());
    assert_eq!(desk.state(), "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn list_of_installs_that_cannot_be_used_fails_nothing() {
    let desk = Desk::new().await;
    let folder = desk.home().join(".config/skillkeep");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("known-installs.json");
    let target = desk.root.path().join("target");
    fs::write(&target, "[]").unwrap();
    for content in ["", "{}", "[{\"registry\": 1}]", "not json"] {
        fs::write(&file, content).unwrap();
        desk.with_url(0, &["add", "tides"]);
        desk.with_url(0, &["outdated"]);
        assert_eq!(desk.known().as_array().unwrap().len(), 1, "{content}");
    }
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&target, &file).unwrap();
    desk.with_url(0, &["add", "tides"]);
    assert_eq!(fs::read(&target).unwrap(), b"[]", "a link is not written through");
    assert!(Path::new(&file).symlink_metadata().unwrap().is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_of_another_users_installs_are_not_believed() {
    let desk = Desk::new().await;
    desk.with_url(0, &["add", "tides"]);
    let install_id = desk.known()[0]["install_id"].clone();
    let (_, other) = desk
        .db
        .key(desk.acme, "bob@example.com", &skillkeep::tenancy::Scope::ALL)
        .await;
    let other = Client::connect(&desk.db.service(), &other).await;
    let one = json!({"skill": "tides", "version": "1.0", "install_id": install_id, "found": "removed"});
    other
        .ok(
            "check_installed",
            json!({"installed": [one], "machine": "laptop"}),
        )
        .await;
    assert_eq!(desk.state(), "live");
}
