//! Archives as common programs write them are accepted.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use agent_skills::{ArchiveLimits, Diagnostic, SkillFolder, extract_archive, read_skill_archive};

use crate::SKILL_MD;
use crate::hostile::import_limits;
use crate::tar_builder::Tar;
use crate::zip_builder::{Entry, Zip};

fn paths(skill: &SkillFolder) -> Vec<&str> {
    skill.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn skill_in_top_folder_has_its_name() {
    let folder = Tar::new()
        .entry("./", b'5', b"", |_| ())
        .entry("./my-skill/", b'5', b"", |_| ())
        .file("./my-skill/skill.md", SKILL_MD)
        .file("./my-skill/scripts/run.sh", b"#!/bin/sh\n");
    let skill = read_skill_archive(&folder.finish(), Some("other.tar")).unwrap();
    assert_eq!(skill.folder_name, "my-skill");
    assert_eq!(paths(&skill), ["SKILL.md", "scripts/run.sh"]);
    let codes: Vec<&str> = skill.diagnostics.iter().map(Diagnostic::code).collect();
    assert_eq!(codes, ["skill_md_case"]);
}

#[test]
fn skill_at_the_root_is_named_after_the_archive() {
    let bytes = Zip::skill([]).build();
    for (hint, name) in [
        (Some("my-skill.zip"), "my-skill"),
        (Some("/tmp/x/My-Skill.TAR.GZ"), "My-Skill"),
        (Some("C:\\x\\café.tgz"), "café"),
        (Some("my-skill-1.2"), "my-skill-1.2"),
        (Some(".zip"), ""),
        (None, ""),
    ] {
        assert_eq!(
            read_skill_archive(&bytes, hint).unwrap().folder_name,
            name,
            "{hint:?}"
        );
    }
}

#[test]
fn executable_bit_is_kept_and_every_other_bit_dropped() {
    let with_mode = |name, mode| Entry::stored(name, b"x").with(|entry| entry.mode = mode);
    let bytes = Zip::skill([
        with_mode("a", 0o106_755),
        with_mode("b", 0o102_666),
        with_mode("c", 0o100_611),
        with_mode("d", 0),
    ])
    .build();
    let skill = read_skill_archive(&bytes, None).unwrap();
    let executable: Vec<bool> = skill.files.iter().map(|file| file.is_executable).collect();
    assert_eq!(executable, [false, true, false, false, false]);
    let tar = Tar::skill().entry("a", b'0', b"x", |header| header.set_mode(0o6777));
    assert!(read_skill_archive(&tar.finish_gz(), None).unwrap().files[1].is_executable);

    let target = tempfile::tempdir().unwrap();
    let report = extract_archive(Cursor::new(bytes), target.path(), &ArchiveLimits::default()).unwrap();
    assert_eq!((report.files, report.bytes), (5, SKILL_MD.len() as u64 + 4));
    let mode = |name| {
        let metadata = fs::metadata(target.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!((mode("a"), mode("b")), (0o700, 0o600));
}

#[test]
fn files_of_other_programs_are_left_out_and_named() {
    let bytes = Zip {
        entries: vec![
            Entry::stored("s/SKILL.md", SKILL_MD),
            Entry::stored("s/.DS_Store", b"x"),
            Entry::stored("__MACOSX/s/._SKILL.md", b"x"),
            Entry::stored("__MACOSX/s/._a", b"x"),
            Entry::stored("s/.git/config", b"x"),
        ],
        ..Zip::default()
    }
    .build();
    let skill = read_skill_archive(&bytes, None).unwrap();
    assert_eq!((paths(&skill), &*skill.folder_name), (vec!["SKILL.md"], "s"));
    let left_out: Vec<String> = skill.diagnostics.iter().map(Diagnostic::to_string).collect();
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    assert!(left_out[0].starts_with("\"__MACOSX\""), "{left_out:?}");

    let target = tempfile::tempdir().unwrap();
    let report = extract_archive(Cursor::new(bytes), target.path(), &import_limits()).unwrap();
    assert_eq!(report.left_out, ["__MACOSX", "s/.DS_Store", "s/.git"]);
    assert!(!target.path().join("s/.git").exists());
}

#[test]
fn archive_inside_an_archive_stays_a_file() {
    let inner = Zip::skill([Entry::bomb("a", 1024)]).build();
    let bytes = Zip::skill([Entry::stored("assets/inner.zip", &inner)]).build();
    let skill = read_skill_archive(&bytes, None).unwrap();
    assert_eq!(skill.files[1].bytes, inner);
}

#[test]
fn streamed_entries_comments_and_64_bit_records_are_read() {
    let mut zip = Zip::skill([
        Entry::deflated("a", b"content").streamed(),
        Entry::deflated("b", b"content").streamed().with(|entry| {
            // Without the signature.
            entry.descriptor.drain(..4);
        }),
        Entry::deflated("c", b"content").streamed().with(|entry| {
            entry.descriptor = [&b"PK\x07\x08"[..], &entry.crc.to_le_bytes()].concat();
            for size in [entry.compressed_size, entry.size] {
                entry.descriptor.extend(u64::from(size).to_le_bytes());
            }
        }),
        Entry::stored("d/", b"").with(|entry| entry.mode = 0o40_755),
        Entry::stored("d/", b""),
    ]);
    zip.comment = b"0123456789abcdef".to_vec();
    for with_zip64 in [false, true] {
        zip.with_zip64 = with_zip64;
        let skill = read_skill_archive(&zip.build(), None).unwrap();
        assert_eq!(paths(&skill), ["SKILL.md", "a", "b", "c"]);
        assert!(skill.files[1..].iter().all(|file| file.bytes == b"content"));
    }
}

#[test]
fn target_must_be_an_empty_folder() {
    let bytes = Zip::skill([]).build();
    let root = tempfile::tempdir().unwrap();
    let extract = |target: &Path| extract_archive(Cursor::new(&bytes), target, &ArchiveLimits::default());
    let full = root.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("SKILL.md"), "mine").unwrap();
    let error = extract(&full).unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
    assert_eq!(fs::read(full.join("SKILL.md")).unwrap(), b"mine");
    let (empty, link) = (root.path().join("empty"), root.path().join("link"));
    fs::create_dir(&empty).unwrap();
    std::os::unix::fs::symlink(&empty, &link).unwrap();
    assert!(extract(&link).is_err(), "a link to an empty folder");
    assert!(extract(&full.join("SKILL.md")).is_err(), "a file");
    assert!(extract(&root.path().join("nowhere")).is_err());
    assert!(extract(&empty).is_ok());
}

const PROGRAMS: &str = r#"
import io, os, sys, tarfile, zipfile
os.chdir(sys.argv[1])
names = ["my-skill/SKILL.md", "my-skill/scripts/run.sh", "my-skill/" + "long/" * 20 + "café.md", "my-skill/big"]
for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(f"python-{kind}.zip", "w", kind) as archive:
        archive.write("my-skill")
        for name in names:
            archive.write(name)
class Pipe(io.RawIOBase):
    def __init__(self): self.data = b""
    def writable(self): return True
    def write(self, data): self.data += bytes(data); return len(data)
for zip64 in (False, True):
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            with archive.open(name, "w", force_zip64=zip64) as entry:
                entry.write(open(name, "rb").read())
    open(f"python-streamed-{zip64}.zip", "wb").write(pipe.data)
for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    for mode in ("w", "w:gz"):
        name = f"python-{kind}" + (".tar.gz" if mode == "w:gz" else ".tar")
        with tarfile.open(name, mode, format=kind) as archive:
            archive.add("my-skill")
"#;

#[test]
fn archives_of_common_programs_are_read() {
    let root = tempfile::tempdir().unwrap();
    let skill = root.path().join("my-skill");
    let deep = skill.join("long/".repeat(20));
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir(skill.join("scripts")).unwrap();
    fs::write(skill.join("SKILL.md"), SKILL_MD).unwrap();
    fs::write(skill.join("scripts/run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(skill.join("scripts/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(deep.join("café.md"), "text\n".repeat(50)).unwrap();
    fs::write(skill.join("big"), "0123456789".repeat(20_000)).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(root.path());
        command.output()
    };
    let folder = root.path().to_str().unwrap();
    for (program, arguments) in [
        ("python3", &["-c", PROGRAMS, folder][..]),
        ("tar", &["czf", "tar.tar.gz", "my-skill"]),
        ("tar", &["cf", "root.tar", "-C", "my-skill", "."]),
    ] {
        assert!(run(program, arguments).unwrap().status.success(), "{program}");
    }
    // Not installed everywhere.
    for arguments in [
        &["-qr", "zip.zip", "my-skill"][..],
        &["-q0r", "stored.zip", "my-skill"],
    ] {
        let _ = run("zip", arguments);
    }
    let mut archives = 0;
    for entry in fs::read_dir(root.path()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        archives += 1;
        let found = read_skill_archive(&fs::read(&path).unwrap(), Some("my-skill.tar"))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let expected = agent_skills::read_folder(&skill).unwrap();
        let bytes = |skill: &SkillFolder| {
            let files = skill.files.iter();
            files
                .map(|file| (file.path.clone(), file.bytes.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(bytes(&found), bytes(&expected), "{}", path.display());
        assert_eq!(found.folder_name, "my-skill", "{}", path.display());
        if !path.to_string_lossy().contains("streamed") {
            assert_eq!(
                found.manifest_digest(),
                expected.manifest_digest(),
                "{}",
                path.display()
            );
        }
    }
    assert!(archives >= 12, "{archives}");
}

#[test]
fn skill_without_a_folder_is_not_compared_with_one() {
    let skill = read_skill_archive(&Zip::skill([]).build(), None).unwrap();
    let document = agent_skills::read_document(skill.skill_md(), &skill.folder_name).unwrap();
    assert_eq!(
        (document.name.as_str(), document.diagnostics),
        ("my-skill", vec![])
    );
}
