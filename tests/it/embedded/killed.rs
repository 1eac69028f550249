//! The embedded database when users, watcher and server are killed in every order.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::fixture::{Place, assert_ends_within, is_alive, kill_hard, watcher_of, within};

#[test]
fn a_killed_user_leaves_the_server_to_the_others() {
    let place = Place::new();
    let (mut killed, other) = (place.hold(), place.hold());
    let server = place.server().unwrap();
    killed.kill();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(place.server(), Some(server));
    assert!(other.accepts());
    assert_eq!(other.leave(), "Stopped");
}

#[test]
fn killing_the_last_user_ends_server_and_watcher_within_a_second() {
    let place = Place::new();
    let (mut first, mut second) = (place.hold(), place.hold());
    let server = place.server().unwrap();
    let watcher = watcher_of(server);
    first.kill();
    second.kill();
    assert_ends_within(Duration::from_secs(1), server);
    assert_ends_within(Duration::from_secs(1), watcher);
}

#[test]
fn a_killed_server_comes_back_with_its_data_every_time() {
    let place = Place::new();
    let holder = place.hold();
    holder.query("CREATE TABLE t(n int)");
    let mut server = place.server().unwrap();
    for round in 0..10 {
        holder.query(&format!("INSERT INTO t VALUES ({round})"));
        kill_hard(server);
        server = place.other_server(server);
        assert_eq!(holder.query("SELECT count(*) FROM t"), (round + 1).to_string());
    }
    assert_eq!(holder.leave(), "Stopped");
    assert!(!is_alive(server));
}

#[test]
fn a_killed_watcher_is_replaced_by_a_user() {
    let place = Place::new();
    let (first, second) = (place.hold(), place.hold());
    let mut server = place.server().unwrap();
    for _ in 0..5 {
        first.query("CREATE TABLE IF NOT EXISTS t(n int); INSERT INTO t VALUES (1)");
        kill_hard(watcher_of(server));
        let next = place.other_server(server);
        assert_ends_within(Duration::from_secs(1), server);
        server = next;
    }
    assert_eq!(second.query("SELECT count(*) FROM t"), "5");
    assert_eq!(place.hold().outcome, "Joined");
    assert_eq!(first.leave(), "LeftRunning");
    assert_eq!(second.leave(), "Stopped");
    assert!(!is_alive(server));
}

#[test]
fn a_killed_watcher_is_replaced_when_the_server_died_with_it() {
    let place = Place::new();
    let holder = place.hold();
    let server = place.server().unwrap();
    kill_hard(watcher_of(server));
    kill_hard(server);
    place.other_server(server);
    assert_eq!(holder.query("SELECT 1"), "1");
    assert_eq!(holder.leave(), "Stopped");
}

#[test]
fn killing_every_skillkeep_process_at_once_still_ends_the_server() {
    let place = Place::new();
    let (mut first, mut second) = (place.hold(), place.hold());
    let server = place.server().unwrap();
    first.child.kill().unwrap();
    second.child.kill().unwrap();
    kill_hard(watcher_of(server));
    assert_ends_within(Duration::from_secs(2), server);
    first.kill();
    second.kill();
    let third = place.hold();
    assert_eq!(third.outcome, "Started");
    assert_eq!(third.leave(), "Stopped");
}

#[test]
fn stale_files_that_name_a_live_process_do_not_keep_the_server_down() {
    let place = Place::new();
    let holder = place.hold();
    let server = place.server().unwrap().to_string();
    let stale = [
        place.base.join("data/postmaster.pid"),
        holder.socket_dir.join(".s.PGSQL.5432.lock"),
    ];
    let texts = stale.each_ref().map(|path| fs::read_to_string(path).unwrap());
    holder.leave();
    // The id went to another process of PostgreSQL's own account: the case in which PostgreSQL itself would refuse.
    let owner = fs::metadata(place.base.join("data")).unwrap();
    let mut stranger = Command::new("sleep")
        .arg("60")
        .uid(owner.uid())
        .gid(owner.gid())
        .spawn()
        .unwrap();
    for (path, text) in stale.iter().zip(texts) {
        fs::write(path, text.replacen(&server, &stranger.id().to_string(), 1)).unwrap();
    }
    assert_eq!(place.hold().leave(), "Stopped");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn an_interrupted_creation_leaves_nothing_half_done() {
    let place = Place::new();
    let mut child = place.command().spawn().unwrap();
    within(Duration::from_secs(10), || place.left_unfinished().then_some(())).expect("initdb begins");
    child.kill().unwrap();
    child.wait().unwrap();
    let holder = place.hold();
    assert!(!place.left_unfinished());
    assert_eq!(holder.query("SELECT 1"), "1");
    assert_eq!(holder.leave(), "Stopped");
}

#[test]
fn a_folder_left_by_a_killed_initdb_is_cleared_away() {
    let place = Place::new();
    fs::create_dir_all(place.base.join("data.new-1/base")).unwrap();
    let holder = place.hold();
    assert_eq!(holder.outcome, "Created");
    assert!(!place.left_unfinished());
    holder.leave();
}
