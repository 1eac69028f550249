//! Links, pipes and other accounts' folders at every place that the crate touches.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use skill_installer::{Error, InstalledState, Options, SkillsFolder, inspect, list, remove, verify};

use super::fixture::{Project, SKILLS, content, force, name, temporary_folder, v1, v2};

/// A folder outside, with a skill of its own, which nothing may change.
struct Outside {
    folder: tempfile::TempDir,
}

impl Outside {
    fn new() -> Self {
        let folder = temporary_folder();
        fs::create_dir_all(folder.path().join("pdf/docs")).unwrap();
        fs::write(folder.path().join("pdf/SKILL.md"), "outside").unwrap();
        fs::write(folder.path().join("pdf/docs/a.md"), "outside").unwrap();
        fs::write(folder.path().join("file"), "outside").unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn check(&self, case: &str) {
        let found = content(self.path());
        let files = found.iter().filter(|(_, value)| value.ends_with(" outside"));
        assert_eq!((found.len(), files.count()), (5, 3), "{case}: {found:#?}");
    }
}

type Plant = fn(&Project, &Path);

/// What is planted before an update, and the code of the error; `None` if the update goes its way without touching it.
const PLANTS: &[(&str, Plant, Option<&str>)] = &[
    (
        "target is a link",
        |p, o| {
            fs::remove_dir_all(p.path("pdf")).unwrap();
            symlink(o.join("pdf"), p.path("pdf")).unwrap();
        },
        Some("unsafe_path"),
    ),
    (
        "target is a dangling link",
        |p, o| {
            fs::remove_dir_all(p.path("pdf")).unwrap();
            symlink(o.join("nowhere"), p.path("pdf")).unwrap();
        },
        Some("unsafe_path"),
    ),
    (
        "target is a file",
        |p, _| {
            fs::remove_dir_all(p.path("pdf")).unwrap();
            p.write("pdf", "file");
        },
        Some("unsafe_path"),
    ),
    (
        "target is a pipe",
        |p, _| {
            fs::remove_dir_all(p.path("pdf")).unwrap();
            nix::unistd::mkfifo(&p.path("pdf"), Mode::S_IRWXU).unwrap();
        },
        Some("unsafe_path"),
    ),
    (
        "target can be written by all",
        |p, _| {
            fs::set_permissions(p.path("pdf"), Permissions::from_mode(0o777)).unwrap();
        },
        Some("unsafe_path"),
    ),
    (
        "folder inside is a link",
        |p, o| {
            fs::remove_dir_all(p.path("pdf/docs")).unwrap();
            symlink(o.join("pdf/docs"), p.path("pdf/docs")).unwrap();
        },
        Some("unsafe_file"),
    ),
    (
        "file inside is a link",
        |p, o| {
            fs::remove_file(p.path("pdf/SKILL.md")).unwrap();
            symlink(o.join("file"), p.path("pdf/SKILL.md")).unwrap();
        },
        Some("unsafe_file"),
    ),
    (
        "extra link inside",
        |p, o| symlink(o.join("file"), p.path("pdf/extra")).unwrap(),
        Some("unsafe_file"),
    ),
    (
        "pipe inside",
        |p, _| {
            nix::unistd::mkfifo(&p.path("pdf/docs/pipe"), Mode::S_IRWXU).unwrap();
        },
        Some("unsafe_file"),
    ),
    (
        "pipe in place of a file",
        |p, _| {
            fs::remove_file(p.path("pdf/docs/a.md")).unwrap();
            nix::unistd::mkfifo(&p.path("pdf/docs/a.md"), Mode::S_IRWXU).unwrap();
        },
        Some("unsafe_file"),
    ),
    (
        "marker is a link",
        |p, o| {
            fs::rename(p.path("pdf/.skillkeep.json"), p.root.path().join("marker")).unwrap();
            let _ = o;
            symlink(p.root.path().join("marker"), p.path("pdf/.skillkeep.json")).unwrap();
        },
        Some("occupied"),
    ),
    (
        "marker is a pipe",
        |p, _| {
            fs::remove_file(p.path("pdf/.skillkeep.json")).unwrap();
            nix::unistd::mkfifo(&p.path("pdf/.skillkeep.json"), Mode::S_IRWXU).unwrap();
        },
        Some("occupied"),
    ),
    (
        "hard link in place of a file",
        |p, o| {
            fs::remove_file(p.path("pdf/docs/a.md")).unwrap();
            fs::hard_link(o.join("file"), p.path("pdf/docs/a.md")).unwrap();
        },
        None,
    ),
    (
        "lock is a link",
        |p, o| {
            fs::remove_file(p.path(".skillkeep-lock")).unwrap();
            symlink(o.join("file"), p.path(".skillkeep-lock")).unwrap();
        },
        Some("io"),
    ),
    (
        "lock is a dangling link",
        |p, o| {
            fs::remove_file(p.path(".skillkeep-lock")).unwrap();
            symlink(o.join("new"), p.path(".skillkeep-lock")).unwrap();
        },
        Some("io"),
    ),
    (
        "lock is a hard link",
        |p, o| {
            fs::remove_file(p.path(".skillkeep-lock")).unwrap();
            fs::hard_link(o.join("file"), p.path(".skillkeep-lock")).unwrap();
        },
        Some("io"),
    ),
    (
        "lock is a pipe",
        |p, _| {
            fs::remove_file(p.path(".skillkeep-lock")).unwrap();
            nix::unistd::mkfifo(&p.path(".skillkeep-lock"), Mode::S_IRWXU).unwrap();
        },
        Some("io"),
    ),
    (
        "backup is a link",
        |p, o| symlink(o, p.path(".skillkeep-backup")).unwrap(),
        Some("unsafe_path"),
    ),
    (
        "backup is a file",
        |p, _| p.write(".skillkeep-backup", ""),
        Some("unsafe_path"),
    ),
    (
        "backup can be written by all",
        |p, _| {
            fs::create_dir(p.path(".skillkeep-backup")).unwrap();
            fs::set_permissions(p.path(".skillkeep-backup"), Permissions::from_mode(0o777)).unwrap();
        },
        Some("unsafe_path"),
    ),
    (
        "stage is a link",
        |p, o| symlink(o.join("pdf"), p.path(".skillkeep-stage-1")).unwrap(),
        None,
    ),
    (
        "link in a stage",
        |p, o| {
            fs::create_dir(p.path(".skillkeep-stage-1")).unwrap();
            symlink(o.join("pdf"), p.path(".skillkeep-stage-1/pdf")).unwrap();
        },
        None,
    ),
    (
        "old folder is a link",
        |p, o| symlink(o.join("pdf"), p.path(".skillkeep-old-pdf.1")).unwrap(),
        None,
    ),
    (
        "link in an old folder",
        |p, o| {
            fs::create_dir(p.path(".skillkeep-old-pdf.1")).unwrap();
            symlink(o.join("pdf"), p.path(".skillkeep-old-pdf.1/docs")).unwrap();
        },
        None,
    ),
    (
        "swap is a link",
        |p, o| symlink(o.join("pdf"), p.path(".skillkeep-swap-new.1")).unwrap(),
        None,
    ),
    (
        "old folder of a name that leads out",
        |p, _| {
            fs::create_dir(p.path(".skillkeep-old-...1")).unwrap();
            fs::create_dir(p.path(".skillkeep-swap-...1")).unwrap();
            fs::write(p.path(".skillkeep-old-...1/own"), "own").unwrap();
        },
        None,
    ),
    (
        "temporary file is a link",
        |p, o| symlink(o.join("file"), p.path(".skillkeep-new-1")).unwrap(),
        None,
    ),
];

#[test]
fn planted_entries_are_neither_followed_nor_written_through() {
    for (case, plant, code) in PLANTS {
        for options in [Options::default(), force()] {
            let (project, outside) = (Project::with(&v1()), Outside::new());
            plant(&project, outside.path());
            let planted = project.content();
            let updated = project.install(&v2(), &options);
            outside.check(case);
            match (code, &updated) {
                (None, Ok(_)) => {}
                (Some(_), Ok(_)) if options.force => {}
                (Some(code), Err(error)) => {
                    assert_eq!(error.code(), *code, "{case}: {error}");
                    assert_eq!(project.content(), planted, "{case}: {error}");
                    let shown = error.to_string();
                    assert!(
                        !shown.contains(&*project.path("").to_string_lossy()),
                        "{case}: {shown}"
                    );
                }
                (_, updated) => panic!("{case}: {updated:?}"),
            }
            if updated.is_ok() {
                let drift = verify(&project.folder, &name("pdf")).unwrap();
                assert!(!options.force || drift.is_clean(), "{case}: {drift:?}");
            }
            let _ = remove(&project.folder, &name("pdf"), &options);
            outside.check(case);
            list(&project.folder).unwrap();
        }
    }
}

#[test]
fn skills_folder_behind_a_link_or_of_others_is_refused() {
    let outside = Outside::new();
    for at in [".agents", ".agents/skills"] {
        let root = temporary_folder();
        let path = root.path().join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(outside.path(), &path).unwrap();
        let error = SkillsFolder::open(root.path(), Path::new(SKILLS)).unwrap_err();
        assert_eq!(error.code(), "unsafe_path");
        assert!(
            error.to_string().starts_with(&format!("{at} is a link")),
            "{error}"
        );
        outside.check(at);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(
            SkillsFolder::open(root.path(), Path::new(SKILLS))
                .unwrap_err()
                .code(),
            "unsafe_path"
        );
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        let error = SkillsFolder::open(root.path(), Path::new(SKILLS)).unwrap_err();
        assert!(error.to_string().contains("other accounts can write"), "{error}");
    }
    for path in ["..", "../x", "/etc", "a/../b", "", "."] {
        let error = SkillsFolder::open(outside.path(), Path::new(path)).unwrap_err();
        assert_eq!(error.code(), "bad_folder_path", "{path}");
    }
    let missing = SkillsFolder::open(&outside.path().join("missing"), Path::new(SKILLS));
    assert_eq!(missing.unwrap_err().code(), "no_base");
    assert!(
        SkillsFolder::open_existing(outside.path(), Path::new(SKILLS))
            .unwrap()
            .is_none()
    );
    outside.check("nothing created");
}

#[test]
fn link_in_the_path_of_the_base_is_followed_once() {
    let outer = temporary_folder();
    fs::create_dir(outer.path().join("real")).unwrap();
    symlink("real", outer.path().join("home")).unwrap();
    let folder = SkillsFolder::open(&outer.path().join("home"), Path::new(SKILLS)).unwrap();
    assert!(folder.path().ends_with("real/.agents/skills"));
}

#[test]
fn folder_of_another_account_is_refused() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not tested: only root can give a folder to another account");
        return;
    }
    for at in [".agents", ".agents/skills", ".agents/skills/pdf"] {
        let project = Project::with(&v1());
        let path = project.root.path().join(at);
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        let opened = SkillsFolder::open(project.root.path(), Path::new(SKILLS));
        let error = match opened {
            Err(error) => error,
            Ok(_) => project.install(&v2(), &force()).unwrap_err(),
        };
        assert_eq!(error.code(), "unsafe_path", "{at}");
        assert!(error.to_string().contains("another account"), "{error}");
        assert_eq!(project.read("pdf/scripts/run.sh"), "echo one\n");
    }
    // Also one that only a group of others can write to.
    let project = Project::with(&v1());
    std::os::unix::fs::chown(project.path("pdf"), None, Some(1)).unwrap();
    fs::set_permissions(project.path("pdf"), Permissions::from_mode(0o775)).unwrap();
    assert_eq!(
        project.install(&v2(), &force()).unwrap_err().code(),
        "unsafe_path"
    );
}

