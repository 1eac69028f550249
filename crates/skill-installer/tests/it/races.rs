//! Somebody changes the folder while a skill is written.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use skill_installer::{Options, list};

use super::fixture::{Project, content, force, temporary_folder, v1, v2};

#[test]
fn folder_that_is_swapped_for_a_link_never_leads_out() {
    let outside = temporary_folder();
    fs::create_dir_all(outside.path().join("docs/old")).unwrap();
    fs::write(outside.path().join("SKILL.md"), "outside").unwrap();
    fs::write(outside.path().join("docs/a.md"), "outside").unwrap();
    let before = content(outside.path());
    let project = Project::with(&v1());
    let (docs, aside, link) = (
        project.path("pdf/docs"),
        project.root.path().join("aside"),
        project.root.path().join("link"),
    );
    symlink(outside.path().join("docs"), &link).unwrap();
    let (is_done, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                // Each step can fail, because the skill's folder is exchanged meanwhile.
                if fs::rename(&docs, &aside).is_ok() {
                    let _ = fs::rename(&link, &docs);
                    std::thread::yield_now();
                    let _ = fs::rename(&docs, &link);
                    let _ = fs::remove_file(&docs);
                    if fs::rename(&aside, &docs).is_err() {
                        let _ = fs::remove_dir_all(&aside);
                    }
                }
                if !fs::symlink_metadata(&link).is_ok_and(|info| info.is_symlink()) {
                    let _ = fs::remove_dir_all(&link);
                    let _ = symlink(outside.path().join("docs"), &link);
                }
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut installed = 0;
        let mut runs = 0;
        while swaps.load(Ordering::Relaxed) < 1000 || runs < 200 {
            let release = if runs % 2 == 0 { v2() } else { v1() };
            installed += u32::from(project.install(&release, &force()).is_ok());
            runs += 1;
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(installed > 0);
    });
    assert_eq!(content(outside.path()), before);
    let _ = fs::remove_dir_all(project.path("pdf/docs"));
    let _ = fs::remove_file(project.path("pdf/docs"));
    project.install(&v1(), &force()).unwrap();
    assert!(list(&project.folder).unwrap()[0].drift.is_clean());
}

/// A person edits a file again and again, in place and as editors do (a new file that is renamed). Each text that was written
/// last before or during an update is in the skill's folder or in the backup.
#[test]
fn edits_during_updates_are_never_lost() {
    let project = Project::with(&v1());
    let path = project.path("pdf/notes.txt");
    let other = project.root.path().join("notes.new");
    for round in 0..150 {
        let text = format!("round {round} {}", "x".repeat(round * 50));
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let updates = scope.spawn(|| {
                for release in [v2(), v1()] {
                    let _ = project.install(&release, &Options::default());
                }
                is_done.store(true, Ordering::Relaxed);
            });
            fs::write(&other, &text).unwrap();
            // The folder is always there, so this succeeds.
            fs::rename(&other, &path).unwrap();
            updates.join().unwrap();
        });
        project.folder.recover(Options::default().wait).unwrap();
        let all = project.content();
        let found = all.values().filter(|value| value.ends_with(&text)).count();
        assert!(found > 0, "{text:.20} is lost: {:?}", all.keys());
    }
}

/// Who reads sees a complete skill at any time.
#[test]
fn reader_sees_the_old_or_the_new_version() {
    let project = Project::with(&v1());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_done.load(Ordering::Relaxed) || reads == 0 {
                assert!(project.path("pdf/SKILL.md").exists());
                assert!(project.path("pdf/scripts/run.sh").exists());
                reads += 1;
            }
        });
        for round in 0..100 {
            let release = if round % 2 == 0 { v2() } else { v1() };
            project.install(&release, &Options::default()).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn two_processes_do_not_disturb_each_other() {
    let project = Project::with(&v1());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let project = &project;
            scope.spawn(move || {
                for round in 0..30 {
                    let release = if (round + thread) % 2 == 0 { v2() } else { v1() };
                    match project.install(&release, &Options::default()) {
                        Ok(applied) => assert_eq!((applied.left_over, applied.backed_up.len()), (None, 0)),
                        // Another one was faster between plan and apply.
                        Err(error) => assert_eq!(error.code(), "changed"),
                    }
                }
            });
        }
    });
    let names: Vec<_> = project
        .content()
        .into_keys()
        .filter(|path| path.starts_with(".skill"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    assert!(list(&project.folder).unwrap()[0].drift.is_clean());
}
