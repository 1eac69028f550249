//! `skillkeep connect`: what stands in the assistants' own files afterwards.

mod home;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};

use self::home::{CLIENTS, DESKTOP, Home, KEY, keeps_lines, mode, well};

#[test]
fn each_assistant_is_connected_once() {
    for (name, file, _) in CLIENTS {
        let home = Home::new();
        let first = well(home.run(&[name]));
        assert!(
            first.out.contains("is connected: the entry is in"),
            "{name}: {first:?}"
        );
        assert_eq!(mode(&home.path(file)), 0o600, "{name}");
        let text = home.read(file);
        assert!(text.contains("skillkeep"), "{name}: {text}");
        let again = well(home.run(&[name, "--json"])).json();
        assert_eq!(again["outcome"], "already_connected", "{name}");
        assert_eq!(home.read(file), text, "{name}");
        assert_eq!(home.beside(file), Vec::<PathBuf>::new(), "{name}");
    }
}

#[test]
fn what_a_person_wrote_stays_and_comes_back() {
    for (name, file, before) in CLIENTS {
        let home = Home::new();
        let path = home.write(file, before);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let made = well(home.run(&[name, "--json"])).json();
        assert_eq!(made["outcome"], "connected", "{name}");
        let after = home.read(file);
        assert!(keeps_lines(before, &after), "{name}: {after}");
        let backup = PathBuf::from(made["backup"].as_str().unwrap());
        assert_eq!(fs::read_to_string(&backup).unwrap(), before, "{name}");
        assert_eq!(home.beside(file), [backup], "{name}");
        let secret = name == "claude-desktop";
        assert_eq!(mode(&path), if secret { 0o600 } else { 0o640 }, "{name}");
        let removed = well(home.run(&[name, "--remove", "--json"])).json();
        assert_eq!(removed["outcome"], "removed", "{name}");
        let left = home.read(file);
        assert!(keeps_lines(before, &left), "{name}: {left}");
        assert!(!left.contains("skillkeep"), "{name}: {left}");
        let again = well(home.run(&[name, "--remove", "--json"])).json();
        assert_eq!(again["outcome"], "not_connected", "{name}");
    }
}

