#![doc = include_str!("../README.md")]

mod archive;
mod body;
mod diagnostics;
mod digest;
mod document;
mod error;
mod find;
mod folder;
mod front_matter;
mod lenient_parse;
pub mod limits;
mod listing;
mod manifest;
mod metadata;
mod path;
mod rename;
mod repair;
mod slug;
mod text;
mod uploads;
mod version;
mod yaml;
mod yaml_document;

pub use archive::{
    ArchiveError, ArchiveLimits, EntryProblem, ExtractReport, SkippedLink, ZipError, extract_archive,
    read_skill_archive, write_zip,
};
pub use diagnostics::{Diagnostic, Severity};
pub use digest::Digest;
pub use document::{SkillDocument, read_document};
pub use error::{DocumentError, FolderError, IdError};
pub use find::find_skill_folders;
pub use folder::{SkillFile, SkillFolder, read_folder};
pub use manifest::{ManifestEntry, manifest_digest};
pub use path::{Collision, PathError, SKILL_MD, SkillPath, check_collisions};
pub use rename::with_name;
pub use repair::repair_document;
pub use slug::Slug;
pub use version::{SkillVersion, VersionError};
pub use yaml_document::{YamlSyntaxError, yaml_value};
