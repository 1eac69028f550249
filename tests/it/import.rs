//! `skillkeep import` of valid, unusual and malicious folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use nix::unistd::Uid;
use serde_json::{Value, json};
use skillkeep::ids::Digest;

use crate::command::{CommandOutput, PROGRAM, ended, program_as};
use crate::harness::{Client, TestDb};

/// The sample skills of this repository.
pub(crate) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

pub(crate) fn put(root: &Path, file: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub(crate) fn skill_md(name: &str, description: &str) -> String {
    format!("---\nname: {name}\ndescription: {description}\n---\n\n# {name}\n\nDo it.\n")
}

/// Imports into the tenant `acme`; returns the output and its report lines.
pub(crate) fn import(db: &TestDb, folder: &Path, more: &[&str]) -> (CommandOutput, Vec<Value>) {
    let mut arguments = vec!["import", folder.to_str().unwrap(), "--tenant", "acme", "--json"];
    arguments.extend_from_slice(more);
    let ran = ended(db, &arguments);
    let lines = ran.json_lines();
    (ran, lines)
}

pub(crate) fn line<'a>(lines: &'a [Value], source: &str) -> &'a Value {
    let found: Vec<&Value> = lines.iter().filter(|line| line["source"] == source).collect();
    assert_eq!(found.len(), 1, "{source} in {lines:?}");
    found[0]
}

pub(crate) fn reason<'a>(lines: &'a [Value], source: &str) -> &'a str {
    let line = line(lines, source);
    assert_eq!(line["outcome"], "refused", "{line}");
    line["reason"].as_str().unwrap()
}

/// A summary of everything that an import could change.
pub(crate) async fn state(db: &TestDb) -> String {
    db.value(
        "SELECT concat_ws(' ',
            (SELECT count(*) FROM skills), (SELECT count(*) FROM skill_versions), (SELECT count(*) FROM skill_files),
            (SELECT count(*) FROM blobs), (SELECT count(*) FROM audit_logs),
            (SELECT md5(string_agg(tenants::text, ',' ORDER BY id)) FROM tenants),
            (SELECT md5(string_agg(skills::text, ',' ORDER BY id)) FROM skills),
            (SELECT md5(string_agg(skill_versions::text, ',' ORDER BY id)) FROM skill_versions))",
    )
    .await
}

/// The bytes of a file in a result of `install_skill`.
fn bytes_of(file: &Value) -> Vec<u8> {
    let content = file["content"].as_str().unwrap();
    match file["encoding"].as_str().unwrap() {
        "utf-8" => content.as_bytes().to_vec(),
        "base64" => base64::engine::general_purpose::STANDARD.decode(content).unwrap(),
        other => panic!("{other}"),
    }
}

