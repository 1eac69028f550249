//! Archives that `write_zip` writes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use agent_skills::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use agent_skills::{
    Collision, Digest, SkillFile, SkillFolder, SkillPath, ZipError, read_folder, read_skill_archive,
    write_zip,
};
use proptest::prelude::*;

use crate::SKILL_MD;

fn file(path: &str, bytes: &[u8], is_executable: bool) -> SkillFile {
    SkillFile {
        path: SkillPath::parse(path).unwrap(),
        bytes: bytes.to_vec(),
        is_executable,
    }
}

fn files() -> Vec<SkillFile> {
    vec![
        file("scripts/run.sh", b"#!/bin/sh\n", true),
        file("SKILL.md", SKILL_MD, false),
        file("références/café.md", b"", false),
        file("assets/data.bin", &[0, 255, 13, 10], false),
    ]
}

/// Published digests depend on these bytes: this test must never change.
#[test]
fn archive_of_fixed_files_has_a_fixed_digest() {
    let archive = write_zip(&files()).unwrap();
    assert_eq!(
        Digest::of(&archive).to_string(),
        "sha256:61290c551cc0d4ba5709baee62ca3264c9992428db8b1d1d67a0418c122c32b1"
    );
    let mut reversed = files();
    reversed.reverse();
    assert_eq!(write_zip(&reversed).unwrap(), archive);
    assert_eq!(
        Digest::of(&write_zip(&[]).unwrap()).to_string(),
        "sha256:8739c76e681f900923b900c9df0ef75cf421d39cabb54650c4b9ad19b6a76d85"
    );
}

#[test]
fn files_that_collide_are_not_written() {
    let found = write_zip(&[file("a", b"", false), file("A", b"", false)]);
    assert!(
        matches!(found, Err(ZipError::Collision(Collision::SameName { .. }))),
        "{found:?}"
    );
}

#[test]
fn largest_skill_is_written_and_read_back() {
    let name = |n: usize| format!("{}/{n:0200}", ["d".repeat(250).as_str(); 3].join("/"));
    let mut files = vec![file("SKILL.md", SKILL_MD, false)];
    files.extend((1..MAX_FILES).map(|n| file(&name(n), b"", false)));
    let rest = usize::try_from(MAX_TOTAL_BYTES).unwrap() - SKILL_MD.len();
    files[1].bytes = vec![b'x'; rest];
    let skill = SkillFolder::from_files("s", files).unwrap();
    let archive = write_zip(&skill.files).unwrap();
    assert_eq!(read_skill_archive(&archive, Some("s.zip")).unwrap(), skill);
}

const READ_BY_PYTHON: &str = r#"
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
for entry in archive.infolist():
    assert entry.date_time == (1980, 1, 1, 0, 0, 0) and entry.compress_type == 0 and entry.create_system == 3, entry
    print(oct(entry.external_attr >> 16), entry.filename, entry.file_size)
"#;

#[test]
fn archive_is_read_by_python_and_unzip() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("my-skill.zip");
    fs::write(&path, write_zip(&files()).unwrap()).unwrap();
    let python = Command::new("python3")
        .env("PYTHONIOENCODING", "utf-8")
        .args(["-c", READ_BY_PYTHON])
        .arg(&path)
        .output()
        .unwrap();
    assert!(python.status.success(), "{python:?}");
    let expected = [
        format!("0o100644 SKILL.md {}", SKILL_MD.len()),
        "0o100644 assets/data.bin 4".to_owned(),
        "0o100644 références/café.md 0".to_owned(),
        "0o100755 scripts/run.sh 10".to_owned(),
    ];
    let listed = String::from_utf8(python.stdout).unwrap();
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    // Not installed everywhere.
    let target = root.path().join("unzipped");
    let unzip = Command::new("unzip")
        .arg("-q")
        .arg(&path)
        .arg("-d")
        .arg(&target)
        .output();
    if unzip.is_ok_and(|output| output.status.success()) {
        let folder = read_folder(&target).unwrap();
        let ours = SkillFolder::from_files("unzipped", files()).unwrap();
        assert_eq!(folder.manifest_digest(), ours.manifest_digest());
        let mode = fs::metadata(target.join("SKILL.md"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o644);
    }
}

proptest! {
    #[test]
    fn written_archive_is_read_back_unchanged(
        names in prop::collection::btree_set("[a-z]{1,3}(/[a-z0-9é]{1,3}){0,2}", 0..12),
        contents in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 12),
    ) {
        let mut skill = vec![file("SKILL.md", SKILL_MD, false)];
        // Some names are reserved on Windows, such as `aux`.
        let allowed = names.iter().filter(|name| SkillPath::parse(name).is_ok());
        for (name, (bytes, is_executable)) in allowed.zip(&contents) {
            skill.push(file(name, bytes, *is_executable));
        }
        let Ok(skill) = SkillFolder::from_files("s", skill) else {
            // Two of the names collide.
            return Ok(());
        };
        let archive = write_zip(&skill.files).unwrap();
        let read = read_skill_archive(&archive, Some("s.zip")).unwrap();
        prop_assert_eq!(&read, &skill);
        prop_assert_eq!(write_zip(&read.files).unwrap(), archive);
    }
}
