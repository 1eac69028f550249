//! Hostile folders are refused with their reason.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use agent_skills::read_folder;
use nix::sys::stat::Mode;

use crate::SKILL_MD;

type Build = fn(&Path);

#[test]
fn hostile_folder_is_refused() {
    let cases: [(&str, Build, &str); 10] = [
        (
            "link to a file outside",
            |root| symlink("/etc/passwd", root.join("a")).unwrap(),
            "is a link",
        ),
        (
            "link to a folder outside",
            |root| symlink("/etc", root.join("a")).unwrap(),
            "is a link",
        ),
        (
            "link to itself",
            |root| symlink("a", root.join("a")).unwrap(),
            "is a link",
        ),
        (
            "pipe",
            |root| nix::unistd::mkfifo(&root.join("a"), Mode::S_IRWXU).unwrap(),
            "is a pipe",
        ),
        (
            "socket",
            |root| drop(UnixListener::bind(root.join("a")).unwrap()),
            "is a socket",
        ),
        (
            "sparse file of 1 TiB",
            |root| File::create(root.join("a")).unwrap().set_len(1 << 40).unwrap(),
            "more than",
        ),
        (
            "513 files",
            |root| (0..512).for_each(|n| drop(File::create(root.join(n.to_string())).unwrap())),
            "more than 512",
        ),
        (
            "backslash",
            |root| drop(File::create(root.join("..\\a")).unwrap()),
            "backslash",
        ),
        (
            "not UTF-8",
            |root| drop(File::create(root.join(OsStr::from_bytes(b"a\xFF"))).unwrap()),
            "not UTF-8",
        ),
        (
            "no SKILL.md",
            |root| fs::remove_file(root.join("SKILL.md")).unwrap(),
            "no SKILL.md",
        ),
    ];
    for (name, build, reason) in cases {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("SKILL.md"), SKILL_MD).unwrap();
        build(root.path());
        let error = read_folder(root.path()).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}
