//! Where each assistant looks for Agent Skills, which folders serve several of them, and what an assistant sees twice.
//!
//! The facts are rows of a table ([`SkillAssistant::row`]); each row names its source, and the program with which it was compared.
//! Nothing here reads the environment or a file: callers give the folders and the variables as [`Dirs`].
//!
//! # Examples
//!
//! One copy serves Codex and Zed; Claude Code needs a link to it:
//!
//! ```
//! use assistants::skill_targets::{Level, SkillAssistant, targets_for};
//!
//! let targets = targets_for(
//!     &[SkillAssistant::Codex, SkillAssistant::Zed, SkillAssistant::ClaudeCode],
//!     Level::Project,
//! );
//!
//! assert_eq!(targets.copy.unwrap().written(), ".agents/skills");
//! let links: Vec<&str> = targets.links.iter().map(|(_, folder)| folder.written()).collect();
//! assert_eq!(links, [".claude/skills"]);
//! ```

mod assistant;
mod folders;
mod notes;
mod overlap;
mod row;
mod table;

pub use assistant::{SkillAssistant, UnknownSkillAssistant};
pub use folders::{
    Dirs, SHARED_PROJECT, SHARED_USER, SkillsFolder, Targets, admin_folders, folders_read, install_folder,
    needs_folder_of_name, targets_for,
};
pub use notes::{WrittenSkill, notes};
pub use overlap::{Found, SeenTwice, Shadowed, seen_twice, shadowed};
pub use row::{
    AddedFolders, Checked, DescriptionLimit, EqualNames, How, Level, Links, MovedFolder, Nesting, Os,
    OverLimit, Row, SkillName,
};

#[cfg(test)]
mod tests;