#[test]
fn kept_file_loses_rights_that_are_dangerous() {
    let project = Project::with(&v1());
    project.write("pdf/own", "own");
    fs::set_permissions(project.path("pdf/own"), Permissions::from_mode(0o6777)).unwrap();
    project.install(&v2(), &Options::default()).unwrap();
    let mode = fs::metadata(project.path("pdf/own"))
        .unwrap()
        .permissions()
        .mode()
        & 0o7777;
    assert_eq!(mode, 0o775);
}

#[test]
fn folder_with_too_many_files_is_refused() {
    let project = Project::with(&v1());
    let mut deep = project.path("pdf");
    for _ in 0..70 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let error = project.install(&v2(), &Options::default()).unwrap_err();
    assert!(matches!(error, Error::TooManyEntries { .. }), "{error}");
    assert_eq!(project.read("pdf/scripts/run.sh"), "echo one\n");
}

#[test]
fn link_is_reported_and_not_followed() {
    let (project, outside) = (Project::new(), Outside::new());
    symlink(outside.path().join("pdf"), project.path("pdf")).unwrap();
    let state = inspect(&project.folder, &name("pdf")).unwrap();
    assert!(matches!(state, InstalledState::Link { .. }), "{state:?}");
    assert!(verify(&project.folder, &name("pdf")).is_err());
    assert!(list(&project.folder).unwrap().is_empty());
}
