//! Random releases and edits.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use skill_installer::{Options, PlanKind, remove, verify};

use super::fixture::{Project, file, force, name, raw_release};

const PATHS: [&str; 6] = ["a.md", "b/c.md", "b/d/e.md", "f.sh", "g", "b/h"];

fn files() -> impl Strategy<Value = BTreeMap<&'static str, (Vec<u8>, bool)>> {
    let content = (prop::collection::vec(any::<u8>(), 0..20), any::<bool>());
    prop::collection::btree_map(prop::sample::select(PATHS.to_vec()), content, 0..6)
}

fn release(version: u32, files: &BTreeMap<&str, (Vec<u8>, bool)>) -> skill_installer::VerifiedRelease {
    let files = files
        .iter()
        .map(|(path, (bytes, executable))| file(path, bytes, *executable));
    let all = files.chain([file("SKILL.md", version.to_string().as_bytes(), false)]);
    raw_release(&version.to_string(), all.collect()).verify().unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Edit(&'static str),
    Delete(&'static str),
    Update(BTreeMap<&'static str, (Vec<u8>, bool)>, bool),
    Remove(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::sample::select([&PATHS[..], &["SKILL.md", "own.txt", "own/x"]].concat());
    prop_oneof![
        4 => path().prop_map(Step::Edit),
        1 => path().prop_map(Step::Delete),
        4 => (files(), any::<bool>()).prop_map(|(files, force)| Step::Update(files, force)),
        1 => any::<bool>().prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn installed_skill_is_clean(files in files()) {
        let project = Project::with(&release(1, &files));
        prop_assert!(verify(&project.folder, &name("pdf")).unwrap().is_clean());
        let plan = project.plan(&release(1, &files), &Options::default()).unwrap();
        prop_assert_eq!(plan.kind, PlanKind::Current);
    }

    /// Each text that a person wrote, and did not overwrite or delete, is in the skill's folder or in the backup.
    #[test]
    fn no_sequence_of_updates_loses_an_edit(steps in prop::collection::vec(step(), 1..14)) {
        let project = Project::with(&release(1, &BTreeMap::new()));
        let mut edits: BTreeMap<String, String> = BTreeMap::new();
        let mut safe: Vec<String> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Edit(path) => {
                    let text = format!("edit-{number}-of-a-person");
                    let target = project.path("pdf").join(path);
                    if fs::create_dir_all(target.parent().unwrap()).is_ok() && fs::write(&target, &text).is_ok() {
                        edits.insert(path.to_owned(), text);
                    }
                }
                Step::Delete(path) => {
                    if fs::remove_file(project.path("pdf").join(path)).is_ok() {
                        edits.remove(path);
                    }
                }
                Step::Update(files, is_forced) => {
                    let options = if is_forced { force() } else { Options::default() };
                    let done = project.install(&release(u32::try_from(number).unwrap() + 2, &files), &options);
                    if let Ok(applied) = done {
                        prop_assert_eq!(applied.left_over, None);
                    }
                }
                Step::Remove(is_forced) => {
                    let options = if is_forced { force() } else { Options::default() };
                    let _ = remove(&project.folder, &name("pdf"), &options);
                }
            }
            // What went into the backup stays there, also after a new edit at its path.
            let all = project.content();
            safe.extend(all.iter().filter(|(path, _)| path.starts_with(".skillkeep-backup")).map(|(_, value)| value.clone()));
            safe.sort();
            safe.dedup();
            for text in edits.values() {
                prop_assert!(all.values().any(|value| value.ends_with(text)), "{} is lost after step {}", text, number);
            }
            prop_assert!(safe.iter().all(|value| all.values().any(|found| found == value)));
            prop_assert!(!all.keys().any(|path| path.starts_with(".skillkeep-stage") || path.starts_with(".skillkeep-old")));
        }
    }
}
