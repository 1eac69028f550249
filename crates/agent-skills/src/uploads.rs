//! Makes a skill of files that were sent, not read from a folder.

use crate::archive::ignored_prefix;
use crate::diagnostics::Diagnostic;
use crate::error::FolderError;
use crate::folder::{SkillFile, SkillFolder};
use crate::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use crate::path::{SKILL_MD, SkillPath, check_collisions};

impl SkillFolder {
    /// Makes a skill of files in memory, in any order.
    ///
    /// Like [`read_folder`](crate::read_folder), it corrects the case of `SKILL.md`, leaves out files of other programs and
    /// reports both in [`Self::diagnostics`].
    ///
    /// # Errors
    /// Returns a [`FolderError`] if there is no `SKILL.md`, if two paths collide, or if the files exceed [`MAX_FILES`] or
    /// [`MAX_TOTAL_BYTES`].
    pub fn from_files(folder_name: &str, mut files: Vec<SkillFile>) -> Result<Self, FolderError> {
        let mut diagnostics = leave_out_ignored(&mut files);
        check_limits(folder_name, &files)?;
        diagnostics.extend(rename_skill_md(folder_name, &mut files)?);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        check_collisions(files.iter().map(|file| &file.path))?;
        Ok(Self {
            folder_name: folder_name.to_owned(),
            parent_name: None,
            files,
            diagnostics,
        })
    }
}

fn leave_out_ignored(files: &mut Vec<SkillFile>) -> Vec<Diagnostic> {
    let mut left_out: Vec<String> = files
        .iter()
        .filter_map(|file| ignored_prefix(file.path.as_str()))
        .map(str::to_owned)
        .collect();
    left_out.sort();
    left_out.dedup();
    files.retain(|file| ignored_prefix(file.path.as_str()).is_none());
    left_out
        .into_iter()
        .map(|path| Diagnostic::LeftOut { path })
        .collect()
}

fn check_limits(folder_name: &str, files: &[SkillFile]) -> Result<(), FolderError> {
    if files.len() > MAX_FILES {
        return Err(FolderError::TooManyFiles {
            path: folder_name.into(),
        });
    }
    let mut total_bytes = 0;
    for file in files {
        let bytes = file.bytes.len() as u64;
        total_bytes += bytes;
        if total_bytes > MAX_TOTAL_BYTES {
            return Err(FolderError::TooManyBytes {
                path: file.path.as_str().into(),
                bytes,
            });
        }
    }
    Ok(())
}

fn rename_skill_md(folder_name: &str, files: &mut [SkillFile]) -> Result<Option<Diagnostic>, FolderError> {
    if files.iter().any(|file| file.path.as_str() == SKILL_MD) {
        return Ok(None);
    }
    let other_case = files
        .iter_mut()
        .find(|file| file.path.as_str().eq_ignore_ascii_case(SKILL_MD));
    let file = other_case.ok_or_else(|| FolderError::NoSkillMd {
        path: folder_name.into(),
    })?;
    let found = file.path.to_string();
    file.path = SkillPath::skill_md();
    Ok(Some(Diagnostic::SkillMdCase { found }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, size: usize) -> SkillFile {
        SkillFile {
            path: SkillPath::parse(path).unwrap(),
            bytes: vec![b'x'; size],
            is_executable: false,
        }
    }

    #[test]
    fn files_are_sorted_and_skill_md_is_renamed() {
        let files = vec![
            file("b", 1),
            file("skill.md", 1),
            file("a/.DS_Store", 1),
            file("a/x", 1),
        ];
        let skill = SkillFolder::from_files("my-skill", files).unwrap();
        let paths: Vec<&str> = skill.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["SKILL.md", "a/x", "b"]);
        let codes: Vec<&str> = skill.diagnostics.iter().map(Diagnostic::code).collect();
        assert_eq!(codes, ["left_out", "skill_md_case"]);
        assert_eq!((&*skill.folder_name, skill.parent_name), ("my-skill", None));
    }

    #[test]
    fn missing_skill_md_and_collisions_are_errors() {
        let found = SkillFolder::from_files("s", vec![file("a/SKILL.md", 1)]);
        assert!(matches!(found, Err(FolderError::NoSkillMd { .. })), "{found:?}");
        for pair in [["SKILL.md", "skill.md"], ["SKILL.md", "SKILL.md"], ["A", "a/b"]] {
            let mut files: Vec<_> = pair.iter().map(|path| file(path, 1)).collect();
            files.push(file("SKILL.md", 1));
            let found = SkillFolder::from_files("s", files);
            assert!(
                matches!(found, Err(FolderError::Collision(_))),
                "{pair:?}: {found:?}"
            );
        }
    }

    #[test]
    fn limits_of_the_format_apply() {
        let mut files: Vec<_> = (1..MAX_FILES).map(|n| file(&n.to_string(), 0)).collect();
        files.push(file("SKILL.md", 0));
        assert!(SkillFolder::from_files("s", files.clone()).is_ok());
        files.push(file("one-more", 0));
        let found = SkillFolder::from_files("s", files);
        assert!(matches!(found, Err(FolderError::TooManyFiles { .. })));
        let half = usize::try_from(MAX_TOTAL_BYTES).unwrap() / 2;
        let found = SkillFolder::from_files("s", vec![file("SKILL.md", half), file("a", half), file("b", 1)]);
        assert!(matches!(found, Err(FolderError::TooManyBytes { bytes: 1, .. })));
    }
}
