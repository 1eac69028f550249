use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn folder() -> (tempfile::TempDir, FolderHandle) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(folder.path().join("a/b"), "text").unwrap();
    let handle = FolderHandle::open(folder.path()).unwrap();
    (folder, handle)
}

fn text(mut file: File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn file_is_opened_by_relative_and_absolute_path() {
    let (_folder, handle) = folder();
    assert_eq!(text(handle.open_file(Path::new("a/b")).unwrap()), "text");
    let absolute = handle.path().join("a/b");
    assert_eq!(text(handle.open_file(&absolute).unwrap()), "text");
    let inner = handle.subfolder(Path::new("a")).unwrap();
    assert_eq!(inner.path(), handle.path().join("a"));
    assert_eq!(text(inner.open_file(Path::new("b")).unwrap()), "text");
}

#[test]
fn link_in_a_path_is_refused_on_both_ways() {
    let (folder, handle) = folder();
    symlink("a", folder.path().join("inside")).unwrap();
    symlink("/etc", folder.path().join("outside")).unwrap();
    symlink("a/b", folder.path().join("file")).unwrap();
    for path in ["inside/b", "outside/passwd", "file"] {
        assert!(handle.open_file(Path::new(path)).is_err(), "{path}");
        let flags = OFlag::O_RDONLY | SAFE;
        let steps = resolve::by_steps(handle.fd.as_fd(), Path::new(path), flags, Mode::empty());
        assert!(steps.is_err(), "{path}");
    }
    let steps = resolve::by_steps(handle.fd.as_fd(), Path::new("a/b"), SAFE, Mode::empty()).unwrap();
    assert_eq!(text(File::from(steps)), "text");
    assert!(handle.entries(Path::new("inside"), 9).is_err());
    assert_eq!(handle.info(Path::new("inside")).unwrap().kind, EntryKind::Link);
    assert!(handle.info(Path::new("inside/b")).is_err());
}

#[test]
fn path_that_leads_out_is_refused() {
    let (_folder, handle) = folder();
    for path in ["..", "../x", "a/../../x", "/etc/passwd"] {
        let opened = handle.open_file(Path::new(path));
        assert!(
            matches!(&opened, Err(error) if error.kind() == io::ErrorKind::InvalidInput),
            "{path}: {opened:?}"
        );
    }
}

#[test]
fn entries_name_their_kinds_and_stop_at_the_limit() {
    let (folder, handle) = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    symlink("a", folder.path().join("link")).unwrap();
    nix::unistd::mkfifo(&folder.path().join("pipe"), Mode::S_IRWXU).unwrap();
    let mut entries = handle.entries(Path::new(""), 9).unwrap();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let kinds: Vec<EntryKind> = entries.iter().map(|(_, kind)| *kind).collect();
    use EntryKind::{File, Folder, Link, Pipe};
    assert_eq!(kinds, [Folder, File, Link, Pipe]);
    assert_eq!(handle.entries(handle.path(), 2).unwrap().len(), 2);
    assert!(handle.open_file(Path::new("pipe")).is_err(), "without waiting");
}

#[test]
fn folder_that_is_swapped_for_a_link_never_leads_out() {
    let (folder, handle) = folder();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("b"), "outside").unwrap();
    let (a, aside, link) = (
        folder.path().join("a"),
        folder.path().join("aside"),
        folder.path().join("link"),
    );
    symlink(outside.path(), &link).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                fs::rename(&a, &aside).unwrap();
                fs::rename(&link, &a).unwrap();
                fs::rename(&a, &link).unwrap();
                fs::rename(&aside, &a).unwrap();
            }
        });
        let mut read = 0;
        for _ in 0..20_000 {
            if let Ok(file) = handle.open_file(Path::new("a/b")) {
                assert_eq!(text(file), "text");
                read += 1;
            }
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(read > 0);
    });
}

#[test]
fn squatted_name_is_neither_written_nor_followed() {
    let (folder, handle) = folder();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    fs::write(&target, "theirs").unwrap();
    symlink(&target, folder.path().join("link")).unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    fs::hard_link(&target, folder.path().join("hard")).unwrap();
    nix::unistd::mkfifo(&folder.path().join("pipe"), Mode::S_IRWXU).unwrap();
    for name in ["link", "dangling", "hard", "pipe", "a"] {
        assert!(handle.open_own(Path::new(name), 0o600, true).is_err(), "{name}");
        let created = handle.create_new(Path::new(name), 0o600);
        assert_eq!(
            created.unwrap_err().kind(),
            io::ErrorKind::AlreadyExists,
            "{name}"
        );
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
    assert!(!folder.path().join("nowhere").exists());
    let open = folder.path().join("open");
    fs::write(&open, "").unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o666)).unwrap();
    assert!(handle.open_own(Path::new("open"), 0o600, false).is_err());
}

