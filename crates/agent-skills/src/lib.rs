#![doc = include_str!("../README.md")]

mod body;
mod diagnostics;
mod digest;
mod document;
mod error;
mod find;
mod folder;
mod front_matter;
mod hash_text;
mod lenient_parse;
pub mod limits;
mod listing;
mod manifest;
mod metadata;
mod name;
mod path;
mod repair;
mod slug;
mod text;
mod yaml;
mod yaml_document;

pub use diagnostics::{Diagnostic, Severity};
pub use digest::Digest;
pub use document::{SkillDocument, read_document};
pub use error::{DocumentError, FolderError, IdError};
pub use find::find_skill_folders;
pub use folder::{SkillFile, SkillFolder, read_folder};
pub use manifest::{ManifestEntry, manifest_digest};
pub use path::{Collision, PathError, SKILL_MD, SkillPath, check_collisions};
pub use repair::repair_document;
pub use slug::Slug;
pub use yaml_document::{YamlSyntaxError, yaml_value};
