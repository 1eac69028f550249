//! `.gitignore` and `.skillignore` files, with the syntax of gitignore(5).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use folder_handle::FolderHandle;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::FolderError;
use crate::json_file::read_bytes;

/// Maximum size of an ignore file in bytes.
const MAX_BYTES: u64 = 256 * 1024;
/// Maximum number of patterns in an ignore file. Each costs time for every file.
const MAX_PATTERNS: usize = 2000;

/// The ignore files, from the weakest to the strongest.
pub(crate) const IGNORE_FILES: [&str; 2] = [".gitignore", ".skillignore"];

/// What the ignore files say about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Left out, by the ignore file of this name.
    Ignored(&'static str),
    /// Kept by a `!pattern`.
    Kept,
}

/// The patterns of the ignore files in one folder.
#[derive(Debug)]
pub(crate) struct FolderPatterns(Vec<(&'static str, Gitignore)>);

impl FolderPatterns {
    /// Reads the ignore files of a folder. `None` if it has none.
    pub(crate) fn read(root: &FolderHandle, folder: &Path) -> Result<Option<Self>, FolderError> {
        let mut patterns = Vec::new();
        for name in IGNORE_FILES {
            let path = folder.join(name);
            if let Some(text) = read_text(root, &path)? {
                patterns.push((name, parse(folder, &path, &text)?));
            }
        }
        Ok((!patterns.is_empty()).then_some(Self(patterns)))
    }

    /// The ignore files of a folder of a skill that is in memory, given by its path relative to the skill.
    pub(crate) fn of_files<'a>(
        folder: &str,
        bytes_of: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<Option<Self>, FolderError> {
        let folder = Path::new(folder);
        let mut patterns = Vec::new();
        for name in IGNORE_FILES {
            let path = folder.join(name);
            if let Some(bytes) = path.to_str().and_then(&bytes_of) {
                if bytes.len() as u64 > MAX_BYTES {
                    return Err(bad_file(&path, format!("it has more than {MAX_BYTES} bytes")));
                }
                patterns.push((name, parse(folder, &path, &String::from_utf8_lossy(bytes))?));
            }
        }
        Ok((!patterns.is_empty()).then_some(Self(patterns)))
    }

    fn verdict(&self, path: &Path, is_folder: bool) -> Option<Verdict> {
        self.0
            .iter()
            .rev()
            .find_map(|(name, patterns)| match patterns.matched(path, is_folder) {
                Match::None => None,
                Match::Ignore(_) => Some(Verdict::Ignored(name)),
                Match::Whitelist(_) => Some(Verdict::Kept),
            })
    }
}

/// The ignore files that apply in a folder: its own and those of the folders around it, innermost last.
#[derive(Debug, Clone, Default)]
pub(crate) struct IgnoreRules(Vec<Arc<FolderPatterns>>);

impl IgnoreRules {
    pub(crate) fn with(&self, patterns: Option<Arc<FolderPatterns>>) -> Self {
        Self(self.0.iter().cloned().chain(patterns).collect())
    }

    /// `path` must be below the folders of the ignore files.
    pub(crate) fn verdict(&self, path: &Path, is_folder: bool) -> Option<Verdict> {
        self.0
            .iter()
            .rev()
            .find_map(|patterns| patterns.verdict(path, is_folder))
    }
}

fn parse(folder: &Path, path: &Path, text: &str) -> Result<Gitignore, FolderError> {
    let patterns = || {
        text.lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
    };
    if patterns().count() > MAX_PATTERNS {
        return Err(bad_file(
            path,
            format!("it has more than {MAX_PATTERNS} patterns"),
        ));
    }
    let mut builder = GitignoreBuilder::new(folder);
    for line in text.lines() {
        // Git ignores a pattern that it cannot read, too.
        let _ = builder.add_line(None, line.trim_end_matches('\r'));
    }
    builder.build().map_err(|error| bad_file(path, error.to_string()))
}

fn bad_file(path: &Path, reason: String) -> FolderError {
    FolderError::BadIgnoreFile {
        path: path.to_path_buf(),
        reason,
    }
}

/// The text of a regular file; `None` if there is none. A link is not followed.
fn read_text(root: &FolderHandle, path: &Path) -> Result<Option<String>, FolderError> {
    let bytes = read_bytes(root, path, MAX_BYTES).map_err(|source| FolderError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Patterns of paths that are kept although a rule leaves them out.
#[derive(Debug, Clone, Default)]
pub(crate) struct IncludePatterns(Option<Arc<Gitignore>>);

impl IncludePatterns {
    /// # Errors
    /// [`FolderError::BadPattern`] names the pattern.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, FolderError> {
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        let mut builder = GitignoreBuilder::new("");
        for pattern in patterns {
            let bad_pattern = |reason| FolderError::BadPattern {
                pattern: pattern.clone(),
                reason,
            };
            if pattern.starts_with('!') || pattern.trim().is_empty() {
                return Err(bad_pattern("it must name files to keep".to_owned()));
            }
            builder
                .add_line(None, pattern)
                .map_err(|error| bad_pattern(error.to_string()))?;
        }
        let built = builder.build().map_err(|error| FolderError::BadPattern {
            pattern: patterns.join(" "),
            reason: error.to_string(),
        })?;
        Ok(Self(Some(Arc::new(built))))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a pattern matches a path, or a folder around it. `paths` are the same file's path relative to the skill and
    /// to the source.
    pub(crate) fn matches(&self, paths: &[PathBuf], is_folder: bool) -> bool {
        self.0.as_ref().is_some_and(|patterns| {
            paths
                .iter()
                .filter(|path| path.is_relative() && !path.as_os_str().is_empty())
                .any(|path| patterns.matched_path_or_any_parents(path, is_folder).is_ignore())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(patterns: &str, path: &str) -> Option<Verdict> {
        let folder =
            FolderPatterns::of_files("", |name| (name == ".gitignore").then_some(patterns.as_bytes()));
        folder.unwrap()?.verdict(Path::new(path), false)
    }

    #[test]
    fn patterns_follow_git() {
        for (patterns, path, is_ignored) in [
            ("*.log", "a/b.log", true),
            ("/b.log", "a/b.log", false),
            ("# *.log", "b.log", false),
            ("*.log\n!b.log", "b.log", false),
            ("*.log\r\n", "b.log", true),
            ("\\#a", "#a", true),
            ("a/**/b", "a/x/y/b", true),
        ] {
            let found = matches!(verdict(patterns, path), Some(Verdict::Ignored(".gitignore")));
            assert_eq!(found, is_ignored, "{patterns:?} {path}");
        }
    }

    proptest! {
        #[test]
        fn any_patterns_and_paths_are_accepted(patterns in "([!/*?a-c\\[\\]{},\\\\. #\r-]{0,12}\n){0,6}", path in "[a-c./]{1,12}") {
            let relative = path.trim_start_matches('/');
            let _ = verdict(&patterns, relative);
            let given: Vec<String> = patterns.lines().map(str::to_owned).collect();
            if let Ok(include) = IncludePatterns::new(&given) {
                let _ = include.matches(&[PathBuf::from(&path)], false);
            }
        }
    }
}
