//! `skillkeep connect`: the content of the assistants' configuration files afterwards.

mod home;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};

use self::home::{ASSISTANTS, DESKTOP, Home, KEY, keeps_lines, mode, successful};

#[test]
fn connecting_twice_changes_the_file_once() {
    for (name, file, _) in ASSISTANTS {
        let home = Home::new();
        let first = successful(home.run(&[name]));
        assert!(
            first.out.contains("is connected: added entry `skillkeep` to"),
            "{name}: {first:?}"
        );
        assert_eq!(mode(&home.path(file)), 0o600, "{name}");
        let text = home.read(file);
        assert!(text.contains("skillkeep"), "{name}: {text}");
        let again = successful(home.run(&[name, "--json"])).json();
        assert_eq!(again["outcome"], "already_connected", "{name}");
        assert_eq!(home.read(file), text, "{name}");
        assert_eq!(home.other_files(file), Vec::<PathBuf>::new(), "{name}");
    }
}

#[test]
fn text_of_the_user_survives_connecting_and_removing() {
    for (name, file, before) in ASSISTANTS {
        let home = Home::new();
        let path = home.write(file, before);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let made = successful(home.run(&[name, "--json"])).json();
        assert_eq!(made["outcome"], "connected", "{name}");
        let after = home.read(file);
        assert!(keeps_lines(before, &after), "{name}: {after}");
        let backup = PathBuf::from(made["backup"].as_str().unwrap());
        assert_eq!(fs::read_to_string(&backup).unwrap(), before, "{name}");
        assert_eq!(home.other_files(file), [backup], "{name}");
        let secret = name == "claude-desktop";
        assert_eq!(mode(&path), if secret { 0o600 } else { 0o640 }, "{name}");
        let removed = successful(home.run(&[name, "--remove", "--json"])).json();
        assert_eq!(removed["outcome"], "removed", "{name}");
        let left = home.read(file);
        assert!(keeps_lines(before, &left), "{name}: {left}");
        assert!(!left.contains("skillkeep"), "{name}: {left}");
        let again = successful(home.run(&[name, "--remove", "--json"])).json();
        assert_eq!(again["outcome"], "not_connected", "{name}");
    }
}

#[test]
fn removing_takes_the_key_out_of_every_backup() {
    let home = Home::new();
    home.write(DESKTOP, "{\"theme\": \"dark\"}");
    successful(home.run(&["claude-desktop"]));
    // Another edit, so that a backup holds the key.
    successful(home.run(&["claude-desktop", "--url", "https://skills.example.com"]));
    let texts = |home: &Home| -> Vec<String> {
        let files = home.other_files(DESKTOP);
        files
            .iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect()
    };
    assert!(texts(&home).iter().any(|text| text.contains(KEY.as_str())));
    let before = home.other_files(DESKTOP).len();
    successful(home.run_with(&["claude-desktop", "--remove"], &[]));
    assert_eq!(home.other_files(DESKTOP).len(), before + 1);
    for text in texts(&home) {
        assert!(!text.contains(KEY.as_str()), "{text}");
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
    }
}

#[test]
fn print_shows_the_entry_and_writes_nothing() {
    for (name, file, _) in ASSISTANTS {
        let home = Home::new();
        let shown = successful(home.run(&[name, "--print"]));
        assert!(shown.out.contains("skillkeep"), "{name}: {shown:?}");
        assert!(!shown.out.contains(KEY.as_str()), "{name}: {shown:?}");
        assert!(!home.path(file).exists(), "{name}");
    }
}

#[test]
fn unparsable_file_is_not_changed() {
    for (name, file, text) in ASSISTANTS {
        let home = Home::new();
        let broken = format!("{text}\n]] = {{ : [\n");
        home.write(file, &broken);
        for arguments in [&[name][..], &[name, "--remove"], &[name, "--print"]] {
            let ran = home.run(arguments);
            assert_eq!(ran.code, 4, "{name}: {ran:?}");
            assert!(ran.err.contains("was not changed: line "), "{name}: {ran:?}");
        }
        assert_eq!(home.read(file), broken, "{name}");
        assert_eq!(home.other_files(file), Vec::<PathBuf>::new(), "{name}");
    }
}

