#![doc = include_str!("../README.md")]

mod archive;
mod body;
mod diagnostics;
mod digest;
mod document;
mod error;
mod exclude_files;
mod exclusion;
mod find;
mod folder;
mod front_matter;
mod hash_text;
mod ignore_files;
mod json_file;
mod lenient_parse;
pub mod limits;
mod lines;
mod listing;
mod manifest;
mod mentions;
mod metadata;
mod name;
mod nested;
mod origin;
mod path;
mod plugin;
mod rename;
mod repair;
mod secret_files;
mod slug;
mod source;
mod text;
mod uploads;
mod version;
mod version_requirement;
mod yaml;
mod yaml_document;

pub use archive::{
    ArchiveError, ArchiveLimits, EntryProblem, ExtractReport, SkippedLink, ZipError, extract_archive,
    read_archive_files, read_skill_archive, write_zip,
};
pub use diagnostics::{Diagnostic, Severity};
pub use digest::Digest;
pub use document::{SkillDocument, read_document};
pub use error::{DocumentError, FolderError, IdError};
pub use exclude_files::exclude_files;
pub use exclusion::Exclusion;
pub use find::{Found, FoundSkill, find_skill_folders};
pub use folder::{SkillFile, SkillFolder, read_folder};
pub use manifest::{ManifestEntry, manifest_digest};
pub use mentions::missing_files;
pub use origin::{Origin, without_credentials};
pub use path::{Collision, PathError, SKILL_MD, SkillPath, check_collisions, is_hidden};
pub use plugin::PluginInfo;
pub use rename::with_name;
pub use repair::repair_document;
pub use slug::Slug;
pub use source::{ReadOptions, SkillSource};
pub use version::{SkillVersion, VersionError};
pub use version_requirement::{VersionReq, VersionReqError};
pub use yaml_document::{YamlSyntaxError, yaml_value};
