//! The embedded PostgreSQL when clients, supervisor and server are killed in every order.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::fixture::{Fixture, assert_ends_within, is_alive, kill_process, poll_until, supervisor_of};

#[test]
fn server_survives_a_killed_client_for_the_others() {
    let fixture = Fixture::new();
    let (mut killed, other) = (fixture.start_client(), fixture.start_client());
    let server = fixture.server_pid().unwrap();
    killed.kill();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(fixture.server_pid(), Some(server));
    assert!(other.can_connect());
    assert_eq!(other.stop(), "Stopped");
}

#[test]
fn killing_the_last_client_ends_server_and_supervisor_within_1s() {
    let fixture = Fixture::new();
    let (mut first, mut second) = (fixture.start_client(), fixture.start_client());
    let server = fixture.server_pid().unwrap();
    let supervisor = supervisor_of(server);
    first.kill();
    second.kill();
    assert_ends_within(Duration::from_secs(1), server);
    assert_ends_within(Duration::from_secs(1), supervisor);
}

#[test]
fn killed_server_is_restarted_with_its_data() {
    let fixture = Fixture::new();
    let client = fixture.start_client();
    client.query("CREATE TABLE t(n int)");
    let mut server = fixture.server_pid().unwrap();
    for round in 0..10 {
        client.query(&format!("INSERT INTO t VALUES ({round})"));
        kill_process(server);
        server = fixture.wait_for_new_server(server);
        assert_eq!(client.query("SELECT count(*) FROM t"), (round + 1).to_string());
    }
    assert_eq!(client.stop(), "Stopped");
    assert!(!is_alive(server));
}

#[test]
fn killed_supervisor_is_replaced_by_a_client() {
    let fixture = Fixture::new();
    let (first, second) = (fixture.start_client(), fixture.start_client());
    let mut server = fixture.server_pid().unwrap();
    for _ in 0..5 {
        first.query("CREATE TABLE IF NOT EXISTS t(n int); INSERT INTO t VALUES (1)");
        kill_process(supervisor_of(server));
        let next = fixture.wait_for_new_server(server);
        assert_ends_within(Duration::from_secs(1), server);
        server = next;
    }
    assert_eq!(second.query("SELECT count(*) FROM t"), "5");
    assert_eq!(fixture.start_client().outcome, "Joined");
    assert_eq!(first.stop(), "LeftRunning");
    assert_eq!(second.stop(), "Stopped");
    assert!(!is_alive(server));
}

#[test]
fn supervisor_killed_together_with_server_is_replaced() {
    let fixture = Fixture::new();
    let client = fixture.start_client();
    let server = fixture.server_pid().unwrap();
    kill_process(supervisor_of(server));
    kill_process(server);
    fixture.wait_for_new_server(server);
    assert_eq!(client.query("SELECT 1"), "1");
    assert_eq!(client.stop(), "Stopped");
}

#[test]
fn server_ends_when_all_skillkeep_processes_are_killed() {
    let fixture = Fixture::new();
    let (mut first, mut second) = (fixture.start_client(), fixture.start_client());
    let server = fixture.server_pid().unwrap();
    first.child.kill().unwrap();
    second.child.kill().unwrap();
    kill_process(supervisor_of(server));
    assert_ends_within(Duration::from_secs(2), server);
    first.kill();
    second.kill();
    let third = fixture.start_client();
    assert_eq!(third.outcome, "Started");
    assert_eq!(third.stop(), "Stopped");
}

#[test]
fn stale_files_naming_a_live_process_do_not_prevent_start() {
    let fixture = Fixture::new();
    let client = fixture.start_client();
    let server = fixture.server_pid().unwrap().to_string();
    let stale = [
        fixture.base.join("data/postmaster.pid"),
        client.socket_dir.join(".s.PGSQL.5432.lock"),
    ];
    let texts = stale.each_ref().map(|path| fs::read_to_string(path).unwrap());
    client.stop();
    // The process id was reused by another process of PostgreSQL's account. PostgreSQL itself would refuse to start.
    let owner = fs::metadata(fixture.base.join("data")).unwrap();
    let mut unrelated = Command::new("sleep")
        .arg("60")
        .uid(owner.uid())
        .gid(owner.gid())
        .spawn()
        .unwrap();
    for (path, text) in stale.iter().zip(texts) {
        fs::write(path, text.replacen(&server, &unrelated.id().to_string(), 1)).unwrap();
    }
    assert_eq!(fixture.start_client().stop(), "Stopped");
    unrelated.kill().unwrap();
    unrelated.wait().unwrap();
}

#[test]
fn interrupted_creation_leaves_no_partial_cluster() {
    let fixture = Fixture::new();
    let mut child = fixture.command().spawn().unwrap();
    poll_until(Duration::from_secs(10), || {
        fixture.has_unfinished_cluster().then_some(())
    })
    .expect("initdb did not begin");
    child.kill().unwrap();
    child.wait().unwrap();
    let client = fixture.start_client();
    assert!(!fixture.has_unfinished_cluster());
    assert_eq!(client.query("SELECT 1"), "1");
    assert_eq!(client.stop(), "Stopped");
}

#[test]
fn folder_left_by_a_killed_initdb_is_removed() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.base.join("data.new-1/base")).unwrap();
    let client = fixture.start_client();
    assert_eq!(client.outcome, "Created");
    assert!(!fixture.has_unfinished_cluster());
    client.stop();
}
