//! Whole sessions: search, install, check, edit, update, withdraw, check again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use tempfile::TempDir;

use super::assistant::Assistant;
use crate::command::{program, program_as};
use crate::harness::{Client, TestDb};
use crate::http_server::serve;
use crate::methods::store;

const SCRIPT: &[u8] = b"#!/bin/sh\necho tide\n";

fn skill_md(version: &str) -> Vec<u8> {
    format!("---\nname: tides\ndescription: Reads tide tables of harbours.\nmetadata:\n  version: \"{version}\"\n---\n\nVersion {version}.\n")
        .into_bytes()
}

async fn publish(db: &TestDb, tenant: TenantId, version: &str) {
    let files: [(&str, &[u8]); 3] = [
        ("SKILL.md", &skill_md(version)),
        ("scripts/tide.sh", SCRIPT),
        ("table.bin", &[0, 159, 146, 150]),
    ];
    store(db, tenant, "tides", &files).await;
}

/// Events by name, without those of the search and the yank.
async fn events(db: &TestDb, tenant: TenantId) -> Vec<String> {
    let events = db.events(tenant).await.into_iter();
    events
        .map(|(name, outcome)| {
            assert_eq!(outcome, "ok", "{name}");
            name
        })
        .collect()
}

struct Folders {
    _root: TempDir,
    home: std::path::PathBuf,
    project: std::path::PathBuf,
}

