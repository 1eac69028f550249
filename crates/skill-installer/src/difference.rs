//! What an update changes, for people to read.

use std::path::Path;

use agent_skills::limits::MAX_TOTAL_BYTES;
use serde::Serialize;
use similar::TextDiff;

use crate::error::Error;
use crate::plan::{FileAction, Plan};
use crate::release::VerifiedRelease;
use crate::skills_folder::SkillsFolder;
use crate::tree::Target;

/// Maximum size of a text file that is compared line by line, in bytes.
const MAX_TEXT_BYTES: usize = 256 * 1024;
/// Maximum size of all differences together, in bytes.
const MAX_DIFFERENCE_BYTES: usize = 1024 * 1024;
/// Time after which the comparison of a file becomes coarser.
const MAX_TIME: std::time::Duration = std::time::Duration::from_millis(200);

/// How a file changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    /// Relative to the skill's folder.
    pub path: String,
    pub action: FileAction,
    pub difference: Difference,
}

/// The content of a file before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// A unified difference of UTF-8 text, with three lines around each change.
    Text(String),
    /// Sizes in bytes of a file that is no text, is large, or comes after 1 MiB of differences.
    Sizes { before: Option<u64>, after: Option<u64> },
}

impl Plan {
    /// Compares the files that the plan adds, replaces or removes, and those that it keeps although the release has another
    /// content for them, with what is there now. Texts of the skill are not made safe to show.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Unsafe`].
    pub fn difference(
        &self,
        folder: &SkillsFolder,
        release: &VerifiedRelease,
    ) -> Result<Vec<FileDifference>, Error> {
        let target = Target::read(&folder.folder, &self.name)?;
        let mut differences = Vec::new();
        let mut budget = MAX_DIFFERENCE_BYTES;
        for file in &self.files {
            let changes = match file.action {
                FileAction::Add | FileAction::Replace | FileAction::Remove => true,
                FileAction::KeepEdited => file.withholds_new,
                FileAction::Unchanged | FileAction::KeepExtra => false,
            };
            if !changes {
                continue;
            }
            let path = Path::new(&file.path);
            let seen = target.as_ref().and_then(|target| {
                let info = target.tree.files.get(path)?;
                Some((target, info.size_bytes))
            });
            let before = match seen {
                Some((target, _)) => target.folder.read(path, MAX_TOTAL_BYTES)?,
                None => None,
            };
            let after = release.file(&file.path);
            let text = unified(&file.path, before.as_deref(), after, seen.is_some())
                .filter(|text| text.len() <= budget);
            let difference = match text {
                Some(text) => {
                    budget -= text.len();
                    Difference::Text(text)
                }
                None => Difference::Sizes {
                    before: seen.map(|(_, size)| size),
                    after: after.map(|bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
                },
            };
            differences.push(FileDifference {
                path: file.path.clone(),
                action: file.action,
                difference,
            });
        }
        Ok(differences)
    }
}

/// The unified difference of two texts; `None` if one of them is no text, or large.
fn unified(path: &str, before: Option<&[u8]>, after: Option<&[u8]>, existed: bool) -> Option<String> {
    if existed && before.is_none() {
        return None;
    }
    let (before, after) = (text(before)?, text(after)?);
    let difference = TextDiff::configure().timeout(MAX_TIME).diff_lines(before, after);
    let mut unified = difference.unified_diff();
    unified.context_radius(3);
    unified.header(&format!("a/{path}"), &format!("b/{path}"));
    Some(unified.to_string())
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    let bytes = bytes.unwrap_or_default();
    if bytes.len() > MAX_TEXT_BYTES || bytes.contains(&0) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}
