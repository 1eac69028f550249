//! Registries that lie to `skillkeep add` and to the bridge: about digests, sizes, names and paths, with endless or broken answers.
//!
//! A small server stands in for the registry. For each of its answers, nothing is written outside of the skills folder, nothing is left
//! of what was not installed, the API key goes to no other server, and the error says what happened.

mod bodies;
mod cases;
mod inline;
mod server;
mod zip;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;
use tempfile::TempDir;

use cases::{Case, cases};
use server::{Answers, Elsewhere, HostileServer};

use crate::command::{CommandOutput, program};
use crate::local_install::assistant::Assistant;

/// A user with a home folder and a project, and something beside them that must stay as it is.
struct Desk {
    root: TempDir,
    key: ApiKey,
}

impl Desk {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "shop"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("beside"), "untouched").unwrap();
        fs::write(root.path().join("shop/SKILL.md"), "the project's own").unwrap();
        Self {
            root,
            key: ApiKey::generate(TenantId::new(), &mut rand::rng()),
        }
    }

    fn project(&self) -> PathBuf {
        self.root.path().join("shop")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command
            .current_dir(self.project())
            .env("HOME", self.root.path().join("home"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("CLAUDE_CONFIG_DIR")
            .env("SKILLKEEP_API_KEY", self.key.reveal());
        command
    }

    /// Every path below the root, with the text of files and the targets of links.
    fn content(&self) -> BTreeMap<String, String> {
        let mut content = BTreeMap::new();
        add_content(self.root.path(), self.root.path(), &mut content);
        content
    }
}

fn add_content(root: &Path, folder: &Path, content: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        let info = path.symlink_metadata().unwrap();
        if info.is_dir() {
            content.insert(shown, "folder".to_owned());
            add_content(root, &path, content);
        } else if info.is_file() {
            content.insert(
                shown,
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
            );
        } else {
            content.insert(shown, format!("{info:?}"));
        }
    }
}

/// No text of a registry controls the terminal.
fn assert_harmless(name: &str, text: &str) {
    let unsafe_char = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(unsafe_char, None, "{name}: {text:?}");
    assert!(text.len() < 4_000, "{name}: {} bytes", text.len());
}

/// The paths that are new, without the parts of an install that succeeded.
fn assert_only_skill_is_new(name: &str, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (path, text) in before {
        assert_eq!(after.get(path), Some(text), "{name}: {path}");
    }
    let allowed = |path: &str| {
        path.starts_with("shop/.agents")
            || path.starts_with("home/.config")
            || path.starts_with("shop/skillkeep.")
    };
    let unexpected: Vec<&String> = after
        .keys()
        .filter(|path| !before.contains_key(*path) && !allowed(path))
        .collect();
    assert_eq!(unexpected, Vec::<&String>::new(), "{name}");
    let evil: Vec<&String> = after
        .iter()
        .filter(|(_, text)| *text == "evil")
        .map(|(path, _)| path)
        .collect();
    assert_eq!(evil, Vec::<&String>::new(), "{name}");
    let left: Vec<&String> = after
        .keys()
        .filter(|path| path.contains(".skillkeep-stage") || path.contains(".new"))
        .collect();
    assert_eq!(left, Vec::<&String>::new(), "{name}");
}

async fn check_add(case: &Case) {
    let elsewhere = Elsewhere::start().await;
    let server = HostileServer::start((case.answers)(&elsewhere.url())).await;
    let desk = Desk::new();
    let before = desk.content();
    let mut command = desk.command(&["add", "tides", "--url", &server.url()]);
    let added = tokio::task::spawn_blocking(move || CommandOutput::of(&mut command))
        .await
        .unwrap();
    let name = case.name;
    assert_harmless(name, &added.err);
    assert_harmless(name, &added.out);
    match case.error {
        Some(error) => {
            assert_ne!(added.code, 0, "{name}: {added:?}");
            assert!(
                added.err.contains(error),
                "{name}: {error:?} is not in {}",
                added.err
            );
            assert!(!added.err.contains("panicked"), "{name}: {}", added.err);
            assert_eq!(desk.content(), before, "{name}");
        }
        None => {
            assert_eq!(added.code, 0, "{name}: {added:?}");
            assert_only_skill_is_new(name, &before, &desk.content());
        }
    }
    assert_eq!(
        elsewhere.requests(),
        Vec::<String>::new(),
        "{name}: the other server was asked"
    );
    assert!(!added.err.contains(desk.key.reveal()), "{name}: the key is shown");
}

async fn check_bridge(case: &Case) {
    let elsewhere = Elsewhere::start().await;
    let server = HostileServer::start((case.answers)(&elsewhere.url())).await;
    let desk = Desk::new();
    let before = desk.content();
    let project = desk.project().display().to_string();
    let command = desk.command(&["bridge", &server.url(), "--allow-project", &project]);
    let home = desk.root.path().join("home");
    let result = tokio::task::spawn_blocking(move || {
        let mut assistant = Assistant::start(command, &home, &[]);
        assistant.response("install_skill", json!({"skill": "tides", "assistant": "codex"}))
    });
    let response = result.await.unwrap();
    let name = case.name;
    let is_error = response["result"]["isError"] == true || response.get("error").is_some();
    match case.error {
        Some(error) => {
            assert!(is_error, "{name}: {response}");
            let text = response.to_string();
            let expected = case.bridge_error.unwrap_or(error);
            assert!(text.contains(expected), "{name}: {expected:?} is not in {text}");
            assert_eq!(desk.content(), before, "{name}");
        }
        None => {
            assert!(!is_error, "{name}: {response}");
            assert_only_skill_is_new(name, &before, &desk.content());
        }
    }
    assert_eq!(
        elsewhere.requests(),
        Vec::<String>::new(),
        "{name}: the other server was asked"
    );
}

/// Runs every case, so that one that fails does not hide the others.
async fn run_all(check: impl AsyncFn(&Case)) {
    let count = cases().len();
    assert!(count >= 20, "{count}");
    let mut failed = Vec::new();
    for number in 0..count {
        let case = cases().swap_remove(number);
        let name = case.name;
        let checked = std::panic::AssertUnwindSafe(check(&case));
        if futures::FutureExt::catch_unwind(checked).await.is_err() {
            failed.push(name);
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {count} failed: {failed:#?}",
        failed.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn add_writes_nothing_of_a_registry_that_lies() {
    run_all(check_add).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_writes_nothing_of_a_registry_that_lies() {
    run_all(check_bridge).await;
}

/// What the stand-in says is accepted where it says the truth, so that the other cases fail for their own reason.
#[tokio::test(flavor = "multi_thread")]
async fn honest_answers_are_installed_and_confirmed() {
    let downloads = ["install_skill", "skills/download", "confirm_install"];
    check_honest(Answers::honest(), &downloads).await;
    // Files in the offer need no download.
    check_honest(inline::honest(), &["install_skill", "confirm_install"]).await;
}

async fn check_honest(answers: Answers, calls: &[&str]) {
    let server = HostileServer::start(answers).await;
    let desk = Desk::new();
    let mut command = desk.command(&["add", "tides", "--url", &server.url()]);
    let added = tokio::task::spawn_blocking(move || CommandOutput::of(&mut command))
        .await
        .unwrap();
    assert_eq!((added.code, added.err.as_str()), (0, ""), "{added:?}");
    let skill_md = fs::read(desk.project().join(".agents/skills/tides/SKILL.md")).unwrap();
    assert_eq!(skill_md, server::SKILL_MD);
    assert_eq!(server.calls(), calls);
}
