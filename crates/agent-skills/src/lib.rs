//! The Agent Skills format: folders with a `SKILL.md`, read from disk and put right.
//!
//! Skills in the wild break the rules in small ways. Reading takes what can be taken and says in a [`Diagnostic`] what it
//! did; the bytes themselves are never changed, except by [`fix`], which is asked for.

mod body;
mod diagnostics;
mod digest;
mod document;
mod error;
mod find;
mod folder;
mod front_matter;
mod lenient_parse;
mod listing;
mod manifest;
mod metadata;
mod path;
mod repair;
mod slug;
mod text;
mod yaml;
mod yaml_document;

pub use body::{MAX_HEADING_CHARS, MAX_HEADINGS};
pub use diagnostics::{Diagnostic, Severity};
pub use digest::Digest;
pub use document::{
    MAX_COMPATIBILITY_CHARS, MAX_DESCRIPTION_CHARS, MAX_SKILL_MD_BYTES, SkillDocument, read_document,
};
pub use error::{DocumentError, FolderError, IdError};
pub use find::find_skill_folders;
pub use folder::{MAX_FILES, MAX_TOTAL_BYTES, SkillFile, SkillFolder, read_folder};
pub use front_matter::MAX_FRONT_MATTER_BYTES;
pub use manifest::{ManifestEntry, manifest_digest};
pub use metadata::{MAX_LABEL_CHARS, MAX_TAGS};
pub use path::{
    Collision, MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS, PathError, SkillPath, check_collisions,
    is_hidden,
};
pub use repair::fix;
pub use slug::Slug;
pub use yaml::{MAX_NESTING, MAX_VALUES};
pub use yaml_document::{YamlProblem, yaml_value};

/// The file that makes a folder a skill.
pub const SKILL_MD: &str = "SKILL.md";
