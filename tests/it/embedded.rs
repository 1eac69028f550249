//! The embedded PostgreSQL used by several processes: shared, private, durable.

mod accounts;
mod fixture;
mod killed;
mod start_errors;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, getsid};

use fixture::{ClientProcess, Fixture, is_alive, supervisor_of};

#[test]
fn twelve_simultaneous_processes_share_one_server() {
    let fixture = Fixture::new();
    let children: Vec<Child> = (0..12).map(|_| fixture.command().spawn().unwrap()).collect();
    let clients: Vec<ClientProcess> = children.into_iter().map(ClientProcess::ready).collect();
    assert_eq!(
        clients
            .iter()
            .filter(|client| client.outcome == "Created")
            .count(),
        1
    );
    assert_eq!(
        clients.iter().filter(|client| client.outcome == "Joined").count(),
        11
    );
    for client in &clients {
        assert_eq!(
            client.query("SHOW data_directory"),
            fixture.base.join("data").display().to_string()
        );
    }
    let server = fixture.server_pid().unwrap();
    let mut outcomes: Vec<String> = clients.into_iter().map(ClientProcess::stop).collect();
    assert_eq!(outcomes.pop().as_deref(), Some("Stopped"));
    assert!(
        outcomes.iter().all(|outcome| outcome == "LeftRunning"),
        "{outcomes:?}"
    );
    assert!(!is_alive(server));
}

#[test]
fn last_of_many_simultaneous_stops_ends_the_server() {
    let fixture = Fixture::new();
    let mut clients: Vec<ClientProcess> = (0..6).map(|_| fixture.start_client()).collect();
    let server = fixture.server_pid().unwrap();
    for client in &mut clients {
        drop(client.child.stdin.take());
    }
    let outcomes: Vec<String> = clients.into_iter().map(ClientProcess::stop).collect();
    assert_eq!(
        outcomes.iter().filter(|outcome| *outcome == "Stopped").count(),
        1,
        "{outcomes:?}"
    );
    assert!(!is_alive(server));
}

#[test]
fn last_client_stops_the_server_and_data_survives_restart() {
    let fixture = Fixture::new();
    let first = fixture.start_client();
    assert_eq!(
        first.query("CREATE TABLE t AS SELECT 42 AS n; SELECT n FROM t"),
        "42"
    );
    let started = Instant::now();
    assert_eq!(first.stop(), "Stopped");
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    let started = Instant::now();
    let second = fixture.start_client();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(second.outcome, "Started");
    assert_eq!(second.query("SELECT n FROM t"), "42");
    second.stop();
}

#[test]
fn cluster_is_durable_private_and_has_checksums() {
    let fixture = Fixture::new();
    let client = fixture.start_client();
    for (setting, value) in [
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "100"),
    ] {
        assert_eq!(client.query(&format!("SHOW {setting}")), value, "{setting}");
    }
    assert_eq!(fs::metadata(&client.socket_dir).unwrap().mode() & 0o777, 0o700);
    client.stop();
}

#[test]
fn socket_of_long_data_folder_is_found_by_other_processes() {
    let fixture = Fixture::with_folder_name(&"d".repeat(120));
    let first = fixture.start_client();
    let mut command = fixture.command();
    let second = ClientProcess::ready(command.env("XDG_RUNTIME_DIR", "/nonexistent").spawn().unwrap());
    assert!(!first.socket_dir.starts_with(&fixture.base));
    assert_eq!(first.socket_dir, second.socket_dir);
    assert_eq!(fs::metadata(&first.socket_dir).unwrap().mode() & 0o777, 0o700);
    assert_eq!(second.query("SELECT 1"), "1");
    let socket_dir = first.socket_dir.clone();
    first.stop();
    assert_eq!(second.stop(), "Stopped");
    fs::remove_dir(socket_dir).unwrap();
}

#[test]
fn data_folder_may_contain_spaces_commas_and_quotes() {
    let fixture = Fixture::with_folder_name("it's a, \"data\" folder");
    let client = fixture.start_client();
    assert_eq!(client.query("SELECT 1"), "1");
    assert_eq!(client.stop(), "Stopped");
}

#[test]
fn server_runs_in_its_own_session() {
    let fixture = Fixture::new();
    let client = fixture.start_client();
    let session = |pid: i32| getsid(Some(Pid::from_raw(pid))).unwrap();
    let server = fixture.server_pid().unwrap();
    assert_ne!(
        session(server),
        session(i32::try_from(client.child.id()).unwrap())
    );
    assert_eq!(session(server), session(supervisor_of(server)));
    client.stop();
}
