//! Error texts when the embedded PostgreSQL cannot start.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::unistd::Uid;

use super::fixture::{Fixture, is_alive, kill_process, poll_until};

#[test]
fn server_started_manually_is_left_running() {
    let fixture = Fixture::new();
    fixture.start_client().stop();
    let data = fixture.base.join("data");
    // Simulates a server: a live process of the owner, named in the pid file, with the data directory as its working directory.
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
    let message = fixture.start_error(|_| {});
    assert!(
        message.contains("which the supervisor did not start, already uses this database"),
        "{message}"
    );
    assert_eq!(fs::read_to_string(data.join("postmaster.pid")).unwrap(), text);
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn data_of_another_major_is_unchanged_and_error_explains_migration() {
    let fixture = Fixture::new();
    fixture.start_client().stop();
    fs::write(fixture.base.join("data/PG_VERSION"), "9\n").unwrap();
    let message = fixture.start_error(|_| {});
    assert!(
        message.contains("was created by PostgreSQL 9, but only"),
        "{message}"
    );
    assert!(message.contains("pg_dumpall"), "{message}");
}

#[test]
fn failed_initdb_is_reported_and_leaves_no_files() {
    let fixture = Fixture::new();
    let bin = fixture.parent.path().join("bin");
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
    let message = fixture.start_error(|command| {
        command.env("SKILLKEEP_PG_BIN", &bin);
    });
    assert!(
        message.contains("could not create directory \"x\": No space left on device; free some space"),
        "{message}"
    );
    assert!(!fixture.has_unfinished_cluster());
    assert!(!fixture.base.join("data").exists());
    // The same folder works once the cause is fixed.
    assert_eq!(fixture.start_client().outcome, "Created");
}

#[test]
fn failed_server_start_reports_reason_and_log_file() {
    let fixture = Fixture::new();
    fixture.start_client().stop();
    fs::write(fixture.base.join("data/postgresql.conf"), "no_such_setting = 1\n").unwrap();
    let message = fixture.start_error(|_| {});
    assert!(message.contains("PostgreSQL did not start: "), "{message}");
    assert!(message.contains("postgres.log"), "{message}");
}

#[test]
fn pg_bin_without_programs_is_rejected_with_its_setting() {
    let fixture = Fixture::new();
    let message = fixture.start_error(|command| {
        command.env("SKILLKEEP_PG_BIN", "/etc");
    });
    assert!(
        message.contains("the PostgreSQL folder /etc cannot be used: it does not contain `initdb`"),
        "{message}"
    );
    assert!(message.contains("\nhint: SKILLKEEP_PG_BIN"), "{message}");
}

#[test]
fn data_folder_of_another_account_is_rejected() {
    let mut fixture = Fixture::new();
    if Uid::effective().is_root() {
        fs::create_dir(&fixture.base).unwrap();
        chown(&fixture.base, Some(12_345), None).unwrap();
    } else {
        fixture.base = PathBuf::from("/usr");
    }
    let message = fixture.start_error(|_| {});
    assert!(message.contains("belongs to the account with uid"), "{message}");
}

#[test]
fn new_client_gets_the_reason_while_restarts_fail() {
    let fixture = Fixture::new();
    let client = fixture.start_client();
    let server = fixture.server_pid().unwrap();
    let settings = fixture.base.join("data/postgresql.conf");
    let good = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, "no_such_setting = 1\n").unwrap();
    kill_process(server);
    assert!(poll_until(Duration::from_secs(5), || (!is_alive(server)).then_some(())).is_some());
    let message = fixture.start_error(|_| {});
    assert!(message.contains("PostgreSQL did not start: "), "{message}");
    fs::write(&settings, good).unwrap();
    fixture.wait_for_new_server(server);
    assert_eq!(client.query("SELECT 1"), "1");
    assert_eq!(client.stop(), "Stopped");
}
