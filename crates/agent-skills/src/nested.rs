//! Skills inside the folder of another skill.

use std::path::Path;

use folder_handle::FolderHandle;

use crate::path::SKILL_MD;

/// Folders whose `SKILL.md` files are material of the skill around them, such as templates and test data.
const MATERIAL_FOLDERS: [&str; 14] = [
    "asset",
    "assets",
    "example",
    "examples",
    "fixtures",
    "reference",
    "references",
    "resources",
    "sample",
    "samples",
    "template",
    "templates",
    "test",
    "tests",
];

/// Whether a folder inside a skill, given by its path relative to the skill, holds material of the skill. A `SKILL.md` in
/// it is a file of the skill; any other folder with a `SKILL.md` is a skill of its own.
pub(crate) fn is_material(relative: &Path) -> bool {
    relative.components().any(|segment| {
        let segment = segment.as_os_str().to_string_lossy().to_ascii_lowercase();
        MATERIAL_FOLDERS.contains(&&*segment)
    })
}

/// Returns `false` for an unreadable folder; the walk reports it.
pub(crate) fn contains_skill_md(root: &FolderHandle, folder: &Path) -> bool {
    let entries = root.entries(folder, usize::MAX).unwrap_or_default();
    entries
        .iter()
        .any(|(name, kind)| name.eq_ignore_ascii_case(SKILL_MD) && !kind.is_folder())
}
