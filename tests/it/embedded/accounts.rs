//! The embedded database of root and of an ordinary user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::fixture::{Holder, PROGRAM, Place, parent_and_owner};

#[test]
fn started_by_root_the_server_has_given_up_every_right() {
    if !Uid::effective().is_root() {
        return started_by_an_ordinary_user_everything_is_theirs(&Uid::effective());
    }
    let place = Place::new();
    let holder = place.hold();
    let server = place.server().unwrap();
    let owner = fs::metadata(place.base.join("data")).unwrap();
    assert_ne!(owner.uid(), 0);
    assert_eq!(parent_and_owner(server).unwrap().1, owner.uid());
    if let Ok(status) = fs::read_to_string(format!("/proc/{server}/status")) {
        let groups = status
            .lines()
            .find_map(|line| line.strip_prefix("Groups:"))
            .unwrap();
        assert_eq!(groups.trim(), "");
    }
    holder.leave();
}

#[test]
fn started_by_root_an_unreachable_folder_is_refused_with_a_way_out() {
    if !Uid::effective().is_root() {
        return started_by_an_ordinary_user_everything_is_theirs(&Uid::effective());
    }
    let place = Place::new();
    fs::set_permissions(place.parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let said = place.refusal(|_| {});
    assert!(said.contains("who cannot reach"), "{said}");
    assert!(said.contains("/var/lib/skillkeep"), "{said}");
}

#[test]
fn an_ordinary_user_runs_a_server_too() {
    let user = if Uid::effective().is_root() {
        User::from_name("nobody")
            .unwrap()
            .expect("every system has the account nobody")
            .uid
    } else {
        Uid::effective()
    };
    started_by_an_ordinary_user_everything_is_theirs(&user);
}

fn started_by_an_ordinary_user_everything_is_theirs(user: &Uid) {
    let place = Place::new();
    // The build folder may be closed to the other account.
    let program = place.parent.path().join("skillkeep");
    fs::copy(PROGRAM, &program).unwrap();
    let home = place.parent.path().join("home");
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
    let holder = Holder::ready(command.spawn().unwrap());
    assert_eq!(holder.outcome, "Created");
    assert_eq!(holder.query("SELECT 1"), "1");
    assert_eq!(
        fs::metadata(home.join("data folder/data")).unwrap().uid(),
        user.as_raw()
    );
    assert!(Path::new(&holder.socket_dir).starts_with(fs::canonicalize(&home).unwrap()));
    assert_eq!(holder.leave(), "Stopped");
}
