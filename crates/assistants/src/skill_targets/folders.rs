//! Which folders an assistant reads, and to which ones a skill is installed.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::assistant::SkillAssistant;
use super::row::{Level, Links, Os, SkillName};

/// The project's skills folder that most assistants read.
pub const SHARED_PROJECT: &str = ".agents/skills";
/// The user's skills folder that most assistants read.
pub const SHARED_USER: &str = "~/.agents/skills";

/// The folders and variables of one user.
#[derive(Clone, Copy)]
pub struct Dirs<'a> {
    /// The home folder.
    pub home: &'a Path,
    /// The root of the project, if there is one.
    pub project: Option<&'a Path>,
    /// Looks up an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl fmt::Debug for Dirs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Dirs");
        fields.field("home", &self.home).field("project", &self.project);
        fields.finish_non_exhaustive()
    }
}

impl Dirs<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

/// A skills folder of an assistant, before it is known whose home or which project is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SkillsFolder {
    assistant: SkillAssistant,
    level: Level,
    written: &'static str,
}

impl SkillsFolder {
    pub const fn level(self) -> Level {
        self.level
    }

    /// Relative to the project's root, or to the home folder with `~/`; `/` separates the parts.
    pub const fn written(self) -> &'static str {
        self.written
    }

    /// Whether it is the folder that most assistants read.
    pub fn is_shared(self) -> bool {
        self.written == shared(self.level)
    }

    /// The path, with the environment variables that move it. `None` for a project's folder without a project.
    pub fn path(self, dirs: &Dirs<'_>) -> Option<PathBuf> {
        let Some(below_home) = self.written.strip_prefix("~/") else {
            return Some(dirs.project?.join(self.written));
        };
        for moved in self.assistant.row().moved {
            let below = self.written.strip_prefix(moved.replaces);
            let Some(below) = below.and_then(|below| below.strip_prefix('/')) else {
                continue;
            };
            // A relative path would depend on the folder in which the assistant is started.
            let value = dirs.variable(moved.variable).map(PathBuf::from);
            if let Some(folder) = value.filter(|folder| folder.is_absolute()) {
                return Some(folder.join(below));
            }
        }
        Some(dirs.home.join(below_home))
    }
}

impl fmt::Display for SkillsFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.written)
    }
}

const fn shared(level: Level) -> &'static str {
    match level {
        Level::Project => SHARED_PROJECT,
        Level::User => SHARED_USER,
    }
}

impl SkillAssistant {
    /// The skills folders that it reads at a level, in the order of precedence. Empty if it reads none.
    pub fn folders(self, level: Level) -> impl Iterator<Item = SkillsFolder> {
        let row = self.row();
        let folders = match level {
            Level::Project => row.project,
            Level::User => row.user,
        };
        folders.iter().map(move |written| SkillsFolder {
            assistant: self,
            level,
            written,
        })
    }

    /// Whether it reads `.agents/skills` at a level.
    pub fn reads_shared(self, level: Level) -> bool {
        self.folders(level).any(SkillsFolder::is_shared)
    }
}

/// The paths that the assistant reads at a level, in the order of precedence: the folders of the table, then those that
/// an environment variable adds at the user's level.
///
/// Project folders are those of the root; see [`super::Row::reads_parents`]. Empty if the assistant has no skills folder, or
/// for [`Level::Project`] without a project.
pub fn folders_read(assistant: SkillAssistant, level: Level, dirs: &Dirs<'_>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = assistant
        .folders(level)
        .filter_map(|folder| folder.path(dirs))
        .collect();
    if level == Level::User {
        for added in assistant.row().added {
            let Some(value) = dirs
                .variable(added.variable)
                .and_then(|value| value.into_string().ok())
            else {
                continue;
            };
            let folders: Vec<&str> = match added.separator {
                Some(separator) => value.split(separator).map(str::trim).collect(),
                None => vec![&value],
            };
            let absolute = folders
                .into_iter()
                .map(Path::new)
                .filter(|folder| folder.is_absolute());
            // `join` would end the path of an empty `below` with a slash.
            paths.extend(absolute.map(|folder| folder.join(added.below).components().collect::<PathBuf>()));
        }
    }
    let mut unique = Vec::with_capacity(paths.len());
    for path in paths {
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    unique
}

/// The administrator's skills folders, which an ordinary user cannot write. Empty if the assistant has none.
pub fn admin_folders(assistant: SkillAssistant, os: Os) -> Vec<PathBuf> {
    let row = assistant.row();
    let folders = match os {
        Os::Linux => row.admin_linux,
        Os::Macos => row.admin_macos,
    };
    folders.iter().map(PathBuf::from).collect()
}

/// The folder to which a skill is installed for one assistant: `.agents/skills` if the assistant reads it at this level, else
/// its own first folder. `None` if it has no skills folder (Claude Desktop).
pub fn install_folder(assistant: SkillAssistant, level: Level) -> Option<SkillsFolder> {
    let shared = assistant.folders(level).find(|folder| folder.is_shared());
    shared.or_else(|| assistant.folders(level).next())
}

/// Whether the assistant loads a skill only if its folder is called like the `name` in the front matter.
pub const fn needs_folder_of_name(assistant: SkillAssistant) -> bool {
    match assistant.row().skill_name {
        SkillName::FrontMatterAndFolder => true,
        SkillName::Folder | SkillName::FrontMatter => false,
    }
}

/// The folders in which one skill has to be, so that several assistants see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    /// The skills folder that gets the files. `None` if no assistant of the selection has a skills folder.
    pub copy: Option<SkillsFolder>,
    /// Skills folders that get a symbolic link to the folder of the skill in `copy`.
    pub links: Vec<(SkillAssistant, SkillsFolder)>,
    /// Skills folders that get files of their own, because it is not known that the assistant follows links.
    pub copies: Vec<(SkillAssistant, SkillsFolder)>,
    /// Assistants without a skills folder at this level.
    pub without_folder: Vec<SkillAssistant>,
}

/// The fewest folders that serve all these assistants.
///
/// The files are in `.agents/skills`, unless one other folder serves everyone. Assistants that do not read it get a link, or a
/// copy if it is not known that they follow links. Each folder occurs once, with the first assistant that needs it.
pub fn targets_for(assistants: &[SkillAssistant], level: Level) -> Targets {
    let mut targets = Targets::default();
    let mut own: Vec<(SkillAssistant, SkillsFolder)> = Vec::new();
    let mut is_shared_read = false;
    for &assistant in assistants {
        match install_folder(assistant, level) {
            None if targets.without_folder.contains(&assistant) => {}
            None => targets.without_folder.push(assistant),
            Some(folder) if folder.is_shared() => is_shared_read = true,
            Some(folder) if own.iter().any(|(_, known)| known.written == folder.written) => {}
            Some(folder) => own.push((assistant, folder)),
        }
    }
    if !is_shared_read && own.len() <= 1 {
        targets.copy = own.first().map(|(_, folder)| *folder);
        return targets;
    }
    targets.copy = Some(SkillsFolder {
        assistant: SkillAssistant::Agents,
        level,
        written: shared(level),
    });
    for (assistant, folder) in own {
        match assistant.row().links {
            Links::Followed | Links::FollowedOnce => targets.links.push((assistant, folder)),
            Links::NotFollowed | Links::Unknown => targets.copies.push((assistant, folder)),
        }
    }
    targets
}
