//! `skillkeep serve` and `migrate`: conditions for a start, and the errors if they are not met.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::assert_fails;
use crate::command::{CommandOutput, admin, ended, program, program_as};
use crate::harness::{Cluster, TestDb};

#[tokio::test(flavor = "multi_thread")]
async fn serve_rejects_a_role_with_too_many_privileges() {
    let db = TestDb::new().await;
    let superuser = Cluster::get().superuser(&db.name);
    for (role, why) in [
        ("skillkeep_owner", "owns tables of the registry"),
        ("skillkeep_admin", "may administer the registry"),
        (superuser.user().unwrap(), "is a superuser"),
    ] {
        let ran = CommandOutput::of(&mut program_as(role, &db, &["serve", "--listen", "127.0.0.1:0"]));
        assert_fails(&ran, 4, why);
        assert_eq!(ran.out, "");
    }
    let ran = CommandOutput::of(&mut program_as("skillkeep_app", &db, &["tenant", "list"]));
    assert_fails(&ran, 4, "may not administer the registry");
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_mismatch_is_rejected_with_the_command_that_solves_it() {
    let db = TestDb::new().await;
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let superuser = db.superuser().await;
    superuser
        .batch_execute(
            "INSERT INTO skillkeep_migrations (version, name, checksum) VALUES (9999, '9999_future', '')",
        )
        .await
        .unwrap();
    assert_fails(
        &CommandOutput::of(&mut program_as("skillkeep_app", &db, &serve)),
        6,
        "install a newer skillkeep",
    );
    assert_fails(&ended(&db, &["migrate"]), 6, "install a newer skillkeep");
    superuser
        .batch_execute("DROP TABLE skillkeep_migrations")
        .await
        .unwrap();
    assert_fails(
        &CommandOutput::of(&mut program_as("skillkeep_app", &db, &serve)),
        6,
        "run `skillkeep migrate`",
    );
    assert_fails(&ended(&db, &["migrate"]), 6, "tables of another application");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_migrate_does_nothing_and_print_needs_no_database() {
    let db = TestDb::new().await;
    let ran = admin(&db, &["migrate", "--json"]).json();
    assert_eq!(ran["applied"], serde_json::json!([]));
    let printed = CommandOutput::of(
        program(&["migrate", "--print"]).env("DATABASE_URL", "host=/nonexistent user=nobody"),
    );
    assert_eq!(printed.code, 0, "{printed:?}");
    for part in [
        "BEGIN;",
        "FORCE ROW LEVEL SECURITY",
        "tenant_isolation",
        "COMMIT;",
    ] {
        assert!(printed.out.contains(part), "{part}");
    }
}

#[test]
fn database_errors_do_not_contain_the_password() {
    for (url, code, message) in [
        (
            "postgres://ada:marzipan@127.0.0.1:1/db",
            5,
            "the database cannot be reached: 127.0.0.1:1 refuses connections",
        ),
        (
            "postgres://ada:marzipan@host.invalid/db",
            5,
            "no host of host.invalid:5432 is known",
        ),
        (
            "host=/nonexistent user=ada password=marzipan",
            5,
            "there is no socket of PostgreSQL at /nonexistent:5432",
        ),
        ("postgres://ada:marzipan@host/db?x=1", 2, "has a parameter x"),
        (
            "postgres://ada:marzipan@host/db?sslcert=/nonexistent&sslkey=/nonexistent",
            5,
            "the file /nonexistent of sslcert",
        ),
        ("postgres://ada:marzipan@[/db", 2, "is not a PostgreSQL address"),
        ("mysql://ada:marzipan@host/db", 2, "is not a PostgreSQL address"),
        ("password=marzipan dbname=db", 2, "names no host"),
    ] {
        for arguments in [&["tenant", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let ran = CommandOutput::of(
                program(arguments)
                    .env("DATABASE_URL", url)
                    .env("SKILLKEEP_LOG", "trace"),
            );
            assert_fails(&ran, code, message);
            assert!(!format!("{ran:?}").contains("marzipan"), "{ran:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn port_in_use_is_reported_at_once() {
    let db = TestDb::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = CommandOutput::of(&mut program_as(
        "skillkeep_app",
        &db,
        &["serve", "--listen", &address],
    ));
    assert_fails(&ran, 4, &format!("the address {address} is in use"));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_exits_with_0_after_sigterm() {
    use std::io::BufRead as _;
    let db = TestDb::new().await;
    let mut child = program_as("skillkeep_app", &db, &["serve", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("skillkeep serves http://127.0.0.1:"), "{line}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn trusted_proxy_must_be_an_address_or_a_network() {
    for wrong in ["proxy.example.com", "10.0.0.0/33"] {
        let ran = CommandOutput::of(&mut program(&["serve", "--trusted-proxy", wrong]));
        assert_fails(&ran, 2, "is not an address or network");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_gives_up_its_rights_for_the_named_account() {
    let db = TestDb::new().await;
    let run_as = |account: &'static str| ["serve", "--listen", "127.0.0.1:0", "--run-as", account];
    let with_database = |account| program_as("skillkeep_app", &db, &run_as(account));
    if !nix::unistd::Uid::effective().is_root() {
        let ran = CommandOutput::of(&mut with_database("nobody"));
        assert_fails(&ran, 2, "only root can become another account");
        return;
    }
    for (account, why) in [
        ("no-such-account", "no account no-such-account"),
        ("root", "root's rights"),
    ] {
        assert_fails(&CommandOutput::of(&mut with_database(account)), 2, why);
    }
    let embedded = CommandOutput::of(&mut program(&run_as("nobody")));
    assert_fails(&embedded, 2, "the embedded PostgreSQL needs root");
    let mut child = with_database("nobody").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line
        .strip_prefix("skillkeep serves http://")
        .and_then(|rest| rest.strip_suffix("/mcp"))
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let mut threads = 0;
    for thread in std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        for (field, id) in [("Uid:", nobody.uid.as_raw()), ("Gid:", nobody.gid.as_raw())] {
            let ids = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            assert!(
                ids.split_whitespace().all(|found| found == id.to_string()),
                "{status}"
            );
        }
        let groups = status
            .lines()
            .find_map(|line| line.strip_prefix("Groups:"))
            .unwrap();
        assert!(!groups.split_whitespace().any(|group| group == "0"), "{status}");
        threads += 1;
    }
    assert!(threads > 1, "{threads} threads");
    let health = reqwest::get(format!("http://{address}/healthz")).await.unwrap();
    assert!(health.status().is_success());
    child.kill().unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().all(|line| !line.contains("runs as root")), "{rest:?}");
    child.wait().unwrap();
}
