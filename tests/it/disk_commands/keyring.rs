//! `skillkeep login` with a keyring. A program takes the place of `secret-tool`: it answers as libsecret's does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::Desk;
use crate::command::{CommandOutput, program};

/// Keeps one key in a file. With the file `locked`, it gives out and removes nothing.
const SECRET_TOOL: &str = r#"#!/bin/sh
ring=$(dirname "$0")
case $1 in
    store) cat >"$ring/key" ;;
    lookup) [ ! -e "$ring/locked" ] && cat "$ring/key" ;;
    clear) [ ! -e "$ring/locked" ] && rm "$ring/key" ;;
    search) [ ! -e "$ring/key" ] || echo "[/1]" ;;
esac
"#;

struct Keyring<'a> {
    desk: &'a Desk,
    folder: PathBuf,
}

impl<'a> Keyring<'a> {
    fn new(desk: &'a Desk) -> Self {
        let folder = desk.home.join("ring");
        fs::create_dir(&folder).unwrap();
        let tool = folder.join("secret-tool");
        fs::write(&tool, SECRET_TOOL).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        Self { desk, folder }
    }

    fn run(&self, arguments: &[&str], key: Option<&str>) -> CommandOutput {
        let path = std::env::var("PATH").unwrap();
        let mut command = program(arguments);
        command
            .current_dir(&self.desk.project)
            .env("HOME", &self.desk.home)
            .env("PATH", format!("{}:{path}", self.folder.display()))
            .env_remove("XDG_CONFIG_HOME");
        if let Some(key) = key {
            command.env("SKILLKEEP_API_KEY", key);
        }
        CommandOutput::of(&mut command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_a_login_is_in_the_keyring_until_the_logout() {
    let desk = Desk::new().await;
    let keyring = Keyring::new(&desk);
    let kept = keyring.folder.join("key");
    let output = keyring.run(&["login", &desk.url], Some(desk.key.reveal()));
    assert!(output.out.contains("in the system's keyring"), "{output:?}");
    assert_eq!(fs::read_to_string(&kept).unwrap(), desk.key.reveal());
    let logins = desk.home.join(".config/skillkeep/logins.json");
    assert!(!fs::read_to_string(&logins).unwrap().contains("skeep_"));
    let added = keyring.run(&["add", "tides", "--user", "--for", "goose"], None);
    assert_eq!(added.code, 0, "{added:?}");

    let locked = keyring.folder.join("locked");
    fs::write(&locked, "").unwrap();
    for arguments in [["outdated", "--user"], ["logout", &desk.url]] {
        let refused = keyring.run(&arguments, None);
        assert_ne!(refused.code, 0, "{refused:?}");
        assert!(refused.err.contains("unlock it"), "{refused:?}");
    }
    assert!(kept.exists());
    fs::remove_file(&locked).unwrap();
    assert_eq!(keyring.run(&["logout", &desk.url], None).code, 0);
    assert!(!kept.exists());

    // Someone removed the key from the keyring.
    keyring.run(&["login", &desk.url], Some(desk.key.reveal()));
    fs::remove_file(&kept).unwrap();
    let logged_out = keyring.run(&["logout", &desk.url], None);
    assert_eq!(logged_out.code, 0, "{logged_out:?}");
}