/// Installs a skill and compares every file with the imported folder. Returns the number of files.
pub(crate) async fn assert_installs_what_is_on_disk(client: &Client, skill: &str, folder: &Path) -> usize {
    let mut arguments = json!({"skill": skill, "assistant": "claude-code", "max_chars": 80_000});
    // By path: the bytes of all pages, and what the last one says of the file.
    let mut installed: BTreeMap<String, (Vec<u8>, Value)> = BTreeMap::new();
    loop {
        let page = client.ok("install_skill", arguments.clone()).await;
        for piece in page["files"].as_array().unwrap() {
            let path = piece["path"].as_str().unwrap().to_owned();
            let (bytes, file) = installed.entry(path).or_default();
            bytes.extend(bytes_of(piece));
            *file = piece.clone();
        }
        match page.get("next_cursor") {
            Some(cursor) => arguments["cursor"] = cursor.clone(),
            None => break,
        }
    }
    for (path, (content, file)) in &installed {
        let mut on_disk = folder.join(path);
        if path == "SKILL.md" && !on_disk.exists() {
            on_disk = folder.join("skill.md");
        }
        let bytes = fs::read(&on_disk).unwrap_or_else(|error| panic!("{}: {error}", on_disk.display()));
        assert_eq!(file["digest"], Digest::of(&bytes).to_string(), "{skill}/{path}");
        assert_eq!(file["size"], bytes.len(), "{skill}/{path}");
        assert!(*content == bytes, "{skill}/{path}: the contents differ");
        let mode = fs::metadata(&on_disk).unwrap().permissions().mode();
        assert_eq!(file["executable"], mode & 0o100 != 0, "{skill}/{path}");
    }
    installed.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_stored_exactly_and_reimport_changes_nothing() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (ran, lines) = import(&db, &samples(), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line["outcome"] == "created"), "{lines:?}");

    let key = db.full_key(acme).await;
    let client = Client::connect(&db.service(), &key).await;
    let mut files = 0;
    for line in &lines {
        let source = line["source"].as_str().unwrap();
        files += assert_installs_what_is_on_disk(
            &client,
            line["skill"].as_str().unwrap(),
            &samples().join(source),
        )
        .await;
    }
    let on_disk = walkdir::WalkDir::new(samples())
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .count();
    assert_eq!(files, on_disk);

    let before = state(&db).await;
    let (ran, lines) = import(&db, &samples(), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        lines.iter().all(|line| line["outcome"] == "unchanged"),
        "{lines:?}"
    );
    assert_eq!(state(&db).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_file_creates_new_version_and_keeps_the_old() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "fill-pdf/SKILL.md",
        skill_md("fill-pdf", "Fills in forms."),
    );
    put(root.path(), "fill-pdf/notes.txt", "one");
    let (_, first) = import(&db, root.path(), &[]);
    put(root.path(), "fill-pdf/notes.txt", "two");
    let (_, second) = import(&db, root.path(), &[]);
    assert_eq!(second[0]["outcome"], "updated");
    assert_ne!(first[0]["version"], second[0]["version"]);
    assert_ne!(first[0]["digest"], second[0]["digest"]);

    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    for (version, text) in [(&first[0]["version"], "one"), (&second[0]["version"], "two")] {
        let install = client
            .ok(
                "install_skill",
                json!({"skill": "fill-pdf", "version": version, "assistant": "codex"}),
            )
            .await;
        assert_eq!(install["files"][1]["content"], text, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_skills_with_one_name_are_both_imported() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "ada/review/SKILL.md",
        skill_md("review", "Reviews code."),
    );
    put(
        root.path(),
        "bob/review/SKILL.md",
        skill_md("review", "Reviews prose."),
    );
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(line(&lines, "ada/review")["skill"], "review");
    let second = line(&lines, "bob/review")["skill"].as_str().unwrap();
    assert!(second.contains("bob") && second.contains("review"), "{second}");
    let (_, again) = import(&db, root.path(), &[]);
    assert!(
        again.iter().all(|line| line["outcome"] == "unchanged"),
        "{again:?}"
    );
    assert_eq!(line(&again, "bob/review")["skill"], second);
}