#[test]
fn key_is_written_only_for_claude_desktop() {
    for (name, file, _) in ASSISTANTS {
        for way in [&[name][..], &[name, "--url", "https://skills.example.com"]] {
            let home = Home::new();
            successful(home.run(way));
            let holds = home.read(file).contains(KEY.as_str());
            assert_eq!(holds, name == "claude-desktop", "{name}");
        }
    }
}

#[test]
fn claude_desktop_needs_a_valid_key_once() {
    let home = Home::new();
    let ran = home.run_with(&["claude-desktop"], &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err
            .contains("run this command again with SKILLKEEP_API_KEY set"),
        "{ran:?}"
    );
    let ran = home.run_with(&["claude-desktop"], &[("SKILLKEEP_API_KEY", "skeep_wrong")]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(!home.path(DESKTOP).exists());
    successful(home.run(&["claude-desktop"]));
    // The second time, the key is in the file already.
    let again = successful(home.run_with(&["claude-desktop", "--json"], &[])).json();
    assert_eq!(again["outcome"], "already_connected");
}

#[test]
fn remote_entry_has_the_field_names_of_each_assistant() {
    let headers = |reference: &str| json!({"Authorization": format!("Bearer {reference}")});
    let url = "https://skills.example.com/mcp";
    let expected = [
        (
            "claude-code",
            json!({"type": "http", "url": url, "headers": headers("${SKILLKEEP_API_KEY}")}),
        ),
        (
            "cursor",
            json!({"url": url, "headers": headers("${env:SKILLKEEP_API_KEY}")}),
        ),
        (
            "vscode",
            json!({"type": "http", "url": url, "headers": headers("${input:skillkeep-api-key}")}),
        ),
        (
            "gemini",
            json!({"httpUrl": url, "headers": headers("$SKILLKEEP_API_KEY")}),
        ),
    ];
    for (name, wanted) in expected {
        let home = Home::new();
        successful(home.run(&[name, "--url", "https://skills.example.com"]));
        let (_, file, _) = ASSISTANTS
            .into_iter()
            .find(|assistant| assistant.0 == name)
            .unwrap();
        let document: Value = serde_json::from_str(&home.read(file)).unwrap();
        let section = if name == "vscode" { "servers" } else { "mcpServers" };
        assert_eq!(document[section]["skillkeep"], wanted, "{name}");
        if name == "vscode" {
            let input = &document["inputs"][0];
            assert_eq!(
                (&input["type"], &input["password"]),
                (&json!("promptString"), &json!(true))
            );
        }
    }
    let home = Home::new();
    successful(home.run(&["codex", "--url", url]));
    let text = home.read(".codex/config.toml");
    assert_eq!(
        text,
        format!("[mcp_servers.skillkeep]\nurl = \"{url}\"\nbearer_token_env_var = \"SKILLKEEP_API_KEY\"\n")
    );
    successful(home.run(&["goose", "--url", url]));
    let text = home.read(".config/goose/config.yaml");
    assert!(text.contains("    type: \"streamable_http\"\n"), "{text}");
    assert!(
        text.contains("      Authorization: \"Bearer ${SKILLKEEP_API_KEY}\"\n"),
        "{text}"
    );
    successful(home.run(&["claude-desktop", "--url", url]));
    let document: Value = serde_json::from_str(&home.read(DESKTOP)).unwrap();
    assert_eq!(
        document["mcpServers"]["skillkeep"]["args"],
        json!(["bridge", url])
    );
}

#[test]
fn impossible_combination_of_options_is_rejected_with_the_reason() {
    let home = Home::new();
    let https = "https://skills.example.com";
    for (arguments, message) in [
        (
            &["codex", "--transport", "sse", "--url", https][..],
            "does not support this transport",
        ),
        (&["cursor", "--transport", "http"], "needs the registry's address"),
        (
            &["cursor", "--transport", "stdio", "--url", https],
            "uses the database of this machine",
        ),
        (
            &["cursor", "--url", "http://skills.example.com"],
            "anyone on the network",
        ),
        (
            &["cursor", "--url", "https://u:p@skills.example.com"],
            "user name",
        ),
        (&["cursor", "--entry", "a b"], "expected a letter"),
        (&["goose", "--project"], "no configuration files of projects"),
        (&["emacs"], "claude-code"),
        (&["--remove"], "the assistant is missing"),
    ] {
        let ran = home.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(message), "{arguments:?}: {ran:?}");
    }
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 0);
}

