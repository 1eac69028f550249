//! A folder of a source is replaced with a link out of it, again and again, while the source is read.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use agent_skills::{Found, ReadOptions, SkillSource};

/// Exchanges of the folder and the link, in each of both directions.
const SWAPS: usize = 1000;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Reads every skill of the source as an import does, and returns the texts of all files.
fn texts(root: &Path) -> Vec<String> {
    let source = SkillSource::open(root, &ReadOptions::default()).unwrap();
    let mut texts = Vec::new();
    for found in source.find() {
        if let Found::Skill(skill) = found
            && let Ok(folder) = source.read(&skill.path)
        {
            let files = folder.files.iter();
            texts.extend(files.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()));
        }
    }
    texts
}

/// Reads the source while `at` is exchanged with a link to `outside`.
fn read_during_swaps(root: &Path, at: &str, outside: &Path) -> Vec<String> {
    let (folder, link, aside) = (root.join(at), root.join("link"), root.join("aside"));
    symlink(outside, &link).unwrap();
    let (swaps, is_started) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            is_started.store(true, Ordering::SeqCst);
            while swaps.load(Ordering::SeqCst) < SWAPS {
                fs::rename(&folder, &aside).unwrap();
                fs::rename(&link, &folder).unwrap();
                thread::yield_now();
                fs::rename(&folder, &link).unwrap();
                fs::rename(&aside, &folder).unwrap();
                thread::yield_now();
                swaps.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut read = Vec::new();
        while swaps.load(Ordering::SeqCst) < SWAPS {
            read.extend(texts(root));
        }
        read.extend(texts(root));
        read
    })
}

#[test]
fn folder_swapped_for_a_link_during_the_import_publishes_nothing_outside() {
    let outside = tempfile::tempdir().unwrap();
    write(&outside.path().join("guide.md"), "outside");
    write(&outside.path().join("SKILL.md"), "outside");
    for at in ["skills/tide/references", "skills"] {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("skills/tide/SKILL.md"), "inside");
        write(&root.path().join("skills/tide/references/guide.md"), "inside");
        for path in ["tide/SKILL.md", "tide/references/guide.md", "references/guide.md"] {
            write(&outside.path().join(path), "outside");
        }
        let read = read_during_swaps(root.path(), at, outside.path());
        assert!(read.iter().any(|text| text == "inside"), "{at}: nothing was read");
        let leaked = read.iter().filter(|text| *text != "inside").count();
        assert_eq!(leaked, 0, "{at}: of {} files", read.len());
    }
}

#[test]
fn hard_link_to_a_private_file_of_another_account_is_refused() {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    if !nix::unistd::Uid::effective().is_root() {
        // Only root can prepare the case: without protection by the kernel, every account could.
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let secret = root.path().join("secret");
    write(&secret, "outside");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    write(&root.path().join("source/SKILL.md"), "inside");
    fs::hard_link(&secret, root.path().join("source/guide.md")).unwrap();
    chown(root.path().join("source"), Some(65534), None).unwrap();
    let source = SkillSource::open(&root.path().join("source"), &ReadOptions::default()).unwrap();
    let error = source.read(source.root()).unwrap_err().to_string();
    assert!(
        error.contains("a second name of a file of another account"),
        "{error}"
    );
}