#[test]
fn printing_writes_nothing() {
    for (name, file, _) in CLIENTS {
        let home = Home::new();
        let shown = well(home.run(&[name, "--print"]));
        assert!(shown.out.contains("skillkeep"), "{name}: {shown:?}");
        assert!(!shown.out.contains(KEY.as_str()), "{name}: {shown:?}");
        assert!(!home.path(file).exists(), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_left_alone() {
    for (name, file, text) in CLIENTS {
        let home = Home::new();
        let broken = format!("{text}\n]] = {{ : [\n");
        home.write(file, &broken);
        for arguments in [&[name][..], &[name, "--remove"], &[name, "--print"]] {
            let ran = home.run(arguments);
            assert_eq!(ran.code, 4, "{name}: {ran:?}");
            assert!(ran.err.contains("is left as it is: line "), "{name}: {ran:?}");
        }
        assert_eq!(home.read(file), broken, "{name}");
        assert_eq!(home.beside(file), Vec::<PathBuf>::new(), "{name}");
    }
}

#[test]
fn the_key_lies_in_no_file_that_can_name_it() {
    for (name, file, _) in CLIENTS {
        for way in [&[name][..], &[name, "--url", "https://skills.example.com"]] {
            let home = Home::new();
            well(home.run(way));
            let holds = home.read(file).contains(KEY.as_str());
            assert_eq!(holds, name == "claude-desktop", "{name}");
        }
    }
}

#[test]
fn an_assistant_that_has_to_be_told_the_key_is_told_a_good_one() {
    let home = Home::new();
    let ran = home.run_with(&["claude-desktop"], &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("run this again with SKILLKEEP_API_KEY set"),
        "{ran:?}"
    );
    let ran = home.run_with(&["claude-desktop"], &[("SKILLKEEP_API_KEY", "skeep_wrong")]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(!home.path(DESKTOP).exists());
    well(home.run(&["claude-desktop"]));
    // Told once, it need not be told again.
    let again = well(home.run_with(&["claude-desktop", "--json"], &[])).json();
    assert_eq!(again["outcome"], "already_connected");
}

#[test]
fn a_registry_far_away_is_reached_in_the_words_of_each() {
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
        well(home.run(&[name, "--url", "https://skills.example.com"]));
        let (_, file, _) = CLIENTS.into_iter().find(|client| client.0 == name).unwrap();
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
    well(home.run(&["codex", "--url", url]));
    let text = home.read(".codex/config.toml");
    assert_eq!(
        text,
        format!("[mcp_servers.skillkeep]\nurl = \"{url}\"\nbearer_token_env_var = \"SKILLKEEP_API_KEY\"\n")
    );
    well(home.run(&["goose", "--url", url]));
    let text = home.read(".config/goose/config.yaml");
    assert!(text.contains("    type: \"streamable_http\"\n"), "{text}");
    assert!(
        text.contains("      Authorization: \"Bearer ${SKILLKEEP_API_KEY}\"\n"),
        "{text}"
    );
    well(home.run(&["claude-desktop", "--url", url]));
    let document: Value = serde_json::from_str(&home.read(DESKTOP)).unwrap();
    assert_eq!(
        document["mcpServers"]["skillkeep"]["args"],
        json!(["bridge", url])
    );
}

#[test]
fn what_a_client_cannot_do_is_refused_with_words() {
    let home = Home::new();
    let https = "https://skills.example.com";
    for (arguments, says) in [
        (
            &["codex", "--transport", "sse", "--url", https][..],
            "cannot speak this transport",
        ),
        (&["cursor", "--transport", "http"], "needs the registry's address"),
        (
            &["cursor", "--transport", "stdio", "--url", https],
            "opens the database of this machine",
        ),
        (
            &["cursor", "--url", "http://skills.example.com"],
            "anyone on the way",
        ),
        (
            &["cursor", "--url", "https://u:p@skills.example.com"],
            "user name",
        ),
        (&["cursor", "--entry", "a b"], "a name begins with a letter"),
        (&["goose", "--project"], "no configuration of projects"),
        (&["emacs"], "claude-code"),
        (&["--remove"], "which assistant?"),
    ] {
        let ran = home.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(says), "{arguments:?}: {ran:?}");
    }
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 0);
}

#[test]
fn a_changed_wish_changes_the_entry_and_keeps_what_its_user_set() {
    let home = Home::new();
    well(home.run(&["gemini"]));
    let mut document: Value = serde_json::from_str(&home.read(".gemini/settings.json")).unwrap();
    document["mcpServers"]["skillkeep"]["trust"] = json!(true);
    home.write(".gemini/settings.json", &document.to_string());
    let url = "https://skills.example.com";
    let ran = well(home.run(&["gemini", "--url", url, "--transport", "sse", "--json"])).json();
    assert_eq!(ran["outcome"], "updated");
    let document: Value = serde_json::from_str(&home.read(".gemini/settings.json")).unwrap();
    let entry = &document["mcpServers"]["skillkeep"];
    assert_eq!(entry["url"], "https://skills.example.com/sse");
    assert_eq!(entry["trust"], true);
    assert_eq!(entry.get("command"), None);
}

#[test]
fn a_link_stays_a_link_and_an_xdg_folder_is_honoured() {
    let home = Home::new();
    let real = home.write("dotfiles/mcp.json", "{}\n");
    fs::create_dir(home.path(".cursor")).unwrap();
    symlink(&real, home.path(".cursor/mcp.json")).unwrap();
    well(home.run(&["cursor"]));
    assert!(
        fs::symlink_metadata(home.path(".cursor/mcp.json"))
            .unwrap()
            .is_symlink()
    );
    assert!(fs::read_to_string(&real).unwrap().contains("skillkeep"));
    let elsewhere = home.path("elsewhere");
    let folder = elsewhere.to_str().unwrap();
    well(home.run_with(&["goose"], &[("XDG_CONFIG_HOME", folder)]));
    assert!(elsewhere.join("goose/config.yaml").exists());
    well(home.run_with(&["codex"], &[("CODEX_HOME", folder)]));
    assert!(elsewhere.join("config.toml").exists());
    well(home.run_with(&["claude-code"], &[("CLAUDE_CONFIG_DIR", folder)]));
    assert!(elsewhere.join(".claude.json").exists());
}

#[test]
fn a_project_is_connected_without_the_paths_of_one_machine() {
    let home = Home::new();
    well(home.run(&["claude-code", "--project", "--data-dir", "/srv/skills"]));
    let document: Value = serde_json::from_str(&home.read(".mcp.json")).unwrap();
    assert_eq!(
        document["mcpServers"]["skillkeep"],
        json!({
            "type": "stdio", "command": "skillkeep", "args": ["stdio"],
            "env": {"SKILLKEEP_API_KEY": "${SKILLKEEP_API_KEY}"},
        })
    );
    well(home.run(&["claude-code", "--data-dir", "data"]));
    let document: Value = serde_json::from_str(&home.read(".claude.json")).unwrap();
    let entry = &document["mcpServers"]["skillkeep"];
    let folder = fs::canonicalize(home.0.path()).unwrap().join("data");
    assert_eq!(entry["args"], json!(["stdio", "--data-dir", folder]));
    assert!(PathBuf::from(entry["command"].as_str().unwrap()).is_file());
}

#[test]
fn without_a_name_all_are_listed() {
    let home = Home::new();
    well(home.run(&["codex"]));
    home.write(".cursor/mcp.json", "{]");
    home.write(".gemini/settings.json", "{}");
    let rows = well(home.run(&["--json"])).json_lines();
    let state = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(rows.len(), CLIENTS.len());
    for (name, wanted) in [
        ("codex", "connected"),
        ("cursor", "unreadable"),
        ("gemini", "not connected"),
        ("goose", "no file"),
    ] {
        assert_eq!(state(name), wanted, "{name}");
    }
}
