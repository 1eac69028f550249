//! `skillkeep sync --from-skills-lock`, with lock files as the npm package `skills` writes them, and others.

use std::fs;

use serde_json::json;

use super::Desk;

/// As `npx skills add` writes it.
fn lock_file(names: &[&str]) -> String {
    let skills: serde_json::Map<String, serde_json::Value> = names
        .iter()
        .map(|name| {
            let skill = json!({
                "source": "acme/skills",
                "sourceUrl": "https://github.com/acme/skills.git",
                "ref": "main",
                "sourceType": "github",
                "skillPath": format!("skills/{name}/SKILL.md"),
                "computedHash": "0".repeat(64),
            });
            ((*name).to_owned(), skill)
        })
        .collect();
    serde_json::to_string_pretty(&json!({"version": 1, "skills": skills})).unwrap() + "\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_of_the_npm_lock_file_are_installed_in_their_newest_version() {
    let desk = Desk::new().await;
    desk.publish("tides", "1.1").await;
    desk.publish("winds", "2.0").await;
    desk.publish("waves", "1.0").await;
    desk.publish("waves", "2.0").await;
    fs::write(desk.project.join("skillkeep.toml"), "[skills]\nwaves = \"^1\"\n").unwrap();
    let lock = lock_file(&["tides", "waves", "winds"]);
    fs::write(desk.project.join("skills-lock.json"), &lock).unwrap();
    let out = desk.ok(&["sync", "--from-skills-lock"]);
    for installed in ["tides 1.1", "waves 1.0", "winds 2.0"] {
        assert!(out.contains(&format!("installed {installed} in ")), "{out}");
    }
    // What was wanted before stays, and the other file too.
    let manifest = desk.read("skillkeep.toml");
    assert!(
        manifest.contains("waves = \"^1\"") && manifest.contains("tides = \"*\""),
        "{manifest}"
    );
    assert_eq!(desk.read("skills-lock.json"), lock);
    assert_eq!(
        desk.ok(&["sync", "--from-skills-lock"]),
        "3 skills are as skillkeep.lock says\n"
    );
    assert_eq!(desk.read("skillkeep.toml"), manifest);
    desk.ok(&["sync", "--frozen"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_registry_has_are_named_and_left_out() {
    let desk = Desk::new().await;
    let lock = lock_file(&["tides", "../../evil", "Upper Case", "a\u{1b}[2Jb", "", "missing"]);
    fs::write(desk.project.join("skills-lock.json"), lock).unwrap();
    let synced = desk.with_code(4, &["sync", "--from-skills-lock"]);
    assert!(synced.out.contains("installed tides 1.0"), "{synced:?}");
    for named in [
        "../../evil is not taken over",
        "Upper Case is not taken over",
        "not installed: missing",
    ] {
        assert!(synced.err.contains(named), "{named}: {}", synced.err);
    }
    assert!(!synced.err.contains('\u{1b}'), "{:?}", synced.err);
    let manifest = desk.read("skillkeep.toml");
    assert!(
        !manifest.contains("evil") && !manifest.contains("Upper"),
        "{manifest}"
    );
    let mut skills: Vec<_> = fs::read_dir(desk.project.join(".agents/skills"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    skills.sort();
    assert_eq!(skills, [".skillkeep-lock", "tides"]);
    assert!(!desk.home.join("evil").exists() && !desk.project.parent().unwrap().join("evil").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_npm_lock_file_is_refused_and_changes_nothing() {
    let desk = Desk::new().await;
    let path = desk.project.join("skills-lock.json");
    let refused = desk.with_code(3, &["sync", "--from-skills-lock"]);
    assert!(
        refused.err.contains("there is no skills-lock.json in"),
        "{}",
        refused.err
    );
    let valid = lock_file(&["tides"]);
    let conflict = format!("<<<<<<< ours\n{valid}=======\n{valid}>>>>>>> theirs\n");
    let large = valid.replace("acme/skills", &"x".repeat(5 << 20));
    for (text, code, named) in [
        ("", 4, "skills-lock.json, line 1"),
        (
            "{\n  \"version\": 1,\n  \"skills\": [",
            4,
            "skills-lock.json, line 3",
        ),
        ("[]", 4, "skills-lock.json, line 1"),
        ("{\"skills\": {}}", 4, "version"),
        ("{\"version\": 3, \"skills\": {}}", 4, "version 3"),
        (
            "{\"version\": 1, \"skills\": {\"tides\": {\"source\": 7}}}",
            4,
            "skills-lock.json, line 1",
        ),
        (&conflict, 4, "merge conflict"),
        (&large, 4, "more than 4 MiB"),
    ] {
        fs::write(&path, text).unwrap();
        let refused = desk.with_code(code, &["sync", "--from-skills-lock"]);
        let shown: String = text.chars().take(60).collect();
        assert!(refused.err.contains(named), "{shown}: {}", refused.err);
        assert!(refused.err.len() < 500, "{shown}: {}", refused.err);
    }
    fs::remove_file(&path).unwrap();
    fs::write(desk.home.join("secret"), "secret text").unwrap();
    std::os::unix::fs::symlink(desk.home.join("secret"), &path).unwrap();
    let refused = desk.with_code(4, &["sync", "--from-skills-lock"]);
    assert!(!refused.err.contains("secret text"), "{}", refused.err);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    desk.with_code(4, &["sync", "--from-skills-lock"]);
    desk.with_code(2, &["sync", "--from-skills-lock", "--frozen"]);
    for file in ["skillkeep.toml", "skillkeep.lock", ".agents"] {
        assert!(!desk.project.join(file).exists(), "{file}");
    }
}
