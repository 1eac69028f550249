//! `skillkeep publish` with the real program: in the local database and in a registry over HTTP.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agent_skills::SkillFile;
use serde_json::json;
use skillkeep::tenancy::{ApiKey, Scope};

use crate::command::{CommandOutput, admin, ended, program};
use crate::harness::TestDb;
use crate::http_server::serve;
use crate::upload::{SKILL_MD, files, hostile_zip, stored_files, tar_gz, zip};

/// The skill as a folder with its name.
fn folder(root: &Path, files: &[SkillFile]) -> PathBuf {
    let folder = root.join("fold-map");
    for file in files {
        let path = folder.join(file.path.as_str());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &file.bytes).unwrap();
        let mode = if file.is_executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

/// `skillkeep publish PATH --url URL` with further arguments.
fn publish(path: &Path, url: &str, key: &ApiKey, arguments: &[&str]) -> Command {
    let mut command = program(&["publish", path.to_str().unwrap(), "--url", url]);
    command.args(arguments).env("SKILLKEEP_API_KEY", key.reveal());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_is_published_byte_for_byte_in_the_local_database() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    let path = folder(root.path(), &files());
    let path = path.to_str().unwrap();
    let arguments = [
        "publish",
        path,
        "--tenant",
        "acme",
        "--version",
        "1.0.0",
        "--note",
        "First",
    ];
    let published = admin(&db, &arguments);
    assert_eq!(published.out, "created fold-map 1.0.0 (published)\n");
    assert_eq!(stored_files(&db, "fold-map").await, files());
    let again = admin(&db, &["publish", path, "--tenant", "acme", "--json"]).json();
    assert_eq!(
        (&again["outcome"], &again["version"]),
        (&json!("unchanged"), &json!("1.0.0"))
    );
    for (name, bytes) in [("fold-map.zip", zip()), ("fold-map.tgz", tar_gz())] {
        let file = root.path().join(name);
        fs::write(&file, bytes).unwrap();
        let found = admin(
            &db,
            &["publish", file.to_str().unwrap(), "--tenant", "acme", "--json"],
        );
        assert_eq!(found.json(), again, "{name}");
    }
    fs::write(root.path().join("fold-map/assets/map.bin"), "other").unwrap();
    let taken = ended(&db, &arguments);
    assert!(
        taken.code == 4 && taken.err.contains("already exists"),
        "{taken:?}"
    );
    let draft = admin(&db, &["publish", path, "--tenant", "acme", "--draft"]);
    assert!(draft.out.ends_with("(draft)\n"), "{draft:?}");
    let submitted = admin(&db, &["publish", path, "--tenant", "acme"]);
    assert!(
        submitted.out.starts_with("submitted ") && submitted.out.ends_with("(published)\n"),
        "{submitted:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_archive_and_stdin_are_published_in_a_registry() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let url = format!("http://{}", serve(&db.service()).await);
    let root = tempfile::tempdir().unwrap();
    let path = folder(root.path(), &files());
    let published = CommandOutput::of(&mut publish(&path, &url, &key, &["--json", "--version", "2.0.0"]));
    assert_eq!(published.code, 0, "{published:?}");
    let published = published.json();
    assert_eq!(
        (&published["skill"], &published["outcome"]),
        (&json!("fold-map"), &json!("created"))
    );
    assert_eq!(stored_files(&db, "fold-map").await, files());
    let file = root.path().join("other-name.tar.gz");
    fs::write(&file, tar_gz()).unwrap();
    let again = CommandOutput::of(&mut publish(&file, &url, &key, &[]));
    assert_eq!(again.out, "unchanged fold-map 2.0.0 (published)\n", "{again:?}");
    let mut command = publish(Path::new("-"), &url, &key, &["--json"]);
    let archive = fs::File::open(&file).unwrap();
    let from_stdin = CommandOutput::of(command.stdin(Stdio::from(archive))).json();
    assert_eq!(from_stdin["digest"], published["digest"]);
    let sent = ("publish_skill".to_owned(), "ok".to_owned());
    assert_eq!(db.events(tenant).await, vec![sent; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_a_registry_have_their_exit_codes() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let reader = db.key(tenant, "bea@example.com", &[Scope::SkillsRead]).await.1;
    let at = serve(&db.service()).await;
    let url = format!("http://{at}");
    let root = tempfile::tempdir().unwrap();
    let path = folder(root.path(), &files());
    let run = |url: &str, key: &ApiKey, arguments: &[&str]| {
        let output = CommandOutput::of(&mut publish(&path, url, key, arguments));
        assert!(!output.err.contains(key.reveal()), "{output:?}");
        (output.code, output.err)
    };
    let other: ApiKey = ApiKey::generate(tenant, &mut rand::rng());
    for (url, key, arguments, code, reason) in [
        (&*url, &reader, &[][..], 4, "skills:publish"),
        (&url, &other, &[], 4, "API key"),
        (&url, &key, &["--version", "latest build!"], 1, "version"),
        (&format!("{url}/elsewhere/mcp"), &key, &[], 2, "not a registry"),
        ("http://127.0.0.1:1", &key, &[], 5, "unreachable"),
        ("http://registry.example", &key, &[], 2, "--allow-http"),
    ] {
        let (found, message) = run(url, key, arguments);
        assert!(
            found == code && message.contains(reason),
            "{url}: {found} {message}"
        );
    }
    let without_key = CommandOutput::of(&mut program(&["publish", path.to_str().unwrap(), "--url", &url]));
    assert!(
        without_key.code == 2 && without_key.err.contains("SKILLKEEP_API_KEY"),
        "{without_key:?}"
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM skills").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_skill_is_refused_before_it_is_sent() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    let run = |path: &Path, arguments: &[&str]| {
        let mut all = vec!["publish", path.to_str().unwrap(), "--tenant", "acme"];
        all.extend(arguments);
        let output = ended(&db, &all);
        (output.code, output.err)
    };
    let archive = |name: &str, bytes: &[u8]| {
        let path = root.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut large = zip();
    large.resize(19 << 20, 0);
    for (path, code, reason) in [
        (archive("hostile.zip", &hostile_zip()), 1, "\"../escaped\""),
        (archive("cut.zip", &zip()[..100]), 1, "truncated"),
        (archive("large.zip", &large), 1, "limit: 18874368"),
        (archive("SKILL.md", SKILL_MD.as_bytes()), 1, "a text file"),
        (root.path().join("nowhere.zip"), 3, "nowhere.zip"),
    ] {
        let (found, message) = run(&path, &[]);
        assert!(
            found == code && message.contains(reason),
            "{}: {found} {message}",
            path.display()
        );
    }
    let with_skill_md = |text: &[u8]| {
        let mut files = files();
        files[0].bytes = text.to_vec();
        folder(root.path(), &files)
    };
    let path = with_skill_md(b"---\nname: fold-map\ndescription: \xFF\n---\n");
    let (code, message) = run(&path, &[]);
    assert!(code == 1 && message.contains("SKILL.md:3: "), "{message}");
    let path = with_skill_md(b"---\ndescription: Folds.\nname: Fold Map\n---\nFold.\n");
    let (code, message) = run(&path, &["--strict"]);
    assert!(
        code == 1 && message.contains("SKILL.md:3: error[name_invalid]: "),
        "{message}"
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM skills").await, 0);
    let (code, message) = run(&path, &[]);
    assert!(code == 0 && message.contains("error[name_invalid]"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_left_out_and_named() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    let path = folder(root.path(), &files());
    fs::write(path.join(".env"), "PASSWORD=hunter2\n").unwrap();
    let path = path.to_str().unwrap();
    let published = admin(&db, &["publish", path, "--tenant", "acme"]);
    assert!(published.err.contains("\".env\""), "{published:?}");
    assert_eq!(stored_files(&db, "fold-map").await, files());
    let again = admin(&db, &["publish", path, "--tenant", "acme", "--include", ".env"]);
    assert!(again.out.starts_with("updated "), "{again:?}");
}
