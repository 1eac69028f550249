//! The columns of the table.

/// Where skills are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Below the root of a project, for everyone who works in it.
    Project,
    /// Below the home folder, for all projects of one user.
    User,
}

impl Level {
    pub const ALL: [Self; 2] = [Self::Project, Self::User];

    /// `project` or `user`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::User => "user",
        }
    }
}

/// The operating system whose folders of the administrator are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    Linux,
    Macos,
}

/// An environment variable whose value replaces a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedFolder {
    pub variable: &'static str,
    /// The folder that the value replaces, for example `~/.claude`.
    pub replaces: &'static str,
}

/// An environment variable that names more folders of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedFolders {
    pub variable: &'static str,
    /// Between several folders. `None` if it names one.
    pub separator: Option<char>,
    /// Where the skills folder is, relative to the folder that the variable names; may be empty.
    pub below: &'static str,
}

/// What names a skill for the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkillName {
    /// The name of its folder.
    Folder,
    /// `name` in the front matter; the name of the folder is free.
    FrontMatter,
    /// `name` in the front matter; a skill whose folder has another name is not loaded.
    FrontMatterAndFolder,
}

/// What the assistant does with skills of the same name in several of its folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EqualNames {
    /// One is used: administrator before user before project; within a level, in the order of the row.
    UserHidesProject,
    /// One is used: project before user before administrator; within a level, in the order of the row.
    ProjectHidesUser,
    /// One is used, and which one can differ from one start to the next.
    Undetermined,
    /// Each is shown.
    AllShown,
    Unknown,
}

/// How deep below a skills folder the assistant looks for `SKILL.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nesting {
    /// Only in the folders directly below the skills folder.
    OneLevel,
    /// In folders up to this many levels below the skills folder.
    Depth(u8),
    /// In folders of every level.
    Recursive,
    Unknown,
}

/// Whether a symbolic link to the folder of a skill is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Followed; whether a skill that is reached over several folders is shown once is not known.
    Followed,
    /// Followed; a skill that is reached over several folders is shown once.
    FollowedOnce,
    NotFollowed,
    Unknown,
}

/// What the assistant does with a description over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverLimit {
    /// It does not load the skill.
    Refused,
    /// It shows its model the first part.
    Cut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptionLimit {
    /// Unicode scalar values.
    pub chars: usize,
    pub over: OverLimit,
}

/// How a row was compared with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The program was started with skills in the candidate folders, and listed them.
    Ran,
    /// The program's code was read.
    ReadCode,
}

/// The program with which a row was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Name and version of the program.
    pub program: &'static str,
    /// The day, as `YYYY-MM-DD`.
    pub date: &'static str,
    pub how: How,
    /// What was compared.
    pub what: &'static str,
}

/// What is known of one assistant. Folders below the home folder begin with `~/`; others are relative to the project's root.
#[derive(Debug)]
pub struct Row {
    /// The product's name, for example `Claude Code`.
    pub title: &'static str,
    /// The project's skills folders that it reads. The first one wins where one of equal names is used.
    pub project: &'static [&'static str],
    /// The user's skills folders that it reads. The first one wins where one of equal names is used.
    pub user: &'static [&'static str],
    /// Whether it also reads the project's folders in the folders between the working folder and the repository's root. False
    /// if that is not known.
    pub reads_parents: bool,
    /// Skills folders of the administrator, absolute.
    pub admin_linux: &'static [&'static str],
    /// Skills folders of the administrator, absolute.
    pub admin_macos: &'static [&'static str],
    pub moved: &'static [MovedFolder],
    pub added: &'static [AddedFolders],
    pub skill_name: SkillName,
    pub equal_names: EqualNames,
    pub nesting: Nesting,
    pub links: Links,
    pub description_limit: Option<DescriptionLimit>,
    /// The limit of the list of all skills that the model gets, as a phrase.
    pub catalogue_limit: Option<&'static str>,
    /// Where the facts were read.
    pub source: &'static str,
    /// The date of the source, as `YYYY-MM-DD`, or `YYYY-MM` or `YYYY` where the day is not known.
    pub source_date: &'static str,
    pub checked: Option<Checked>,
}
