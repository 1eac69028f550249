//! `skillkeep add`, `list`, `update`, `verify`, `sync` and their neighbours, as a person runs them.

mod edited;
mod keyring;
mod progress;
mod skills_lock;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;
use tempfile::TempDir;

use crate::command::{CommandOutput, admin, program};
use crate::harness::{Client, TestDb};
use crate::http_server::serve;
use crate::methods::store;

fn skill_md(name: &str, version: &str) -> Vec<u8> {
    format!("---\nname: {name}\ndescription: Does {name}.\nmetadata:\n  version: \"{version}\"\n---\n\nVersion {version}.\n").into_bytes()
}

/// A registry over HTTP, and a user with a home folder and a project.
struct Desk {
    db: TestDb,
    acme: TenantId,
    key: ApiKey,
    url: String,
    _root: TempDir,
    home: PathBuf,
    project: PathBuf,
}

impl Desk {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let acme = db.tenant("acme").await;
        let key = db.full_key(acme).await;
        let url = format!("http://{}", serve(&db.service()).await);
        let root = tempfile::tempdir().unwrap();
        let (home, project) = (root.path().join("home"), root.path().join("shop"));
        fs::create_dir(&home).unwrap();
        fs::create_dir(&project).unwrap();
        let desk = Self {
            db,
            acme,
            key,
            url,
            _root: root,
            home,
            project,
        };
        desk.publish("tides", "1.0").await;
        desk
    }

    async fn publish(&self, name: &str, version: &str) {
        let files: [(&str, &[u8]); 2] = [
            ("SKILL.md", &skill_md(name, version)),
            ("scripts/run.sh", b"#!/bin/sh\n"),
        ];
        store(&self.db, self.acme, name, &files).await;
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command
            .current_dir(&self.project)
            .env("HOME", &self.home)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("CLAUDE_CONFIG_DIR")
            .env("SKILLKEEP_API_KEY", self.key.reveal());
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(&mut self.command(arguments))
    }

    /// Runs a command against the registry, and asserts its exit code.
    fn with_code(&self, code: i32, arguments: &[&str]) -> CommandOutput {
        let with_url = [arguments, &["--url", &self.url]].concat();
        let output = self.run(&with_url);
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        output
    }

    fn ok(&self, arguments: &[&str]) -> String {
        self.with_code(0, arguments).out
    }

    /// A command without a registry.
    fn offline(&self, code: i32, arguments: &[&str]) -> CommandOutput {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        output
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.project.join(path)).unwrap()
    }

    async fn yank(&self, version: &str) {
        let admin = Client::connect(&self.db.service(), &self.key).await;
        let yank = json!({"skill": "tides", "version": version, "reason": "wrong harbour"});
        admin.ok("yank_skill", yank).await;
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn skill_is_added_updated_pinned_rolled_back_and_removed() {
    let desk = Desk::new().await;
    let out = desk.ok(&["add", "tides", "--for", "claude-code", "--for", "codex"]);
    assert!(
        out.contains("installed tides 1.0 in .agents/skills/tides"),
        "{out}"
    );
    assert!(out.contains("linked tides 1.0 in .claude/skills/tides"), "{out}");
    let copy = desk.project.join(".agents/skills/tides");
    assert_eq!(fs::read(copy.join("SKILL.md")).unwrap(), skill_md("tides", "1.0"));
    let link = fs::read_link(desk.project.join(".claude/skills/tides")).unwrap();
    assert_eq!(link, Path::new("../../.agents/skills/tides"));
    let manifest = desk.read("skillkeep.toml");
    assert!(manifest.contains("tides = \"^1.0\""), "{manifest}");
    assert!(manifest.contains("\"claude-code\""), "{manifest}");
    assert!(desk.read("skillkeep.lock").contains("version = \"1.0\""));

    assert!(
        desk.offline(0, &["verify"])
            .out
            .contains("1 of 1 skills are as installed")
    );
    let listed = desk.offline(0, &["list", "--json"]).json();
    assert_eq!(listed[0]["state"], "ok", "{listed}");
    assert!(desk.ok(&["outdated"]).contains("up to date"));

    desk.publish("tides", "1.1").await;
    let outdated = desk.with_code(1, &["outdated", "--json"]).json();
    assert_eq!(outdated[0]["update_to"], "1.1", "{outdated}");
    fs::write(copy.join("scripts/run.sh"), b"mine").unwrap();
    let verified = desk.offline(1, &["verify"]);
    assert!(verified.out.contains("edited scripts/run.sh"), "{verified:?}");

    let dry = desk.ok(&["update", "--dry-run"]);
    assert!(
        dry.contains("-Version 1.0.") && dry.contains("+Version 1.1."),
        "{dry}"
    );
    assert_eq!(fs::read(copy.join("SKILL.md")).unwrap(), skill_md("tides", "1.0"));
    let out = desk.ok(&["update"]);
    assert!(out.contains("updated tides 1.1"), "{out}");
    assert!(out.contains("kept scripts/run.sh"), "{out}");
    assert_eq!(fs::read(copy.join("SKILL.md")).unwrap(), skill_md("tides", "1.1"));
    assert_eq!(fs::read(copy.join("scripts/run.sh")).unwrap(), b"mine");
    assert!(desk.read("skillkeep.lock").contains("version = \"1.1\""));

    let why = desk.offline(0, &["why", "tides"]).out;
    for part in [
        "wanted: ^1.0",
        "locked: 1.1",
        "installed: 1.1 in .agents/skills/tides",
        "before it: 1.0",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    desk.ok(&["rollback", "tides"]);
    assert_eq!(fs::read(copy.join("SKILL.md")).unwrap(), skill_md("tides", "1.0"));
    assert!(desk.read("skillkeep.toml").contains("pinned = true"));
    desk.ok(&["update"]);
    assert_eq!(fs::read(copy.join("SKILL.md")).unwrap(), skill_md("tides", "1.0"));
    desk.offline(0, &["pin", "--undo", "tides"]);
    desk.ok(&["update"]);
    assert_eq!(fs::read(copy.join("SKILL.md")).unwrap(), skill_md("tides", "1.1"));

    desk.yank("1.1").await;
    let outdated = desk.with_code(1, &["outdated"]).out;
    assert!(outdated.contains("yanked: wrong harbour"), "{outdated}");
    let synced = desk.with_code(1, &["sync"]);
    assert!(synced.err.contains("wrong harbour"), "{synced:?}");

    let removed = desk.offline(0, &["remove", "tides"]).out;
    assert!(removed.contains("kept scripts/run.sh"), "{removed}");
    assert!(!exists(&desk.project.join(".claude/skills/tides")));
    assert!(!copy.join("SKILL.md").exists());
    assert_eq!(fs::read(copy.join("scripts/run.sh")).unwrap(), b"mine");
    assert!(!desk.read("skillkeep.toml").contains("tides ="));
    desk.offline(3, &["remove", "tides"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_makes_a_second_machine_equal_and_frozen_detects_differences() {
    let desk = Desk::new().await;
    desk.publish("moons", "2.0").await;
    desk.ok(&["add", "tides", "moons@^2"]);
    desk.publish("tides", "1.5").await;
    desk.publish("moons", "2.1").await;
    // A colleague clones the repository, without the skills.
    fs::remove_dir_all(desk.project.join(".agents")).unwrap();
    desk.ok(&["sync", "--frozen"]);
    let installed = |name: &str| fs::read(desk.project.join(format!(".agents/skills/{name}/SKILL.md")));
    assert_eq!(installed("tides").unwrap(), skill_md("tides", "1.0"));
    assert_eq!(installed("moons").unwrap(), skill_md("moons", "2.0"));
    let calls = desk.db.events(desk.acme).await.len();
    let again = desk.ok(&["sync", "--frozen"]);
    assert!(again.contains("2 skills are as skillkeep.lock says"), "{again}");
    // One call asks for withdrawn versions of all skills.
    assert_eq!(desk.db.events(desk.acme).await.len() - calls, 1);

    let manifest = desk.read("skillkeep.toml").replace("\"^1.0\"", "\"^1.5\"");
    fs::write(desk.project.join("skillkeep.toml"), manifest).unwrap();
    let frozen = desk.with_code(1, &["sync", "--frozen"]);
    assert!(
        frozen.err.contains("tides is locked at 1.0, but ^1.5 is wanted"),
        "{frozen:?}"
    );
    desk.ok(&["sync"]);
    assert_eq!(installed("tides").unwrap(), skill_md("tides", "1.5"));
    let without = desk
        .read("skillkeep.toml")
        .lines()
        .filter(|line| !line.starts_with("moons"))
        .collect::<Vec<_>>()
        .join("\n");
    fs::write(desk.project.join("skillkeep.toml"), without).unwrap();
    desk.with_code(1, &["sync", "--frozen"]);
    desk.ok(&["sync"]);
    assert!(installed("moons").is_err());
    assert!(!desk.read("skillkeep.lock").contains("moons"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_refused_with_a_way_out() {
    let desk = Desk::new().await;
    let own = desk.project.join(".agents/skills/tides");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("SKILL.md"), b"my own skill").unwrap();
    let refused = desk.with_code(4, &["add", "tides"]);
    assert!(refused.err.contains("tides"), "{refused:?}");
    assert_eq!(fs::read(own.join("SKILL.md")).unwrap(), b"my own skill");
    desk.ok(&["add", "tides", "--folder", "harbour-tides"]);
    assert!(
        desk.project
            .join(".agents/skills/harbour-tides/SKILL.md")
            .exists()
    );
    desk.ok(&["add", "tides", "--force"]);
    assert_eq!(fs::read(own.join("SKILL.md")).unwrap(), skill_md("tides", "1.0"));
    let backups = walkdir::WalkDir::new(desk.project.join(".agents/skills/.skillkeep-backup"));
    let kept = backups
        .into_iter()
        .filter_map(Result::ok)
        .any(|entry| entry.file_type().is_file() && fs::read(entry.path()).unwrap() == b"my own skill");
    assert!(kept);

    for (code, arguments) in [
        (3, ["add", "no-such-skill"].as_slice()),
        (3, &["add", "tides@^9"]),
        (2, &["add", "Not A Name"]),
        (2, &["add", "tides", "--for", "emacs"]),
        (2, &["add", "tides", "--for", "claude-desktop"]),
        (3, &["update", "moons"]),
    ] {
        let refused = desk.with_code(code, arguments);
        assert!(!refused.err.is_empty(), "{arguments:?}");
    }
    desk.offline(3, &["verify", "moons"]);
    desk.offline(3, &["why", "moons"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_keeps_the_key_for_later_commands() {
    let desk = Desk::new().await;
    let mut command = program(&["login", &desk.url, "--no-keyring"]);
    command
        .env("HOME", &desk.home)
        .env_remove("XDG_CONFIG_HOME")
        .env("SKILLKEEP_API_KEY", desk.key.reveal());
    let output = CommandOutput::of(&mut command);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.out.contains("of acme"), "{output:?}");
    let file = desk.home.join(".config/skillkeep/logins.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let without_key = |arguments: &[&str]| {
        let mut command = program(arguments);
        command
            .current_dir(&desk.project)
            .env("HOME", &desk.home)
            .env_remove("XDG_CONFIG_HOME");
        CommandOutput::of(&mut command)
    };
    let added = without_key(&["add", "tides", "--user", "--for", "goose"]);
    assert_eq!(added.code, 0, "{added:?}");
    assert!(desk.home.join(".agents/skills/tides/SKILL.md").exists());
    assert!(desk.home.join(".config/skillkeep/skillkeep.lock").exists());
    let listed: Value = without_key(&["list", "--user", "--json"]).json();
    assert_eq!(listed[0]["registry"], desk.url, "{listed}");
    assert_eq!(without_key(&["logout", &desk.url]).code, 0);
    assert!(!fs::read_to_string(&file).unwrap().contains("skeep_"));
    assert_ne!(without_key(&["outdated", "--user"]).code, 0);

    let mut wrong = program(&["login", &desk.url, "--no-keyring"]);
    let forged = format!("{}x", &desk.key.reveal()[..desk.key.reveal().len() - 1]);
    wrong.env("HOME", &desk.home).env("SKILLKEEP_API_KEY", forged);
    assert_ne!(CommandOutput::of(&mut wrong).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn distributed_skill_arrives_and_administrators_see_its_state() {
    let desk = Desk::new().await;
    admin(&desk.db, &["distribute", "tides", "--tenant", "acme"]);
    let synced = desk.ok(&["sync", "--user"]);
    assert!(
        synced.contains("installed tides 1.0 in ~/.agents/skills/tides"),
        "{synced}"
    );
    let skill = desk.home.join(".agents/skills/tides");
    assert_eq!(
        fs::read(skill.join("SKILL.md")).unwrap(),
        skill_md("tides", "1.0")
    );
    let copies = || admin(&desk.db, &["installs", "list", "--tenant", "acme", "--json"]).json();
    let copies_now = copies();
    assert_eq!(copies_now.as_array().map(Vec::len), Some(1), "{copies_now:?}");
    assert_eq!(copies_now[0]["state"], "live", "{copies_now:?}");
    assert!(
        copies_now[0]["machine"].as_str().unwrap().starts_with('#'),
        "{copies_now:?}"
    );
    assert!(desk.ok(&["sync", "--user"]).contains("skills are as"));

    // The latest version is distributed, so a sync brings a newer one.
    desk.publish("tides", "1.1").await;
    desk.ok(&["sync", "--user"]);
    assert_eq!(
        fs::read(skill.join("SKILL.md")).unwrap(),
        skill_md("tides", "1.1")
    );

    fs::write(skill.join("scripts/run.sh"), b"mine").unwrap();
    desk.ok(&["outdated", "--user"]);
    assert_eq!(copies()[0]["state"], "drifted", "{:?}", copies());

    let marker: Value = serde_json::from_slice(&fs::read(skill.join(".skillkeep.json")).unwrap()).unwrap();
    let digest = marker["digest"].as_str().unwrap();
    admin(
        &desk.db,
        &[
            "deny",
            "add",
            digest,
            "--reason",
            "steals tides",
            "--tenant",
            "acme",
        ],
    );
    let outdated = desk.with_code(1, &["outdated", "--user"]);
    assert!(outdated.out.contains("steals tides"), "{outdated:?}");
}
