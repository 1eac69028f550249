//! Finds the skills below a folder.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::FolderError;
use crate::path::SKILL_MD;

/// Finds every folder at or below `root` that contains a `SKILL.md` in any case, in the order of their names.
///
/// Does not follow links, except if `root` itself is one, and does not enter `.git` and `node_modules`. A skill inside
/// the folder of another skill is part of the outer skill and not returned. An unreadable folder yields one `Err`
/// item, and the search continues.
pub fn find_skill_folders(root: &Path) -> impl Iterator<Item = Result<PathBuf, FolderError>> + use<> {
    let mut walk = WalkDir::new(root).sort_by_file_name().into_iter();
    let mut is_done = false;
    std::iter::from_fn(move || {
        loop {
            match walk.next().filter(|_| !is_done)? {
                Err(error) => return Some(Err(error.into())),
                // The root was named explicitly, so it is searched even with an excluded name or kind.
                Ok(entry) if entry.depth() > 0 && !entry.file_type().is_dir() => {}
                Ok(entry) if entry.depth() > 0 && is_excluded(&entry) => walk.skip_current_dir(),
                Ok(entry) if contains_skill_md(entry.path()) => {
                    walk.skip_current_dir();
                    // `skip_current_dir` has no effect if the root is a link.
                    is_done = entry.depth() == 0;
                    return Some(Ok(entry.into_path()));
                }
                Ok(_) => {}
            }
        }
    })
}

fn is_excluded(entry: &DirEntry) -> bool {
    entry.file_name() == ".git" || entry.file_name() == "node_modules"
}

/// Returns `false` for an unreadable folder; the walk reports it.
fn contains_skill_md(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| {
        entry.file_name().eq_ignore_ascii_case(SKILL_MD) && entry.file_type().is_ok_and(|kind| !kind.is_dir())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        root
    }

    fn found(root: &Path) -> Vec<String> {
        find_skill_folders(root)
            .map(|found| found.unwrap().strip_prefix(root).unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn skills_are_found_in_order_without_nested_ones() {
        let root = tree(&[
            "b/x/SKILL.md",
            "b/x/inner/SKILL.md",
            "a/skill.md",
            "a-folder/SKILL.md/not-a-file",
            ".git/SKILL.md",
            "node_modules/c/SKILL.md",
            "d/README.md",
        ]);
        assert_eq!(found(root.path()), ["a", "b/x"]);
    }

    #[test]
    fn root_may_be_a_skill_or_a_link_to_one() {
        let root = tree(&["s/SKILL.md", "s/inner/SKILL.md"]);
        assert_eq!(found(&root.path().join("s")), [""]);
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path().join("s"), &link).unwrap();
        assert_eq!(found(&link), [""]);
        assert_eq!(found(root.path()), ["s"]);
    }

    #[test]
    fn missing_root_is_an_error_that_names_it() {
        let found: Vec<_> = find_skill_folders(Path::new("/nowhere/at/all")).collect();
        assert!(matches!(&found[..], [Err(error)] if error.to_string().contains("/nowhere/at/all")));
    }
}
