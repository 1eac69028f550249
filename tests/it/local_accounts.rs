//! What another account of the machine can see, replace or reach: keys, folders, the embedded database.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;
use tokio_postgres::NoTls;

use crate::command::{CommandOutput, program};
use crate::harness::Cluster;

/// Nothing listens here, so a command that has a key ends with exit code 5.
const NOWHERE: [&str; 4] = ["call", "whoami", "--url", "http://127.0.0.1:9"];
const UNREACHABLE: i32 = 5;

fn key() -> String {
    let key = ApiKey::generate(TenantId::new(), &mut rand::rng());
    key.reveal().to_owned()
}

#[test]
fn key_file_is_read_only_if_others_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, format!("  {}\n", key())).unwrap();
    let run = || {
        let mut command = program(&NOWHERE);
        CommandOutput::of(command.arg("--api-key-file").arg(&path))
    };
    for (mode, code) in [
        (0o600, UNREACHABLE),
        (0o400, UNREACHABLE),
        (0o604, 4),
        (0o620, 4),
        (0o644, 4),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ran = run();
        assert_eq!(ran.code, code, "{mode:o}: {ran:?}");
        assert!(!ran.err.contains("skeep_"), "{ran:?}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for text in ["", "root:x:0:0", &"x".repeat(5000)] {
        fs::write(&path, text).unwrap();
        let ran = run();
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(!ran.err.contains("root:x"), "{ran:?}");
    }
}

#[test]
fn key_is_read_from_stdin_where_it_is_free() {
    let run = |arguments: &[&str]| {
        let mut command = program(arguments);
        command.args(["--api-key-file", "-"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The command may end without reading.
        let _ = writeln!(stdin, "{}", key());
        drop(stdin);
        CommandOutput::end(child)
    };
    assert_eq!(run(&NOWHERE).code, UNREACHABLE);
    let ran = run(&["bridge", "http://127.0.0.1:9"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("stdin is not free"), "{ran:?}");
}

#[test]
fn key_is_no_argument_of_any_command() {
    for command in ["stdio", "bridge", "call", "publish", "connect"] {
        let ran = CommandOutput::of(&mut program(&[command, "--api-key", &key()]));
        assert_eq!(ran.code, 2, "{command}: {ran:?}");
        assert!(
            ran.err.contains("unexpected argument '--api-key'"),
            "{command}: {ran:?}"
        );
    }
}

#[test]
fn data_folder_that_another_account_can_replace_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let open = parent.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o757)).unwrap();
    symlink(&open, parent.path().join("link")).unwrap();
    for path in [
        open.join("data"),
        open.join("a/b"),
        parent.path().join("link/data"),
    ] {
        let mut command = program(&["tenant", "list", "--data-dir"]);
        let ran = CommandOutput::of(command.arg(&path));
        assert_eq!(ran.code, 5, "{ran:?}");
        let is_named = ran.err.contains("another account can replace the data folder")
            && ran.err.contains(&open.display().to_string());
        assert!(is_named, "{ran:?}");
    }
    assert_eq!(fs::read_dir(open).unwrap().count(), 0, "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_database_admits_accounts_by_its_map_only() {
    let config = Cluster::get().config("role_that_no_map_names", "postgres");
    let error = config.connect(NoTls).await.err().unwrap();
    let message = error.as_db_error().unwrap().message();
    assert!(message.contains("Peer authentication failed"), "{message}");
}
