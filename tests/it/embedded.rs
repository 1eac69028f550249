//! The embedded database as processes see it: shared, private, durable.

mod accounts;
mod fixture;
mod killed;
mod refused;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::unistd::{Pid, getsid};

use fixture::{Holder, Place, is_alive, watcher_of};

#[test]
fn twelve_processes_at_once_share_one_server() {
    let place = Place::new();
    let children: Vec<Child> = (0..12).map(|_| place.command().spawn().unwrap()).collect();
    let holders: Vec<Holder> = children.into_iter().map(Holder::ready).collect();
    assert_eq!(
        holders
            .iter()
            .filter(|holder| holder.outcome == "Created")
            .count(),
        1
    );
    assert_eq!(
        holders.iter().filter(|holder| holder.outcome == "Joined").count(),
        11
    );
    for holder in &holders {
        assert_eq!(
            holder.query("SHOW data_directory"),
            place.base.join("data").display().to_string()
        );
    }
    let server = place.server().unwrap();
    let mut endings: Vec<String> = holders.into_iter().map(Holder::leave).collect();
    assert_eq!(endings.pop().as_deref(), Some("Stopped"));
    assert!(
        endings.iter().all(|ending| ending == "LeftRunning"),
        "{endings:?}"
    );
    assert!(!is_alive(server));
}

#[test]
fn the_last_of_many_who_leave_at_once_stops_the_server() {
    let place = Place::new();
    let mut holders: Vec<Holder> = (0..6).map(|_| place.hold()).collect();
    let server = place.server().unwrap();
    for holder in &mut holders {
        drop(holder.child.stdin.take());
    }
    let endings: Vec<String> = holders.into_iter().map(Holder::leave).collect();
    assert_eq!(
        endings.iter().filter(|ending| *ending == "Stopped").count(),
        1,
        "{endings:?}"
    );
    assert!(!is_alive(server));
}

#[test]
fn leaving_stops_the_server_at_once_and_coming_back_finds_the_data() {
    let place = Place::new();
    let first = place.hold();
    assert_eq!(
        first.query("CREATE TABLE t AS SELECT 42 AS n; SELECT n FROM t"),
        "42"
    );
    let begun = Instant::now();
    assert_eq!(first.leave(), "Stopped");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let second = place.hold();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(second.outcome, "Started");
    assert_eq!(second.query("SELECT n FROM t"), "42");
    second.leave();
}

#[test]
fn the_cluster_is_durable_private_and_checked() {
    let place = Place::new();
    let holder = place.hold();
    for (setting, value) in [
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "100"),
    ] {
        assert_eq!(holder.query(&format!("SHOW {setting}")), value, "{setting}");
    }
    assert_eq!(fs::metadata(&holder.socket_dir).unwrap().mode() & 0o777, 0o700);
    holder.leave();
}

#[test]
fn a_long_path_gets_its_socket_elsewhere_and_others_find_it() {
    let place = Place::below(&"d".repeat(120));
    let first = place.hold();
    let mut command = place.command();
    let second = Holder::ready(command.env("XDG_RUNTIME_DIR", "/nonexistent").spawn().unwrap());
    assert!(!first.socket_dir.starts_with(&place.base));
    assert_eq!(first.socket_dir, second.socket_dir);
    assert_eq!(fs::metadata(&first.socket_dir).unwrap().mode() & 0o777, 0o700);
    assert_eq!(second.query("SELECT 1"), "1");
    let socket_dir = first.socket_dir.clone();
    first.leave();
    assert_eq!(second.leave(), "Stopped");
    fs::remove_dir(socket_dir).unwrap();
}

#[test]
fn spaces_commas_and_quotes_in_the_path_do_no_harm() {
    let place = Place::below("it's a, \"data\" folder");
    let holder = place.hold();
    assert_eq!(holder.query("SELECT 1"), "1");
    assert_eq!(holder.leave(), "Stopped");
}

#[test]
fn the_server_has_a_session_of_its_own() {
    let place = Place::new();
    let holder = place.hold();
    let session = |pid: i32| getsid(Some(Pid::from_raw(pid))).unwrap();
    let server = place.server().unwrap();
    assert_ne!(
        session(server),
        session(i32::try_from(holder.child.id()).unwrap())
    );
    assert_eq!(session(server), session(watcher_of(server)));
    holder.leave();
}
