//! The embedded PostgreSQL started by root and by an ordinary account.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::fixture::{ClientProcess, Fixture, PROGRAM, parent_and_owner};

#[test]
fn server_started_by_root_has_no_root_privileges() {
    if !Uid::effective().is_root() {
        return assert_server_belongs_to(&Uid::effective());
    }
    let fixture = Fixture::new();
    let client = fixture.start_client();
    let server = fixture.server_pid().unwrap();
    let owner = fs::metadata(fixture.base.join("data")).unwrap();
    assert_ne!(owner.uid(), 0);
    assert_eq!(parent_and_owner(server).unwrap().1, owner.uid());
    if let Ok(status) = fs::read_to_string(format!("/proc/{server}/status")) {
        let groups = status
            .lines()
            .find_map(|line| line.strip_prefix("Groups:"))
            .unwrap();
        assert_eq!(groups.trim(), "");
    }
    client.stop();
}

#[test]
fn unreachable_folder_is_rejected_for_root_with_a_hint() {
    if !Uid::effective().is_root() {
        return assert_server_belongs_to(&Uid::effective());
    }
    let fixture = Fixture::new();
    fs::set_permissions(fixture.parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let message = fixture.start_error(|_| {});
    assert!(message.contains("which cannot reach"), "{message}");
    assert!(message.contains("/var/lib/skillkeep"), "{message}");
}

#[test]
fn ordinary_account_runs_a_server() {
    let user = if Uid::effective().is_root() {
        User::from_name("nobody")
            .unwrap()
            .expect("every system has the account `nobody`")
            .uid
    } else {
        Uid::effective()
    };
    assert_server_belongs_to(&user);
}

fn assert_server_belongs_to(user: &Uid) {
    let fixture = Fixture::new();
    // The other account may have no access to the build folder.
    let program = fixture.parent.path().join("skillkeep");
    fs::copy(PROGRAM, &program).unwrap();
    let home = fixture.parent.path().join("home");
    fs::create_dir(&home).unwrap();
    let mut command = Command::new(program);
    command
        .arg("postgres-hold")
        .arg("--data-dir")
        .arg(home.join("data folder"))
        .current_dir("/");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if Uid::effective().is_root() {
        let account = User::from_uid(*user).unwrap().unwrap();
        chown(&home, Some(user.as_raw()), Some(account.gid.as_raw())).unwrap();
        command.uid(user.as_raw()).gid(account.gid.as_raw());
    }
    let client = ClientProcess::ready(command.spawn().unwrap());
    assert_eq!(client.outcome, "Created");
    assert_eq!(client.query("SELECT 1"), "1");
    assert_eq!(
        fs::metadata(home.join("data folder/data")).unwrap().uid(),
        user.as_raw()
    );
    assert!(Path::new(&client.socket_dir).starts_with(fs::canonicalize(&home).unwrap()));
    assert_eq!(client.stop(), "Stopped");
}