fn folders() -> Folders {
    let root = tempfile::tempdir().unwrap();
    let (home, project) = (root.path().join("home"), root.path().join("shop"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&project).unwrap();
    Folders {
        home,
        project,
        _root: root,
    }
}

fn assert_installed(folder: &Path, version: &str) {
    assert_eq!(fs::read(folder.join("SKILL.md")).unwrap(), skill_md(version));
    assert_eq!(fs::read(folder.join("scripts/tide.sh")).unwrap(), SCRIPT);
    assert_eq!(fs::read(folder.join("table.bin")).unwrap(), [0, 159, 146, 150]);
    let mode = fs::metadata(folder.join("SKILL.md"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o022, 0, "{mode:o}");
}

/// The session of an assistant with a writing process.
async fn session(db: &TestDb, acme: TenantId, admin: &Client, command: Command, folders: &Folders) {
    let mut assistant = Assistant::start(command, &folders.home, &[]);
    let found = assistant.ok("search_skills", json!({"query": "tide tables"}));
    assert_eq!(found["hits"][0]["skill"], "tides");
    let installed = assistant.ok(
        "install_skill",
        json!({"skill": "tides", "assistant": "claude-code", "version": "^1.0"}),
    );
    assert_eq!(installed["version"], "1.0", "{installed}");
    assert_eq!(installed["written"][0]["change"], "new", "{installed}");
    assert!(installed.to_string().len() < 2_000, "{installed}");
    let folder = folders
        .project
        .join(installed["written"][0]["folder"].as_str().unwrap());
    assert_installed(&folder, "1.0");
    let own = folders.project.join(".claude/skills/tides");
    assert_installed(&own, "1.0");

    let checked = assistant.ok("check_installed", json!({}));
    assert_eq!(checked["skills"][0]["state"], "current", "{checked}");

    publish(db, acme, "1.1").await;
    let checked = assistant.ok("check_installed", json!({}));
    assert_eq!(checked["skills"][0]["state"], "outdated", "{checked}");
    assert_eq!(checked["skills"][0]["update_to"], "1.1");

    fs::write(folder.join("table.bin"), b"mine").unwrap();
    fs::write(folder.join("notes.md"), b"my notes").unwrap();
    let checked = assistant.ok("check_installed", json!({}));
    assert_eq!(checked["skills"][0]["state"], "drifted", "{checked}");
    assert_eq!(checked["skills"][0]["changed"], json!(["table.bin"]));
    assert_eq!(checked["skills"][0]["unexpected"], json!(["notes.md"]));

    let updated = assistant.ok(
        "install_skill",
        json!({"skill": "tides", "assistant": "claude-code"}),
    );
    assert_eq!(updated["version"], "1.1");
    assert_eq!(updated["written"][0]["change"], "update", "{updated}");
    assert!(
        updated["next_step"].as_str().unwrap().contains("kept"),
        "{updated}"
    );
    assert_eq!(fs::read(folder.join("SKILL.md")).unwrap(), skill_md("1.1"));
    assert_eq!(fs::read(folder.join("table.bin")).unwrap(), b"mine");
    assert_eq!(fs::read(folder.join("notes.md")).unwrap(), b"my notes");

    admin
        .ok(
            "yank_skill",
            json!({"skill": "tides", "version": "1.1", "reason": "wrong harbour"}),
        )
        .await;
    let checked = assistant.ok("check_installed", json!({}));
    assert_eq!(checked["skills"][0]["state"], "yanked", "{checked}");
    assert_eq!(checked["skills"][0]["reason"], "wrong harbour");
    assert_eq!(checked["skills"][0]["update_to"], "1.0");
    let refused = assistant.error(
        "install_skill",
        json!({"skill": "tides", "assistant": "claude-code", "version": "1.1"}),
    );
    assert!(refused.contains("wrong harbour"), "{refused}");
    drop(assistant);

    let outcomes = db.events(acme).await;
    let of = |tool: &str| {
        outcomes
            .iter()
            .filter(|(name, outcome)| name == tool && outcome == "ok")
            .count()
    };
    assert_eq!(of("search_skills"), 1, "{outcomes:?}");
    assert_eq!(of("install_skill"), 2, "{outcomes:?}");
    // The files were in the answers.
    assert_eq!(of("skills/download"), 0, "{outcomes:?}");
    assert_eq!(of("confirm_install"), 2, "{outcomes:?}");
    assert_eq!(of("yank_skill"), 1, "{outcomes:?}");
    // Four of the assistant's, and the first check for withdrawn versions found nothing installed.
    assert_eq!(of("check_installed"), 4, "{outcomes:?}");
    let states: Vec<String> = db
        .superuser()
        .await
        .query(
            "SELECT state FROM installs WHERE tenant_id = $1 ORDER BY id",
            &[acme.as_uuid()],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(states, ["confirmed", "mismatched"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn assistant_installs_checks_and_updates_over_stdio() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    publish(&db, acme, "1.0").await;
    let (admin, key) = (
        Client::connect(&db.service(), &db.full_key(acme).await).await,
        db.full_key(acme).await,
    );
    let folders = folders();
    let project = folders.project.to_str().unwrap();
    let mut command = program_as("skillkeep_app", &db, &["stdio", "--allow-project", project]);
    command.env("SKILLKEEP_API_KEY", key.reveal());
    session(&db, acme, &admin, command, &folders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn assistant_installs_checks_and_updates_over_the_bridge() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    publish(&db, acme, "1.0").await;
    let (admin, key) = (
        Client::connect(&db.service(), &db.full_key(acme).await).await,
        db.full_key(acme).await,
    );
    let url = format!("http://{}", serve(&db.service()).await);
    let folders = folders();
    let project = folders.project.to_str().unwrap();
    let mut command = program(&["bridge", &url, "--allow-project", project]);
    command.env("SKILLKEEP_API_KEY", key.reveal());
    session(&db, acme, &admin, command, &folders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_outside_of_allowed_folders() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    publish(&db, acme, "1.0").await;
    let key = db.full_key(acme).await;
    let folders = folders();
    let stdio = || {
        let mut command = program_as("skillkeep_app", &db, &["stdio"]);
        command
            .env("SKILLKEEP_API_KEY", key.reveal())
            .current_dir(&folders.project);
        command
    };
    let install = |location: &str| json!({"skill": "tides", "assistant": "codex", "location": location});

    // Without an allowed project the answer holds the files.
    let mut assistant = Assistant::start(stdio(), &folders.home, &[]);
    let answer = assistant.ok("install_skill", install("project"));
    assert_eq!(answer["files"].as_array().unwrap().len(), 3);
    assert_eq!(answer.get("written"), None);
    assert_eq!(fs::read_dir(&folders.project).unwrap().count(), 0);
    let answer = assistant.ok("install_skill", install("user"));
    assert_eq!(answer["written"][0]["folder"], "~/.agents/skills/tides");
    assert_installed(&folders.home.join(".agents/skills/tides"), "1.0");
    drop(assistant);

    // A client that names its project folders allows these.
    let mut assistant = Assistant::start(stdio(), &folders.home, &[&folders.project]);
    let answer = assistant.ok("install_skill", install("project"));
    assert_eq!(answer["written"][0]["folder"], ".agents/skills/tides");
    assert_installed(&folders.project.join(".agents/skills/tides"), "1.0");
    drop(assistant);

    // A link in the place of the skills folder leads nowhere.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::remove_dir_all(folders.home.join(".agents")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folders.home.join(".agents")).unwrap();
    let mut assistant = Assistant::start(stdio(), &folders.home, &[]);
    let refused = assistant.error("install_skill", install("user"));
    assert!(refused.contains(".agents"), "{refused}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_version_is_named_with_the_next_answer() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    publish(&db, acme, "1.0").await;
    let key = db.full_key(acme).await;
    let folders = folders();
    let start = || {
        let mut command = program_as("skillkeep_app", &db, &["stdio"]);
        command.env("SKILLKEEP_API_KEY", key.reveal());
        Assistant::start(command, &folders.home, &[])
    };
    let install = json!({"skill": "tides", "assistant": "goose", "location": "user"});
    start().ok("install_skill", install);
    let admin = Client::connect(&db.service(), &key).await;
    admin
        .ok(
            "yank_skill",
            json!({"skill": "tides", "version": "1.0", "reason": "wrong harbour"}),
        )
        .await;
    let mut assistant = start();
    let result = assistant.call("whoami", json!({}));
    let notice = result["content"][1]["text"].as_str().unwrap();
    assert!(
        notice.contains("tides 1.0 in ~/.agents/skills/tides (yanked: wrong harbour)"),
        "{notice}"
    );
    let result = assistant.call("whoami", json!({}));
    assert_eq!(result["content"].as_array().map(Vec::len), Some(1), "{result}");
    let names = events(&db, acme).await;
    assert_eq!(
        names.iter().filter(|name| *name == "check_installed").count(),
        2,
        "{names:?}"
    );
    assert_eq!(Value::Null, result["content"][1]);
}
