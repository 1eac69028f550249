//! Skills that an assistant sees twice, or of which it uses another copy.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use assistants::skill_targets::{Found, Os, SkillAssistant, seen_twice, shadowed as shadowed_for};

use super::error::LocalInstallError;
use super::installed_here::InstalledHere;
use super::machine::Machine;

const OS: Os = if cfg!(target_os = "macos") {
    Os::Macos
} else {
    Os::Linux
};

fn found(here: &InstalledHere) -> Found {
    let folder = here.place.path();
    let name = here.installed.name.to_string();
    Found {
        real_path: std::fs::canonicalize(folder.join(&name)).ok(),
        folder,
        name,
    }
}

/// The skills that some assistant does not use because of another copy: the index in `installed`, and a sentence.
pub(super) fn shadowed(
    machine: &Machine,
    installed: &[InstalledHere],
) -> Result<Vec<(usize, String)>, LocalInstallError> {
    let dirs = machine.dirs()?;
    let mut copies: HashMap<&str, usize> = HashMap::new();
    for here in installed {
        *copies.entry(here.installed.name.as_str()).or_default() += 1;
    }
    // Only what is there twice can hide another copy.
    let several = |here: &&InstalledHere| {
        copies
            .get(here.installed.name.as_str())
            .is_some_and(|count| *count > 1)
    };
    let all: Vec<Found> = installed.iter().filter(several).map(found).collect();
    let places: HashMap<(PathBuf, &str), usize> = installed
        .iter()
        .enumerate()
        .map(|(index, here)| ((here.place.path(), here.installed.name.as_str()), index))
        .collect();
    let mut sentences = BTreeMap::new();
    for assistant in SkillAssistant::ALL {
        for one in shadowed_for(assistant, &all, &dirs, OS) {
            if let Some(index) = places.get(&(one.hidden, one.name.as_str())) {
                sentences.entry(*index).or_insert(one.sentence);
            }
        }
    }
    Ok(sentences.into_iter().collect())
}

/// What the user should know of the copies of one skill's folder, also of those that this program did not install: one sentence
/// for each of these assistants that lists it twice, or uses another copy.
///
/// # Errors
/// [`LocalInstallError::NoHome`].
pub fn overlaps(
    machine: &Machine,
    name: &str,
    assistants: &[SkillAssistant],
) -> Result<Vec<String>, LocalInstallError> {
    let dirs = machine.dirs()?;
    let mut same = Vec::new();
    for folder in machine.all_folders()? {
        let folder = folder.path();
        let skill = folder.join(name);
        if skill.join(agent_skills::SKILL_MD).is_file() {
            same.push(Found {
                real_path: std::fs::canonicalize(&skill).ok(),
                folder,
                name: name.to_owned(),
            });
        }
    }
    if same.len() < 2 {
        return Ok(Vec::new());
    }
    let mut sentences = Vec::new();
    for &assistant in assistants {
        let hidden = shadowed_for(assistant, &same, &dirs, OS)
            .into_iter()
            .map(|one| one.sentence);
        let twice = seen_twice(assistant, &same, &dirs, OS)
            .into_iter()
            .map(|one| one.sentence);
        sentences.extend(hidden.chain(twice));
    }
    Ok(sentences)
}
