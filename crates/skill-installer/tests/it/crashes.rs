//! Stops and fails before every change of the disk, and looks at what is left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use skill_installer::fault::{self, Fault};
use skill_installer::{Error, InstallRecord, Options, SkillsFolder, link, remove, set_pinned, unlink};

use super::fixture::{NOW, Project, SKILLS, content, force, name, v1, v2};

const ENOSPC: i32 = 28;
const EACCES: i32 = 13;
const EIO: i32 = 5;

/// The variables with which a child process is told what to do: the folder, the operation, the change and whether the file
/// system can exchange.
const CHILD: &str = "SKILL_INSTALLER_TEST_CHILD";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Install,
    Update,
    UpdateEdited,
    ForceEdited,
    ForceForeign,
    Remove,
    RemoveEdited,
    ForceRemove,
    Pin,
    NewReceipt,
}

const OPERATIONS: [Operation; 10] = [
    Operation::Install,
    Operation::Update,
    Operation::UpdateEdited,
    Operation::ForceEdited,
    Operation::ForceForeign,
    Operation::Remove,
    Operation::RemoveEdited,
    Operation::ForceRemove,
    Operation::Pin,
    Operation::NewReceipt,
];

impl Operation {
    fn prepare(self, project: &Project) {
        match self {
            Self::Install => {}
            Self::ForceForeign => project.write("pdf/SKILL.md", "mine"),
            Self::Update | Self::Remove | Self::Pin | Self::NewReceipt => {
                project.install(&v1(), &Options::default()).unwrap();
            }
            Self::UpdateEdited | Self::ForceEdited | Self::RemoveEdited | Self::ForceRemove => {
                project.install(&v1(), &Options::default()).unwrap();
                project.write("pdf/SKILL.md", "mine");
                project.write("pdf/docs/own.txt", "own");
            }
        }
    }

    /// The texts that a person wrote, and must be somewhere at any time.
    fn texts(self) -> &'static [&'static str] {
        match self {
            Self::Install | Self::Update | Self::Remove | Self::Pin | Self::NewReceipt => &[],
            Self::ForceForeign => &["mine"],
            Self::UpdateEdited | Self::ForceEdited | Self::RemoveEdited | Self::ForceRemove => {
                &["mine", "own"]
            }
        }
    }

    fn run(self, folder: &SkillsFolder) -> Result<(), Error> {
        let pdf = name("pdf");
        let record = InstallRecord {
            receipt: (self == Self::NewReceipt).then_some("receipt"),
            ..InstallRecord::at(NOW)
        };
        let install = |release, options: &Options| {
            skill_installer::plan_install(folder, &pdf, &release, options)?
                .apply(folder, &release, &record, options)
                .map(drop)
        };
        match self {
            Self::Install | Self::NewReceipt => install(v1(), &Options::default()),
            Self::Update | Self::UpdateEdited => install(v2(), &Options::default()),
            Self::ForceEdited | Self::ForceForeign => install(v2(), &force()),
            Self::Remove | Self::RemoveEdited => remove(folder, &pdf, &Options::default()).map(drop),
            Self::ForceRemove => remove(folder, &pdf, &force()).map(drop),
            Self::Pin => set_pinned(folder, &pdf, true, &Options::default()),
        }
    }
}

/// The states before and after, of the folder `pdf` alone.
fn states(operation: Operation) -> [BTreeMap<String, String>; 2] {
    let project = Project::new();
    operation.prepare(&project);
    let before = skill(&project);
    fault::set(None);
    operation.run(&project.folder).unwrap();
    [before, skill(&project)]
}

fn skill(project: &Project) -> BTreeMap<String, String> {
    let path = project.path("pdf");
    if path.exists() {
        content(&path)
    } else {
        BTreeMap::new()
    }
}

fn changes(operation: Operation, can_exchange: bool) -> u64 {
    let project = Project::new();
    operation.prepare(&project);
    fault::set_can_exchange(can_exchange);
    fault::set(None);
    operation.run(&project.folder).unwrap();
    fault::set_can_exchange(true);
    fault::changes()
}

/// Nothing is half written, no text of a person is lost; and the next run leaves a complete state without leftovers.
fn check(project: &Project, operation: Operation, states: &[BTreeMap<String, String>; 2], point: &str) {
    let all = project.content();
    for text in operation.texts() {
        let is_there = all.values().any(|value| value.ends_with(&format!(" {text}")));
        assert!(is_there, "{point}: {text:?} is lost: {all:#?}");
    }
    let found = skill(project);
    // Without exchange, the folder is away between two renames; the next run puts it back.
    let is_between = found.is_empty() && all.keys().any(|path| path.starts_with(".skillkeep-swap-"));
    assert!(
        states.contains(&found) || is_between,
        "{point}: neither old nor new: {found:#?}"
    );
    fault::set(None);
    project.folder.recover(Options::default().wait).unwrap();
    let found = skill(project);
    assert!(states.contains(&found), "{point}: after recovery: {found:#?}");
    let all = project.content();
    for text in operation.texts() {
        let is_there = all.values().any(|value| value.ends_with(&format!(" {text}")));
        assert!(is_there, "{point}: {text:?} is lost by the recovery: {all:#?}");
    }
    let leftover = all
        .keys()
        .find(|path| path.starts_with(".skillkeep-") && !path.starts_with(".skillkeep-backup"));
    assert_eq!(leftover, None, "{point}");
    let needs_backup = matches!(
        operation,
        Operation::ForceEdited | Operation::ForceForeign | Operation::ForceRemove
    );
    if !needs_backup {
        assert!(!project.path(".skillkeep-backup").exists(), "{point}: {all:#?}");
    }
    if found == states[0] && states[0] != states[1] {
        operation.run(&project.folder).unwrap();
        assert_eq!(skill(project), states[1], "{point}: run again");
    }
}