#[test]
fn reconnecting_updates_the_entry_and_keeps_user_settings() {
    let home = Home::new();
    successful(home.run(&["gemini"]));
    let mut document: Value = serde_json::from_str(&home.read(".gemini/settings.json")).unwrap();
    document["mcpServers"]["skillkeep"]["trust"] = json!(true);
    home.write(".gemini/settings.json", &document.to_string());
    let url = "https://skills.example.com";
    let ran = successful(home.run(&["gemini", "--url", url, "--transport", "sse", "--json"])).json();
    assert_eq!(ran["outcome"], "updated");
    let document: Value = serde_json::from_str(&home.read(".gemini/settings.json")).unwrap();
    let entry = &document["mcpServers"]["skillkeep"];
    assert_eq!(entry["url"], "https://skills.example.com/sse");
    assert_eq!(entry["trust"], true);
    assert_eq!(entry.get("command"), None);
}

#[test]
fn links_and_configured_folders_are_followed() {
    let home = Home::new();
    let real = home.write("dotfiles/mcp.json", "{}\n");
    fs::create_dir(home.path(".cursor")).unwrap();
    symlink(&real, home.path(".cursor/mcp.json")).unwrap();
    successful(home.run(&["cursor"]));
    assert!(
        fs::symlink_metadata(home.path(".cursor/mcp.json"))
            .unwrap()
            .is_symlink()
    );
    assert!(fs::read_to_string(&real).unwrap().contains("skillkeep"));
    let elsewhere = home.path("elsewhere");
    let folder = elsewhere.to_str().unwrap();
    successful(home.run_with(&["goose"], &[("XDG_CONFIG_HOME", folder)]));
    assert!(elsewhere.join("goose/config.yaml").exists());
    successful(home.run_with(&["codex"], &[("CODEX_HOME", folder)]));
    assert!(elsewhere.join("config.toml").exists());
    successful(home.run_with(&["claude-code"], &[("CLAUDE_CONFIG_DIR", folder)]));
    assert!(elsewhere.join(".claude.json").exists());
}

#[test]
fn project_entry_contains_no_path_of_this_machine() {
    let home = Home::new();
    successful(home.run(&["claude-code", "--project", "--data-dir", "/srv/skills"]));
    let document: Value = serde_json::from_str(&home.read(".mcp.json")).unwrap();
    assert_eq!(
        document["mcpServers"]["skillkeep"],
        json!({
            "type": "stdio", "command": "skillkeep", "args": ["stdio"],
            "env": {"SKILLKEEP_API_KEY": "${SKILLKEEP_API_KEY}"},
        })
    );
    successful(home.run(&["claude-code", "--data-dir", "data"]));
    let document: Value = serde_json::from_str(&home.read(".claude.json")).unwrap();
    let entry = &document["mcpServers"]["skillkeep"];
    let folder = fs::canonicalize(home.0.path()).unwrap().join("data");
    assert_eq!(entry["args"], json!(["stdio", "--data-dir", folder]));
    assert!(PathBuf::from(entry["command"].as_str().unwrap()).is_file());
}

#[test]
fn without_an_assistant_all_are_listed_with_their_state() {
    let home = Home::new();
    successful(home.run(&["codex"]));
    home.write(".cursor/mcp.json", "{]");
    home.write(".gemini/settings.json", "{}");
    let rows = successful(home.run(&["--json"])).json_lines();
    let state = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(rows.len(), ASSISTANTS.len());
    for (name, wanted) in [
        ("codex", "connected"),
        ("cursor", "unreadable"),
        ("gemini", "not connected"),
        ("goose", "no file"),
    ] {
        assert_eq!(state(name), wanted, "{name}");
    }
}
