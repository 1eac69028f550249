//! What a person is told when the embedded database cannot run.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::unistd::Uid;

use super::fixture::{Place, is_alive, kill_hard, within};

#[test]
fn a_server_started_by_hand_is_not_disturbed() {
    let place = Place::new();
    place.hold().leave();
    let data = place.base.join("data");
    // Stands for a server: a live process of the owner, named by the file, that works in the cluster's folder.
    let owner = fs::metadata(&data).unwrap();
    let mut command = Command::new("sleep");
    let mut server = command
        .arg("60")
        .current_dir(&data)
        .uid(owner.uid())
        .gid(owner.gid())
        .spawn()
        .unwrap();
    let text = format!("{}\n", server.id());
    fs::write(data.join("postmaster.pid"), &text).unwrap();
    let said = place.refusal(|_| {});
    assert!(
        said.contains("which skillkeep did not start, is already working on this database"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(data.join("postmaster.pid")).unwrap(), text);
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn data_of_another_version_is_left_alone_and_says_how_to_move_it() {
    let place = Place::new();
    place.hold().leave();
    fs::write(place.base.join("data/PG_VERSION"), "9\n").unwrap();
    let said = place.refusal(|_| {});
    assert!(
        said.contains("was made by PostgreSQL 9, but here is only"),
        "{said}"
    );
    assert!(said.contains("pg_dumpall"), "{said}");
}

#[test]
fn a_failed_initdb_is_told_in_its_own_words_and_leaves_nothing() {
    let place = Place::new();
    let bin = place.parent.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = |name: &str, text: &str| {
        fs::write(bin.join(name), text).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("postgres", "#!/bin/sh\necho 'postgres (PostgreSQL) 17.2'\n");
    script(
        "initdb",
        "#!/bin/sh\necho 'initdb: error: could not create directory \"x\": No space left on device' >&2\nexit 1\n",
    );
    let said = place.refusal(|command| {
        command.env("SKILLKEEP_PG_BIN", &bin);
    });
    assert!(
        said.contains("could not create directory \"x\": No space left on device; free some space"),
        "{said}"
    );
    assert!(!place.left_unfinished());
    assert!(!place.base.join("data").exists());
    // The same folder works as soon as the cause is gone.
    assert_eq!(place.hold().outcome, "Created");
}

#[test]
fn a_server_that_does_not_start_is_told_in_its_own_words() {
    let place = Place::new();
    place.hold().leave();
    fs::write(place.base.join("data/postgresql.conf"), "no_such_setting = 1\n").unwrap();
    let said = place.refusal(|_| {});
    assert!(said.contains("PostgreSQL did not start: "), "{said}");
    assert!(said.contains("postgres.log"), "{said}");
}

#[test]
fn a_chosen_folder_without_postgresql_is_refused_by_name() {
    let place = Place::new();
    let said = place.refusal(|command| {
        command.env("SKILLKEEP_PG_BIN", "/etc");
    });
    assert!(
        said.contains("SKILLKEEP_PG_BIN is /etc, but there is no `initdb` in it"),
        "{said}"
    );
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let mut place = Place::new();
    if Uid::effective().is_root() {
        fs::create_dir(&place.base).unwrap();
        chown(&place.base, Some(12_345), None).unwrap();
    } else {
        place.base = PathBuf::from("/usr");
    }
    let said = place.refusal(|_| {});
    assert!(said.contains("belongs to the account with uid"), "{said}");
}

#[test]
fn while_the_server_cannot_be_started_again_a_newcomer_is_told_why() {
    let place = Place::new();
    let holder = place.hold();
    let server = place.server().unwrap();
    let settings = place.base.join("data/postgresql.conf");
    let good = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, "no_such_setting = 1\n").unwrap();
    kill_hard(server);
    assert!(within(Duration::from_secs(5), || (!is_alive(server)).then_some(())).is_some());
    let said = place.refusal(|_| {});
    assert!(said.contains("PostgreSQL did not start: "), "{said}");
    fs::write(&settings, good).unwrap();
    place.other_server(server);
    assert_eq!(holder.query("SELECT 1"), "1");
    assert_eq!(holder.leave(), "Stopped");
}