#[test]
fn error_at_any_change_leaves_the_old_or_the_new_state() {
    let mut points = 0;
    for operation in OPERATIONS {
        let states = states(operation);
        for can_exchange in [true, false] {
            for at in 1..=changes(operation, can_exchange) {
                for fault in [
                    Fault::Error(ENOSPC),
                    Fault::Error(EACCES),
                    Fault::Error(EIO),
                    Fault::ErrorFromHere(ENOSPC),
                ] {
                    let project = Project::new();
                    operation.prepare(&project);
                    fault::set_can_exchange(can_exchange);
                    fault::set(Some((at, fault)));
                    let done = operation.run(&project.folder);
                    fault::set(None);
                    let point =
                        format!("{operation:?}, exchange {can_exchange}, change {at}, {fault:?}: {done:?}");
                    check(&project, operation, &states, &point);
                    fault::set_can_exchange(true);
                    points += 1;
                }
            }
        }
    }
    eprintln!("{points} points");
    assert!(points > 1000, "{points}");
}

#[test]
fn process_that_ends_at_any_change_leaves_the_old_or_the_new_state() {
    let mut points = 0;
    for operation in OPERATIONS {
        let states = states(operation);
        for can_exchange in [true, false] {
            for at in 1..=changes(operation, can_exchange) {
                let project = Project::new();
                operation.prepare(&project);
                let root = project.root.path().display();
                let status = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "crashes::child_process", "--test-threads", "1"])
                    .env(CHILD, format!("{operation:?} {at} {can_exchange} {root}"))
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .unwrap();
                let point = format!("{operation:?}, exchange {can_exchange}, change {at}");
                assert!(!status.success(), "{point}: the child process did not end there");
                fault::set_can_exchange(can_exchange);
                check(&project, operation, &states, &point);
                fault::set_can_exchange(true);
                points += 1;
            }
        }
    }
    eprintln!("{points} points");
    assert!(points > 300, "{points}");
}

/// Does what the test above tells it, in a process of its own, which is then aborted. Alone it does nothing.
#[test]
fn child_process() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let told: Vec<&str> = told.splitn(4, ' ').collect();
    let operation = OPERATIONS
        .into_iter()
        .find(|operation| format!("{operation:?}") == told[0])
        .unwrap();
    let folder = SkillsFolder::open(Path::new(told[3]), Path::new(SKILLS)).unwrap();
    fault::set_can_exchange(told[2] == "true");
    fault::set(Some((told[1].parse().unwrap(), Fault::Abort)));
    operation.run(&folder).unwrap();
}

#[test]
fn recovery_itself_can_be_stopped_at_any_change() {
    for operation in [
        Operation::ForceEdited,
        Operation::UpdateEdited,
        Operation::RemoveEdited,
    ] {
        let states = states(operation);
        for can_exchange in [true, false] {
            let total = changes(operation, can_exchange);
            for at in (1..=total).step_by(3) {
                for second in 1..12 {
                    let project = Project::new();
                    operation.prepare(&project);
                    fault::set_can_exchange(can_exchange);
                    // The run fails, and so does its own recovery, at each of its changes.
                    fault::set(Some((at, Fault::ErrorFromHere(EIO))));
                    let _ = operation.run(&project.folder);
                    fault::set(Some((second, Fault::ErrorFromHere(EIO))));
                    let _ = project.folder.recover(Options::default().wait);
                    let point = format!("{operation:?}, exchange {can_exchange}, change {at}, then {second}");
                    check(&project, operation, &states, &point);
                    fault::set_can_exchange(true);
                }
            }
        }
    }
}

#[test]
fn link_is_created_or_not() {
    for at in 1..20 {
        let project = Project::with(&v1());
        let claude = SkillsFolder::open(project.root.path(), Path::new(".claude/skills")).unwrap();
        let target = Path::new("../../.agents/skills/pdf");
        fault::set(Some((at, Fault::Error(EIO))));
        let linked = link(&claude, &name("pdf"), target, &Options::default());
        fault::set(None);
        link(&claude, &name("pdf"), target, &Options::default()).unwrap();
        let path = project.root.path().join(".claude/skills");
        let names: Vec<_> = content(&path).into_keys().collect();
        assert_eq!(names, [".skillkeep-lock", "pdf"], "{at} {linked:?}");
        unlink(&claude, &name("pdf"), &Options::default()).unwrap();
        assert!(fs::symlink_metadata(path.join("pdf")).is_err());
    }
}

/// What a power failure leaves is the new folder only if all of it was on the disk before it got its name.
#[test]
fn all_of_the_new_folder_is_flushed_before_it_is_put_in_place() {
    for operation in OPERATIONS {
        let [before, after] = states(operation);
        let project = Project::new();
        operation.prepare(&project);
        fault::set(None);
        operation.run(&project.folder).unwrap();
        let events = fault::events();
        let Some(placed) = events.iter().position(|event| event.starts_with("rename ")) else {
            panic!("{operation:?}: {events:?}");
        };
        let (flushed, rest) = events.split_at(placed);
        for path in after.keys().filter(|path| before.get(*path) != after.get(*path)) {
            // Below the stage, or a marker file before it gets its name.
            let is_it = |event: &&String| {
                event.starts_with("flush ") && event.ends_with(&format!("/{path}"))
                    || path == ".skillkeep.json" && event.starts_with("flush .skillkeep-new-")
            };
            assert_eq!(
                flushed.iter().filter(is_it).count(),
                1,
                "{operation:?}: {path}: {events:#?}"
            );
        }
        assert!(
            rest.iter().any(|event| event.starts_with("flush")),
            "{operation:?}: the names: {events:?}"
        );
    }
}
