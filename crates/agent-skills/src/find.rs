//! Finding the skills below a folder.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::SKILL_MD;
use super::error::{FolderError, unreadable};

/// Every folder at or below `root` that holds a `SKILL.md`, in the order of their names.
///
/// Links are not followed, `.git` and `node_modules` not entered. A skill inside a skill's folder belongs to the
/// outer one and is not found by itself. A folder that cannot be read is one item that says so; the walk goes on.
pub fn find_skill_folders(root: &Path) -> impl Iterator<Item = Result<PathBuf, FolderError>> + use<> {
    let mut walk = WalkDir::new(root).sort_by_file_name().into_iter();
    let mut is_done = false;
    std::iter::from_fn(move || {
        loop {
            match walk.next().filter(|_| !is_done)? {
                Err(error) => return Some(Err(unreadable(error))),
                // The root is what the person named, whatever it is called and also through a link.
                Ok(entry) if entry.depth() > 0 && !entry.file_type().is_dir() => {}
                Ok(entry) if entry.depth() > 0 && is_never_entered(&entry) => walk.skip_current_dir(),
                Ok(entry) if holds_skill_md(entry.path()) => {
                    walk.skip_current_dir();
                    // `walkdir` does not skip what is below a root that is a link.
                    is_done = entry.depth() == 0;
                    return Some(Ok(entry.into_path()));
                }
                Ok(_) => {}
            }
        }
    })
}

fn is_never_entered(entry: &DirEntry) -> bool {
    entry.file_name() == ".git" || entry.file_name() == "node_modules"
}

/// Whether the folder has a `SKILL.md`, in whatever case. What cannot be listed is told by the walk itself.
fn holds_skill_md(folder: &Path) -> bool {
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
    fn skills_are_found_in_order_and_not_inside_one_another() {
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
    fn the_root_may_be_a_skill_itself_also_through_a_link() {
        let root = tree(&["s/SKILL.md", "s/inner/SKILL.md"]);
        assert_eq!(found(&root.path().join("s")), [""]);
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path().join("s"), &link).unwrap();
        assert_eq!(found(&link), [""]);
        assert_eq!(found(root.path()), ["s"]);
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error_that_names_it() {
        let found: Vec<_> = find_skill_folders(Path::new("/nowhere/at/all")).collect();
        assert!(matches!(&found[..], [Err(error)] if error.to_string().contains("/nowhere/at/all")));
    }
}
