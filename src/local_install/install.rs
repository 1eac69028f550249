//! Writes a verified version into the folders that the chosen assistants read.

use std::path::{Component, Path, PathBuf};

use agent_skills::{SKILL_MD, read_document};
use assistants::skill_targets::{Level, SkillAssistant, SkillsFolder, needs_folder_of_name, targets_for};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use skill_installer::{
    FolderName, InstallRecord, LinkChange, Options, PlanKind, SkillsFolder as OpenFolder, VerifiedRelease,
    plan_install,
};

use super::error::LocalInstallError;
use super::machine::{LocalFolder, Machine};

/// How a version is written.
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// Replace edited files, and what is in the way; a backup is kept.
    pub force: bool,
    /// The name of the folder. Default: the name in `SKILL.md` where an assistant asks for that, else the slug.
    pub folder_name: Option<FolderName>,
    /// Keep this version when others are updated. `None`: as it is.
    pub pinned: Option<bool>,
    /// Under which id the registry knows the install.
    pub receipt: Option<String>,
}

/// What was done in one skills folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The skill's folder, relative to the project or with `~/`.
    pub folder: String,
    /// `new`, `update`, `current`, `repair` or `link`.
    pub change: &'static str,
    /// Edited and added files that stayed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Where edited files and what was in the way are now, relative to the project or with `~/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backed_up: Vec<String>,
    #[serde(skip)]
    pub place: LocalFolder,
    #[serde(skip)]
    pub name: String,
}

/// Writes a version for these assistants: one copy, and links or further copies for those that need their own.
///
/// Blocks.
///
/// # Errors
/// If an assistant has no skills folder at this level, or a folder cannot be written. What was written before stays.
pub fn write(
    machine: &Machine,
    release: &VerifiedRelease,
    assistants: &[SkillAssistant],
    level: Level,
    options: &InstallOptions,
) -> Result<Vec<Written>, LocalInstallError> {
    let targets = targets_for(assistants, level);
    if let Some(without) = targets.without_folder.first() {
        return Err(LocalInstallError::NoFolder {
            assistant: without.title().to_owned(),
            level: match level {
                Level::Project => "in a project",
                Level::User => "of a user",
            },
        });
    }
    let Some(copy) = targets.copy else {
        return Ok(Vec::new());
    };
    let name = match &options.folder_name {
        Some(name) => name.clone(),
        None => folder_name(release, assistants, copy)?,
    };
    let copied = write_copy(machine, copy, release, &name, options)?;
    let mut written = vec![copied];
    for (_, folder) in targets.links {
        written.push(write_link(machine, copy, folder, &name, options)?);
    }
    for (_, folder) in targets.copies {
        written.push(write_copy(machine, folder, release, &name, options)?);
    }
    Ok(written)
}

/// The name in the front matter where an assistant loads only a skill whose folder has it (several of those that read the shared
/// folder do), else the slug.
fn folder_name(
    release: &VerifiedRelease,
    assistants: &[SkillAssistant],
    copy: SkillsFolder,
) -> Result<FolderName, LocalInstallError> {
    let slug = release.skill().as_str();
    let asks = copy.is_shared()
        || assistants
            .iter()
            .any(|assistant| needs_folder_of_name(*assistant));
    let written = || {
        let document = read_document(release.file(SKILL_MD)?, slug).ok()?;
        let name = document.front_matter.get("name").and_then(Value::as_str)?;
        name.parse::<FolderName>().ok()
    };
    match asks.then(written).flatten() {
        Some(name) => Ok(name),
        None => Ok(slug.parse::<FolderName>()?),
    }
}

fn write_copy(
    machine: &Machine,
    folder: SkillsFolder,
    release: &VerifiedRelease,
    name: &FolderName,
    options: &InstallOptions,
) -> Result<Written, LocalInstallError> {
    let place = machine.local_folder(folder)?;
    write_at(machine, &place, release, name, options)
}

/// Writes a version into one skills folder.
///
/// # Errors
/// As [`write`].
pub(super) fn write_at(
    machine: &Machine,
    place: &LocalFolder,
    release: &VerifiedRelease,
    name: &FolderName,
    options: &InstallOptions,
) -> Result<Written, LocalInstallError> {
    let opened = OpenFolder::open(&place.base, &place.relative)?;
    let how = installer_options(options);
    let plan = plan_install(&opened, name, release, &how)?;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let record = InstallRecord {
        installed_at: &now,
        receipt: options.receipt.as_deref(),
        pinned: options.pinned,
    };
    let applied = plan.apply(&opened, release, &record, &how)?;
    Ok(Written {
        folder: machine.shown(&place.path().join(name.as_str())),
        change: change(applied.kind),
        kept: applied.kept,
        backed_up: place.shown_files(machine, applied.backed_up),
        place: place.clone(),
        name: name.to_string(),
    })
}

pub(super) fn installer_options(options: &InstallOptions) -> Options {
    Options {
        force: options.force,
        ..Options::default()
    }
}

const fn change(kind: PlanKind) -> &'static str {
    match kind {
        PlanKind::New => "new",
        PlanKind::Update => "update",
        PlanKind::Current => "current",
        PlanKind::Repair => "repair",
        PlanKind::Conflict => "conflict",
    }
}

/// A link to the copy; where a link is not possible, because the folders have no common base, a second copy would be needed.
fn write_link(
    machine: &Machine,
    copy: SkillsFolder,
    folder: SkillsFolder,
    name: &FolderName,
    options: &InstallOptions,
) -> Result<Written, LocalInstallError> {
    let (from, to) = (machine.local_folder(folder)?, machine.local_folder(copy)?);
    let opened = OpenFolder::open(&from.base, &from.relative)?;
    let target = relative(&from.path(), &to.path()).join(name.as_str());
    let change = skill_installer::link(&opened, name, &target, &installer_options(options))?;
    Ok(Written {
        folder: machine.shown(&from.path().join(name.as_str())),
        change: match change {
            LinkChange::Unchanged => "current",
            LinkChange::Created | LinkChange::Replaced | LinkChange::Removed => "link",
        },
        kept: Vec::new(),
        backed_up: Vec::new(),
        place: from,
        name: name.to_string(),
    })
}

/// The relative path from one folder to another. Both are absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(common).map(|_| Component::ParentDir);
    up.chain(to.iter().skip(common).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_between_folders_goes_up_and_down() {
        let relative = relative(
            Path::new("/home/a/.claude/skills"),
            Path::new("/home/a/.agents/skills"),
        );
        assert_eq!(relative, Path::new("../../.agents/skills"));
    }
}
