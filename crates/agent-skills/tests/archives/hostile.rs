//! Every hostile archive is refused with its reason, and nothing outside of the target is touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agent_skills::{ArchiveLimits, extract_archive, read_skill_archive};

use crate::{Case, Import, tar_cases, zip_cases};

pub(crate) fn all_cases() -> Vec<Case> {
    let groups = [
        zip_cases::names(),
        zip_cases::collisions(),
        zip_cases::kinds(),
        zip_cases::entries(),
        zip_cases::structure(),
        zip_cases::ends(),
        zip_cases::bombs(),
        zip_cases::too_large(),
        zip_cases::not_one_skill(),
        tar_cases::names(),
        tar_cases::kinds(),
        tar_cases::structure(),
        tar_cases::compressed(),
        tar_cases::bombs(),
        tar_cases::formats(),
    ];
    groups.into_iter().flatten().collect()
}

/// Smaller than the real ones, so that a bomb does not fill the disk of a test.
pub(crate) fn import_limits() -> ArchiveLimits {
    ArchiveLimits {
        max_unpacked_bytes: 96 << 20,
        ratio_free_bytes: 24 << 20,
        ..ArchiveLimits::IMPORT
    }
}

/// All files below `root` with their contents.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn there_are_more_than_one_hundred_cases_with_distinct_names() {
    let cases = all_cases();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "{names:?}");
    assert!(names.len() > 100, "{}", names.len());
}

#[test]
fn hostile_archive_is_not_read_as_a_skill() {
    for case in all_cases() {
        let error = match read_skill_archive(&(case.build)(), Some("my-skill.zip")) {
            Ok(skill) => panic!("{}: accepted as {} files", case.name, skill.files.len()),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(case.reason), "{}: {error}", case.name);
        assert!(
            error.len() < 600 && !error.contains('\0'),
            "{}: {error}",
            case.name
        );
    }
}

#[test]
fn extraction_of_hostile_archive_stays_in_its_folder() {
    for case in all_cases() {
        let root = tempfile::tempdir().unwrap();
        for name in ["escaped", "b", "etc/passwd"] {
            let path = root.path().join("outside").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "untouched").unwrap();
        }
        let outside = snapshot(root.path());
        let target = root.path().join("outside/target");
        fs::create_dir(&target).unwrap();
        let found = extract_archive(Cursor::new((case.build)()), &target, &import_limits());
        match (case.import, found) {
            (Import::SameReason, Err(error)) => {
                let error = error.to_string();
                assert!(error.contains(case.reason), "{}: {error}", case.name);
            }
            (Import::OtherReason(reason), Err(error)) => {
                assert!(error.to_string().contains(reason), "{}: {error}", case.name);
            }
            (Import::SkipsLink, Ok(report)) => {
                assert_eq!(report.skipped_links.len(), 1, "{}", case.name);
                assert_eq!(report.skipped_links[0].path.as_str(), "a", "{}", case.name);
                assert!(!target.join("a").exists(), "{}", case.name);
            }
            (Import::Accepts, Ok(_)) => {}
            (import, found) => panic!("{}: expected {import:?}, found {found:?}", case.name),
        }
        assert_private(&target);
        fs::remove_dir_all(&target).unwrap();
        assert_eq!(snapshot(root.path()), outside, "{}", case.name);
        assert!(!Path::new("/tmp/escaped").exists(), "{}", case.name);
    }
}

/// Nothing is readable by others, executable by others, setuid, or a link.
fn assert_private(folder: &Path) {
    for path in snapshot(folder).keys() {
        let metadata = path.symlink_metadata().unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o7077, 0, "{}", path.display());
    }
}
