//! Installing, updating, repairing and removing, with and without edits.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use skill_installer::{
    Conflict, Difference, Error, FileAction, InstallRecord, InstalledState, Options, PlanKind,
    ReleaseSignature, inspect, list, remove, set_pinned, verify,
};

use super::fixture::{NOW, Project, content, force, name, release, v1, v2};

fn action(plan: &skill_installer::Plan, path: &str) -> FileAction {
    plan.files.iter().find(|file| file.path == path).unwrap().action
}

#[test]
fn new_skill_has_the_bytes_and_rights_of_its_release() {
    let project = Project::new();
    let plan = project.plan(&v1(), &Options::default()).unwrap();
    assert_eq!(plan.kind, PlanKind::New);
    assert!(plan.files.iter().all(|file| file.action == FileAction::Add));
    let applied = plan
        .apply(
            &project.folder,
            &v1(),
            &InstallRecord::at(NOW),
            &Options::default(),
        )
        .unwrap();
    assert_eq!((applied.kind, applied.left_over), (PlanKind::New, None));
    let content = content(&project.path("pdf"));
    assert_eq!(content["scripts/run.sh"], "755 echo one\n");
    assert_eq!(content["docs/a.md"], "644 a1\n");
    assert_eq!(content["docs"], "folder 755");
    let mode = fs::metadata(project.path("pdf")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert!(verify(&project.folder, &name("pdf")).unwrap().is_clean());
    let listed = list(&project.folder).unwrap();
    assert_eq!((listed.len(), listed[0].marker.installed_at.as_str()), (1, NOW));
    let names: Vec<_> = fs::read_dir(project.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "the lock and the skill: {names:?}");
}

#[test]
fn update_replaces_adds_and_removes_and_keeps_edits() {
    let project = Project::with(&v1());
    project.write("pdf/SKILL.md", "mine");
    project.write("pdf/own.txt", "own");
    project.write("pdf/docs/old/own.md", "own");
    fs::remove_file(project.path("pdf/docs/a.md")).unwrap();
    let plan = project.plan(&v2(), &Options::default()).unwrap();
    assert_eq!(plan.kind, PlanKind::Update);
    assert_eq!(action(&plan, "SKILL.md"), FileAction::KeepEdited);
    assert!(
        plan.files
            .iter()
            .any(|file| file.path == "SKILL.md" && file.edited && file.withholds_new)
    );
    assert_eq!(action(&plan, "own.txt"), FileAction::KeepExtra);
    assert_eq!(action(&plan, "scripts/run.sh"), FileAction::Replace);
    assert_eq!(action(&plan, "docs/old/notes.md"), FileAction::Remove);
    assert_eq!(action(&plan, "docs/a.md"), FileAction::Add);
    let applied = plan
        .apply(
            &project.folder,
            &v2(),
            &InstallRecord::at(NOW),
            &Options::default(),
        )
        .unwrap();
    assert_eq!(applied.kept, ["SKILL.md", "docs/old/own.md", "own.txt"]);
    assert!(applied.backed_up.is_empty());
    assert_eq!(project.read("pdf/SKILL.md"), "mine");
    assert_eq!(project.read("pdf/scripts/run.sh"), "echo two\n");
    assert!(!project.path("pdf/docs/old/notes.md").exists());
    let drift = verify(&project.folder, &name("pdf")).unwrap();
    assert_eq!(drift.modified, ["SKILL.md"]);
    assert_eq!(drift.extra, ["docs/old/own.md", "own.txt"]);
    let InstalledState::Installed(installed) = inspect(&project.folder, &name("pdf")).unwrap() else {
        panic!("not installed")
    };
    assert_eq!(installed.marker.previous.unwrap().version, "1.0.0");
    assert!(!project.path(".skillkeep-backup").exists());
}

#[test]
fn force_moves_edited_bytes_into_the_backup() {
    let project = Project::with(&v1());
    project.write("pdf/SKILL.md", "mine");
    project.write("pdf/docs/old/notes.md", "my notes");
    project.write("pdf/docs/new.md", "my new");
    let applied = project.install(&v2(), &force()).unwrap();
    assert!(verify(&project.folder, &name("pdf")).unwrap().is_clean());
    let mut kept: Vec<(String, String)> = applied
        .backed_up
        .iter()
        .map(|path| (path.rsplit('/').next().unwrap().to_owned(), project.read(path)))
        .collect();
    kept.sort();
    let expected = [
        ("SKILL.md.bak", "mine"),
        ("new.md", "my new"),
        ("notes.md", "my notes"),
    ];
    assert_eq!(
        kept,
        expected.map(|(path, text)| (path.to_owned(), text.to_owned()))
    );
    // Nothing in the backup can be loaded as a skill.
    assert!(
        content(&project.path(".skillkeep-backup"))
            .keys()
            .all(|path| !path.ends_with("/SKILL.md"))
    );
}

#[test]
fn folder_that_is_not_ours_is_untouched_without_force() {
    let project = Project::new();
    project.write("pdf/SKILL.md", "theirs");
    project.write("pdf/sub/data", "data");
    let before = project.content();
    let plan = project.plan(&v1(), &Options::default()).unwrap();
    assert_eq!(
        (plan.kind, plan.conflict.clone()),
        (PlanKind::Conflict, Some(Conflict::Occupied))
    );
    let error = plan
        .apply(
            &project.folder,
            &v1(),
            &InstallRecord::at(NOW),
            &Options::default(),
        )
        .unwrap_err();
    assert_eq!(error.code(), "occupied");
    assert!(matches!(
        remove(&project.folder, &name("pdf"), &force()),
        Err(Error::NotInstalled { .. })
    ));
    assert_eq!(project.content(), before);

    let applied = project.install(&v1(), &force()).unwrap();
    assert_eq!(applied.backed_up.len(), 2);
    assert!(verify(&project.folder, &name("pdf")).unwrap().is_clean());
    let backup = content(&project.path(".skillkeep-backup"));
    assert!(
        backup.values().any(|value| value == "644 theirs")
            && backup.values().any(|value| value == "644 data")
    );
}

#[test]
fn skill_of_another_registry_is_a_conflict_and_goes_whole_into_the_backup() {
    let project = Project::with(&v1());
    let mut other =
        super::fixture::raw_release("9.0.0", vec![super::fixture::file("SKILL.md", b"other", false)]);
    other.registry = "https://other.example.com".to_owned();
    let other = other.verify().unwrap();
    let plan = project.plan(&other, &Options::default()).unwrap();
    assert_eq!(
        plan.conflict.as_ref().map(Conflict::code),
        Some("occupied_by_other")
    );
    let applied = project.install(&other, &force()).unwrap();
    assert_eq!(
        applied.backed_up.len(),
        5,
        "four files and the marker: {applied:?}"
    );
    assert_eq!(project.read("pdf/SKILL.md"), "other");
    let InstalledState::Installed(installed) = inspect(&project.folder, &name("pdf")).unwrap() else {
        panic!("not installed")
    };
    assert_eq!(installed.marker.previous, None);
}

#[test]
fn same_version_is_current_or_repaired() {
    let project = Project::with(&v1());
    let before = project.content();
    let applied = project.install(&v1(), &Options::default()).unwrap();
    assert_eq!(applied.kind, PlanKind::Current);
    fs::remove_file(project.path("pdf/scripts/run.sh")).unwrap();
    let applied = project.install(&v1(), &Options::default()).unwrap();
    assert_eq!(applied.kind, PlanKind::Repair);
    assert_eq!(project.content(), before);
    project.write("pdf/docs/a.md", "mine");
    let plan = project.plan(&v1(), &Options::default()).unwrap();
    assert_eq!(plan.kind, PlanKind::Current);
    assert!(plan.reason.contains("1 edited"), "{}", plan.reason);
    project.install(&v1(), &force()).unwrap();
    assert_eq!(project.read("pdf/docs/a.md"), "a1\n");
    // The executable bit is part of the release.
    fs::set_permissions(project.path("pdf/docs/a.md"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        verify(&project.folder, &name("pdf")).unwrap().modified,
        ["docs/a.md"]
    );
}

#[test]
fn kept_file_in_the_way_of_a_new_one_is_a_conflict() {
    for (extra, new) in [
        ("docs", "docs/a.md"),
        ("a.md/own", "a.md"),
        ("DOCS/a.md", "docs/a.md"),
    ] {
        let project = Project::with(&release("1", &[("SKILL.md", "one")]));
        project.write(&format!("pdf/{extra}"), "own");
        let next = release("2", &[("SKILL.md", "two"), (new, "new")]);
        let before = project.content();
        let error = project.install(&next, &Options::default()).unwrap_err();
        assert_eq!(error.code(), "blocked", "{error}");
        assert!(error.to_string().contains(extra), "{error}");
        assert_eq!(project.content(), before);
        let applied = project.install(&next, &force()).unwrap();
        assert_eq!(project.read(&applied.backed_up[0]), "own");
        assert!(verify(&project.folder, &name("pdf")).unwrap().is_clean());
    }
}

#[test]
fn plan_that_is_out_of_date_is_refused() {
    let project = Project::with(&v1());
    let plan = project.plan(&v2(), &Options::default()).unwrap();
    project.write("pdf/SKILL.md", "mine");
    let error = plan
        .apply(
            &project.folder,
            &v2(),
            &InstallRecord::at(NOW),
            &Options::default(),
        )
        .unwrap_err();
    assert_eq!(error.code(), "changed");
    let error = plan
        .apply(
            &project.folder,
            &v1(),
            &InstallRecord::at(NOW),
            &Options::default(),
        )
        .unwrap_err();
    assert_eq!(error.code(), "changed", "another release than planned");
    for time in ["", "now\n", "2026-11-26 12:00"] {
        let plan = project.plan(&v2(), &Options::default()).unwrap();
        let applied = plan.apply(
            &project.folder,
            &v2(),
            &InstallRecord::at(time),
            &Options::default(),
        );
        assert_eq!(applied.unwrap_err().code(), "bad_time", "{time:?}");
    }
    let plan = project.plan(&v2(), &Options::default()).unwrap();
    let record = InstallRecord {
        receipt: Some("two words"),
        ..InstallRecord::at(NOW)
    };
    let applied = plan.apply(&project.folder, &v2(), &record, &Options::default());
    assert_eq!(applied.unwrap_err().code(), "bad_release");
    assert_eq!(project.read("pdf/scripts/run.sh"), "echo one\n");
}

#[test]
fn removal_keeps_what_a_person_wrote() {
    let project = Project::with(&v1());
    let removed = remove(&project.folder, &name("pdf"), &Options::default()).unwrap();
    assert_eq!((removed.version.as_str(), removed.kept.len()), ("1.0.0", 0));
    assert_eq!(project.content().len(), 0);

    let project = Project::with(&v1());
    project.write("pdf/SKILL.md", "mine");
    project.write("pdf/own/own.txt", "own");
    let removed = remove(&project.folder, &name("pdf"), &Options::default()).unwrap();
    assert_eq!(removed.kept, ["SKILL.md", "own/own.txt"]);
    let left = project.content();
    assert_eq!(
        left.keys().collect::<Vec<_>>(),
        ["pdf", "pdf/SKILL.md", "pdf/own", "pdf/own/own.txt"]
    );

    let project = Project::with(&v1());
    project.write("pdf/SKILL.md", "mine");
    let removed = remove(&project.folder, &name("pdf"), &force()).unwrap();
    assert!(!project.path("pdf").exists());
    assert_eq!(project.read(&removed.backed_up[0]), "mine");
}

#[test]
fn pin_survives_an_update() {
    let project = Project::with(&v1());
    set_pinned(&project.folder, &name("pdf"), true, &Options::default()).unwrap();
    assert!(project.plan(&v2(), &Options::default()).unwrap().pinned);
    project.install(&v2(), &Options::default()).unwrap();
    assert!(list(&project.folder).unwrap()[0].marker.pinned);
    assert!(verify(&project.folder, &name("pdf")).unwrap().is_clean());
}

#[test]
fn difference_shows_text_and_sizes_of_the_rest() {
    let project = Project::with(&release(
        "1",
        &[("SKILL.md", "a\nb\n"), ("bin", "\0one"), ("gone", "x\n")],
    ));
    let next = release("2", &[("SKILL.md", "a\nc\n"), ("bin", "\0twoo"), ("new", "n\n")]);
    let plan = project.plan(&next, &Options::default()).unwrap();
    let shown = plan.difference(&project.folder, &next).unwrap();
    let of = |path: &str| {
        shown
            .iter()
            .find(|file| file.path == path)
            .unwrap()
            .difference
            .clone()
    };
    assert_eq!(
        of("SKILL.md"),
        Difference::Text("--- a/SKILL.md\n+++ b/SKILL.md\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n".to_owned())
    );
    let sizes = Difference::Sizes {
        before: Some(4),
        after: Some(5),
    };
    assert_eq!(of("bin"), sizes);
    assert!(matches!(of("new"), Difference::Text(text) if text.contains("+n")));
    assert!(matches!(of("gone"), Difference::Text(text) if text.contains("-x")));
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["kind"], "update");
    assert_eq!(json["files"][0]["action"], "replace");
}

#[test]
fn empty_folders_of_a_person_stay_and_those_of_the_skill_go() {
    let project = Project::with(&v1());
    fs::create_dir_all(project.path("pdf/out/today")).unwrap();
    project.install(&v2(), &Options::default()).unwrap();
    assert!(project.path("pdf/out/today").is_dir());
    assert!(!project.path("pdf/docs/old").exists());
}

#[test]
fn second_process_waits_and_then_says_that_another_works() {
    let project = Project::with(&v1());
    let lock = fs::File::options()
        .write(true)
        .open(project.path(".skillkeep-lock"))
        .unwrap();
    lock.lock().unwrap();
    let options = Options {
        force: false,
        wait: std::time::Duration::from_millis(60),
    };
    let error = project.install(&v2(), &options).unwrap_err();
    assert_eq!(error.code(), "busy");
    assert!(error.to_string().contains("another skillkeep is working in"));
    drop(lock);
    project.install(&v2(), &options).unwrap();
}

#[test]
fn signature_is_kept_in_the_marker() {
    let signature = ReleaseSignature {
        key_id: "0123456789abcdef".to_owned(),
        algorithm: "ed25519".to_owned(),
        bytes: "AAAA".to_owned(),
    };
    let mut release = super::fixture::raw_release("1", vec![super::fixture::file("SKILL.md", b"a", false)]);
    let unsigned = release.clone().verify().unwrap();
    release.signature = Some(signature.clone());
    let signed = release.verify().unwrap();
    let project = Project::with(&unsigned);
    // The version is there, but its marker says nothing of the signature yet.
    assert_eq!(
        project.install(&signed, &Options::default()).unwrap().kind,
        PlanKind::Update
    );
    assert_eq!(
        list(&project.folder).unwrap()[0].marker.signature,
        Some(signature)
    );
    assert_eq!(
        project.install(&signed, &Options::default()).unwrap().kind,
        PlanKind::Current
    );
}