#[tokio::test(flavor = "multi_thread")]
async fn fix_stores_a_conformant_skill_and_keeps_the_folder() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    let broken =
        "---\nname: Fill PDF!\ndescription: Fills in: forms\nmetadata: {version: 1.0}\n---\n\nDo it.\n";
    put(root.path(), "fill-pdf/SKILL.md", broken);
    let (_, plain) = import(&db, root.path(), &[]);
    assert_eq!(plain[0]["fixed"], false);
    assert!(!plain[0]["notes"].as_array().unwrap().is_empty());
    let (ran, fixed) = import(&db, root.path(), &["--fix"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(fixed[0]["fixed"], true, "{fixed:?}");
    assert_eq!(
        fs::read_to_string(root.path().join("fill-pdf/SKILL.md")).unwrap(),
        broken
    );
    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    let install = client
        .ok(
            "install_skill",
            json!({"skill": fixed[0]["skill"], "assistant": "folder"}),
        )
        .await;
    let stored = install["files"][0]["content"].as_str().unwrap();
    assert!(
        stored.contains("name: fill-pdf\n") && stored.ends_with("\nDo it.\n"),
        "{stored}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_skills_are_refused_with_reason_and_others_imported() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    let bad = |name: &str| put(root.path(), &format!("{name}/SKILL.md"), skill_md(name, "Bad."));
    put(root.path(), "a-good/SKILL.md", skill_md("a-good", "Good."));
    put(root.path(), "binary/SKILL.md", b"---\nname: b\n\0\0\xFF\xFE");
    put(root.path(), "nul/SKILL.md", b"---\nname: b\n---\n\0\0");
    bad("pipe");
    nix::unistd::mkfifo(&root.path().join("pipe/p"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    bad("link");
    symlink("/etc/passwd", root.path().join("link/passwd")).unwrap();
    bad("huge");
    fs::File::create(root.path().join("huge/film.bin"))
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    bad("many");
    for n in 0..600 {
        put(root.path(), &format!("many/{n}.txt"), "");
    }
    put(root.path(), "blank/SKILL.md", "  \n");
    put(
        root.path(),
        "odd-yaml/SKILL.md",
        "---\nname: odd-yaml\ndescription: [never: closed\n---\n\nWords.\n",
    );
    put(root.path(), "z-good/SKILL.md", skill_md("z-good", "Good."));

    let start = Instant::now();
    let (ran, lines) = import(&db, root.path(), &[]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(ran.code, 1, "{ran:?}");
    for (source, expected) in [
        ("binary", "SKILL.md is not UTF-8"),
        ("nul", "NUL byte"),
        ("pipe", "is a pipe"),
        ("link", "is a link"),
        ("huge", "16777216 bytes"),
        ("many", "more than 512 files"),
        ("blank", "SKILL.md is empty"),
    ] {
        let reason = reason(&lines, source);
        assert!(reason.contains(expected), "{source}: {reason}");
    }
    assert_eq!(line(&lines, "a-good")["outcome"], "created");
    assert_eq!(line(&lines, "z-good")["outcome"], "created");
    let odd = line(&lines, "odd-yaml");
    assert_eq!(odd["outcome"], "created", "{odd}");
    assert!(odd["notes"].to_string().contains("not_yaml"), "{odd}");
    assert!(!ran.out.contains("root:x:0"), "the target of the link was read");

    let refused: i64 = db
        .value("SELECT count(*) FROM skills WHERE slug IN ('pipe', 'link', 'huge', 'many')")
        .await;
    assert_eq!(refused, 0);
}

/// Root can read every file, so if the test runs as root, it runs the program as another user.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_file_is_named_in_the_refusal() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    put(root.path(), "good/SKILL.md", skill_md("good", "Good."));
    put(
        root.path(),
        "unreadable/SKILL.md",
        skill_md("unreadable", "Unreadable."),
    );
    put(root.path(), "unreadable/secret.txt", "secret");
    fs::set_permissions(
        root.path().join("unreadable/secret.txt"),
        fs::Permissions::from_mode(0o000),
    )
    .unwrap();

    let folder = root.path().to_str().unwrap();
    let arguments = ["import", folder, "--tenant", "acme", "--json"];
    let mut command = program_as("skillkeep_owner", &db, &arguments);
    let copy = tempfile::tempdir().unwrap();
    if Uid::effective().is_root() {
        // Only the cluster's own account, which is not root, may use its socket, so the program runs as that account; from a
        // copy, because the account may not be allowed to read the build folder.
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = copy.path().join("skillkeep");
        fs::copy(PROGRAM, &program).unwrap();
        let account = fs::metadata(socket_of(&command)).unwrap();
        let mut other = std::process::Command::new(program);
        other
            .args(arguments)
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .uid(std::os::unix::fs::MetadataExt::uid(&account))
            .gid(std::os::unix::fs::MetadataExt::gid(&account))
            .current_dir("/")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command = other;
    }
    let ran = CommandOutput::of(&mut command);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines = ran.json_lines();
    let reason = reason(&lines, "unreadable");
    assert!(
        reason.contains("secret.txt") && reason.contains("cannot be read"),
        "{reason}"
    );
    assert_eq!(line(&lines, "good")["outcome"], "created");
}

/// The socket directory in the `DATABASE_URL` of a command.
fn socket_of(command: &std::process::Command) -> PathBuf {
    let url = command
        .get_envs()
        .find(|(name, _)| *name == "DATABASE_URL")
        .and_then(|(_, value)| value)
        .unwrap()
        .to_str()
        .unwrap();
    PathBuf::from(
        url.split(' ')
            .find_map(|part| part.strip_prefix("host="))
            .unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_without_skills_or_missing_folder_exits_with_3() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!((ran.code, lines.len()), (3, 0), "{ran:?}");
    assert!(
        ran.err.contains("there is no SKILL.md in or below"),
        "{}",
        ran.err
    );
    let (ran, _) = import(&db, &root.path().join("nowhere"), &[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("cannot be read"), "{}", ran.err);
    put(root.path(), "x/SKILL.md", "");
    assert_eq!(import(&db, root.path(), &[]).0.code, 1, "every skill was refused");
}
