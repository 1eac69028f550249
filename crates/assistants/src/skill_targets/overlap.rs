//! What an assistant sees twice, and which copy it does not use.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::assistant::SkillAssistant;
use super::folders::{Dirs, admin_folders, folders_read};
use super::row::{EqualNames, Level, Links, Os};

/// A skill that exists on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The skills folder as the assistant reads it, not the skill's folder in it.
    pub folder: PathBuf,
    /// The name of the skill for the assistant: see [`super::SkillName`].
    pub name: String,
    /// The skill's folder with all links resolved, if known: two links to one folder are one skill for some assistants.
    pub real_path: Option<PathBuf>,
}

/// The assistant reads a skill of the same name in several folders, and none reliably hides the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTwice {
    pub name: String,
    /// The skills folders, at least two.
    pub folders: Vec<PathBuf>,
    /// One sentence for the user.
    pub sentence: String,
}

/// The assistant does not use a skill, because another one of the same name precedes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    pub name: String,
    /// The skills folder whose copy is not used.
    pub hidden: PathBuf,
    /// The skills folder whose copy is used.
    pub used: PathBuf,
    /// One sentence for the user.
    pub sentence: String,
}

/// The skills that the assistant lists more than once, by name. Folders that it does not read are ignored.
///
/// Also those of which it uses one, but not always the same one. Empty if the assistant always uses the same one (then see
/// [`shadowed`]), or if its behaviour is not known.
pub fn seen_twice(assistant: SkillAssistant, found: &[Found], dirs: &Dirs<'_>, os: Os) -> Vec<SeenTwice> {
    let does = match assistant.row().equal_names {
        EqualNames::AllShown => "lists each of",
        EqualNames::Undetermined => "uses any one of",
        EqualNames::UserHidesProject | EqualNames::ProjectHidesUser | EqualNames::Unknown => {
            return Vec::new();
        }
    };
    let seen = by_name(assistant, found, dirs, os)
        .into_iter()
        .filter(|(_, folders)| folders.len() > 1);
    let sentence = |name: &str, folders: &[PathBuf]| {
        let folders: Vec<String> = folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        format!(
            "{} {does} the {} skills \"{name}\" in {}: remove all but one.",
            assistant.title(),
            folders.len(),
            folders.join(" and ")
        )
    };
    seen.map(|(name, folders)| SeenTwice {
        sentence: sentence(&name, &folders),
        name,
        folders,
    })
    .collect()
}

/// The skills that the assistant does not use, because another one of the same name precedes it. Folders that it does not read
/// are ignored.
///
/// Empty if the assistant shows all of equal names (then see [`seen_twice`]), or if its behaviour is not known.
pub fn shadowed(assistant: SkillAssistant, found: &[Found], dirs: &Dirs<'_>, os: Os) -> Vec<Shadowed> {
    match assistant.row().equal_names {
        EqualNames::UserHidesProject | EqualNames::ProjectHidesUser => {}
        EqualNames::Undetermined | EqualNames::AllShown | EqualNames::Unknown => return Vec::new(),
    }
    let mut shadowed = Vec::new();
    for (name, folders) in by_name(assistant, found, dirs, os) {
        let Some((used, hidden)) = folders.split_first() else {
            continue;
        };
        shadowed.extend(hidden.iter().map(|hidden| Shadowed {
            name: name.clone(),
            hidden: hidden.clone(),
            used: used.clone(),
            sentence: format!(
                "{} does not use the skill \"{name}\" in {}: the one in {} precedes it.",
                assistant.title(),
                hidden.display(),
                used.display()
            ),
        }));
    }
    shadowed
}

/// The names in the order in which they were found, each with its skills folders in the order of precedence.
fn by_name(
    assistant: SkillAssistant,
    found: &[Found],
    dirs: &Dirs<'_>,
    os: Os,
) -> Vec<(String, Vec<PathBuf>)> {
    let read = all_folders(assistant, dirs, os);
    // Indexed, because thousands of skills can be installed.
    let mut known = HashSet::new();
    let names: Vec<&str> = found
        .iter()
        .map(|skill| skill.name.as_str())
        .filter(|name| known.insert(*name))
        .collect();
    let by_place: HashMap<(&Path, &str), &Found> = found
        .iter()
        .rev()
        .map(|skill| ((skill.folder.as_path(), skill.name.as_str()), skill))
        .collect();
    // If one of equal names is used, it does not matter over which of two links to the same files.
    let is_one_skill = match assistant.row().equal_names {
        EqualNames::UserHidesProject | EqualNames::ProjectHidesUser | EqualNames::Undetermined => true,
        EqualNames::AllShown | EqualNames::Unknown => assistant.row().links == Links::FollowedOnce,
    };
    let one = |name: &str| {
        let mut folders = Vec::new();
        let mut real_paths = Vec::new();
        for folder in &read {
            let Some(skill) = by_place.get(&(folder.as_path(), name)) else {
                continue;
            };
            if let Some(real) = skill.real_path.as_deref().filter(|_| is_one_skill) {
                if real_paths.contains(&real) {
                    continue;
                }
                real_paths.push(real);
            }
            folders.push(folder.clone());
        }
        (name.to_owned(), folders)
    };
    names.into_iter().map(one).collect()
}

/// Every skills folder that the assistant reads, in the order of precedence.
fn all_folders(assistant: SkillAssistant, dirs: &Dirs<'_>, os: Os) -> Vec<PathBuf> {
    let admin = admin_folders(assistant, os);
    let user = folders_read(assistant, Level::User, dirs);
    let project = folders_read(assistant, Level::Project, dirs);
    match assistant.row().equal_names {
        EqualNames::UserHidesProject => [admin, user, project].concat(),
        EqualNames::ProjectHidesUser
        | EqualNames::Undetermined
        | EqualNames::AllShown
        | EqualNames::Unknown => [project, user, admin].concat(),
    }
}
