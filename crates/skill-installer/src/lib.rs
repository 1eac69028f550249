#![doc = include_str!("../README.md")]

mod apply;
mod difference;
mod disk;
mod error;
#[cfg(feature = "test-util")]
pub mod fault;
mod flush;
mod folder_name;
mod installed;
mod link;
mod lock_file;
mod manifest;
mod marker;
mod npm_lock;
mod own_names;
mod plan;
mod record;
mod recover;
mod release;
mod remove;
mod skills_folder;
mod stage;
mod toml_text;
mod tree;
mod trust;

pub use apply::Applied;
pub use difference::{Difference, FileDifference};
pub use error::{Conflict, Error, FileProblem, ReleaseProblem};
pub use folder_name::FolderName;
pub use installed::{Drift, Installed, InstalledState, inspect, list, verify};
pub use link::{LinkChange, link, unlink};
pub use lock_file::{LOCK_FILE, LockFile, LockedSkill};
pub use manifest::{MANIFEST_FILE, Manifest, WantedSkill};
pub use marker::{MARKER_FILE, Marker, MarkerFile, PreviousVersion};
pub use npm_lock::{NPM_LOCK_FILE, NpmSkill, read_npm_lock};
pub use plan::{FileAction, Options, Plan, PlanKind, PlannedFile, plan_install};
pub use record::{InstallRecord, set_pinned};
pub use recover::Recovered;
pub use release::{Release, ReleaseFile, ReleaseSignature, VerifiedRelease};
pub use remove::{Removed, remove};
pub use skills_folder::SkillsFolder;
