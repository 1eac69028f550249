//! The Agent Skills format: folders with a `SKILL.md`, read from disk and put right.
//!
//! Skills in the wild break the rules in small ways. Reading takes what can be taken and says in a [`Note`] what it
//! did; the bytes themselves are never changed, except by [`fix`], which is asked for.

mod any_yaml;
mod body;
mod document;
mod error;
mod find;
mod fix;
mod folder;
mod front_matter;
mod labels;
mod listing;
mod manifest;
mod note;
mod path;
mod recovery;
mod text;
mod yaml;

pub use any_yaml::{YamlProblem, yaml_value};
pub use body::{MAX_HEADING_CHARS, MAX_HEADINGS};
pub use document::{
    MAX_COMPATIBILITY_CHARS, MAX_DESCRIPTION_CHARS, MAX_SKILL_MD_BYTES, SkillDocument, read_document,
};
pub use error::{DocumentError, FolderError};
pub use find::find_skill_folders;
pub use fix::fix;
pub use folder::{MAX_FILES, MAX_TOTAL_BYTES, SkillFile, SkillFolder, read_folder};
pub use front_matter::MAX_FRONT_MATTER_BYTES;
pub use labels::{MAX_LABEL_CHARS, MAX_TAGS};
pub use manifest::{ManifestEntry, manifest_digest};
pub use note::{Note, Severity};
pub use path::{
    Collision, MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS, PathError, SkillPath, check_collisions,
    is_hidden,
};
pub use yaml::{MAX_NESTING, MAX_VALUES};

/// The file that makes a folder a skill.
pub const SKILL_MD: &str = "SKILL.md";