#[test]
fn own_file_is_created_once_and_appended_to() {
    let (folder, handle) = folder();
    for line in ["1\n", "2\n"] {
        let mut log = handle.open_own(Path::new("log"), 0o600, true).unwrap();
        log.write_all(line.as_bytes()).unwrap();
    }
    let log = folder.path().join("log");
    assert_eq!(fs::read_to_string(&log).unwrap(), "1\n2\n");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    handle.rename("log".as_ref(), "old".as_ref()).unwrap();
    handle.remove_file("old".as_ref()).unwrap();
    handle.remove_file("old".as_ref()).unwrap();
    assert!(handle.rename("../x".as_ref(), "y".as_ref()).is_err());
    assert_eq!(
        handle.create_folder("a".as_ref(), 0o700).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
}

#[test]
fn path_through_a_folder_that_others_can_write_is_untrusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    assert!(check_trusted_path(&path, None).is_ok(), "/tmp is sticky");
    let (open, inner) = (path.join("open"), path.join("open/inner"));
    fs::create_dir_all(&inner).unwrap();
    // A group with members of its own. Root, as which this test may run, can give the folder to any.
    let is_root = nix::unistd::Uid::effective().is_root();
    if is_root {
        std::os::unix::fs::chown(&open, None, Some(1)).unwrap();
    }
    for (mode, is_trusted) in [(0o755, true), (0o775, false), (0o757, false), (0o1777, true)] {
        if mode == 0o775 && !is_root {
            // Whether the group is private depends on the system.
            continue;
        }
        fs::set_permissions(&open, Permissions::from_mode(mode)).unwrap();
        let found = check_trusted_path(&inner, None);
        assert_eq!(found.is_ok(), is_trusted, "{mode:o}: {found:?}");
    }
    fs::set_permissions(&open, Permissions::from_mode(0o757)).unwrap();
    let prefix = trusted_prefix(&open.join("inner/file"), None).unwrap();
    assert_eq!(
        (&*prefix.trusted, &*prefix.rest),
        (&*open, Path::new("inner/file"))
    );
}

#[test]
fn trusted_prefix_follows_own_links_and_ends_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    fs::create_dir(path.join("a")).unwrap();
    symlink("a", path.join("link")).unwrap();
    symlink("circle", path.join("circle")).unwrap();
    let prefix = trusted_prefix(&path.join("link/new/file"), None).unwrap();
    assert_eq!(
        (&*prefix.trusted, &*prefix.rest),
        (&*path.join("a"), Path::new("new/file"))
    );
    assert!(prefix.problem.is_none());
    assert!(trusted_prefix(&path.join("circle"), None).is_err());
    assert!(trusted_prefix(Path::new("relative"), None).is_err());
    if nix::unistd::Uid::effective().is_root() {
        std::os::unix::fs::lchown(path.join("link"), Some(65534), None).unwrap();
        let found = check_trusted_path(&path.join("link/new"), None);
        assert!(
            matches!(&found, Err(Untrusted::OtherOwner { owner: 65534, .. })),
            "{found:?}"
        );
        assert!(check_trusted_path(&path.join("link/new"), Some(65534)).is_ok());
    }
}

#[test]
fn link_of_another_account_is_not_followed_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    fs::create_dir_all(path.join("own")).unwrap();
    fs::create_dir_all(path.join("open/inner")).unwrap();
    symlink(path.join("own"), path.join("link")).unwrap();
    symlink(path.join("own"), path.join("open/link")).unwrap();
    fs::set_permissions(path.join("open"), Permissions::from_mode(0o757)).unwrap();
    for (name, is_opened) in [
        ("own", true),
        ("link", true),
        ("open/inner", true),
        ("open/link", false),
        ("missing", false),
    ] {
        let opened = FolderHandle::open_where_trusted(&path.join(name));
        assert_eq!(opened.is_ok(), is_opened, "{name}: {opened:?}");
    }
}

#[test]
fn entries_are_exchanged_and_existing_ones_are_kept() {
    let (folder, handle) = folder();
    fs::write(folder.path().join("file"), "file").unwrap();
    let inner = handle.subfolder(Path::new("a")).unwrap();
    let kept = handle.rename_to("file".as_ref(), &inner, "b".as_ref(), RenameMode::KeepExisting);
    assert_eq!(kept.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    handle
        .rename_to("a".as_ref(), &handle, "file".as_ref(), RenameMode::Exchange)
        .unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "file");
    assert_eq!(fs::read_to_string(folder.path().join("file/b")).unwrap(), "text");
    handle
        .rename_to("a".as_ref(), &inner, "b".as_ref(), RenameMode::Replace)
        .unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("file/b")).unwrap(), "file");
    for (from, to) in [("../x", "y"), ("file", "../y"), ("/etc", "y")] {
        let renamed = handle.rename_to(from.as_ref(), &handle, to.as_ref(), RenameMode::Replace);
        assert_eq!(renamed.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn links_are_created_and_read_but_never_followed() {
    let (folder, handle) = folder();
    let inner = handle.subfolder(Path::new("a")).unwrap();
    handle.create_link("link".as_ref(), Path::new("a/b")).unwrap();
    assert_eq!(handle.read_link("link".as_ref()).unwrap(), Path::new("a/b"));
    let again = handle.create_link("link".as_ref(), Path::new("x"));
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(
        handle.read_link("a".as_ref()).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    // The link itself gets the second name, not the file behind it.
    handle
        .link_to("link".as_ref(), &inner, "second".as_ref())
        .unwrap();
    assert!(folder.path().join("a/second").is_symlink());
    inner.link_to("b".as_ref(), &handle, "third".as_ref()).unwrap();
    assert_eq!(handle.info(Path::new("third")).unwrap().names, 2);
    handle.set_mode(0o700).unwrap();
    assert_eq!(handle.own_info().unwrap().mode, 0o700);
    assert!(handle.remove_folder("a".as_ref()).is_err(), "it is not empty");
    for name in ["b", "second"] {
        inner.remove_file(name.as_ref()).unwrap();
    }
    handle.remove_folder("a".as_ref()).unwrap();
    handle.remove_folder("a".as_ref()).unwrap();
    assert!(handle.remove_folder("../a".as_ref()).is_err());
}
