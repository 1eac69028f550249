//! Reports to the registry what is on disk after an install.

use std::io::Read as _;
use std::path::Path;

use agent_skills::Digest;
use agent_skills::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use folder_handle::FolderHandle;
use serde_json::{Map, Value, json};
use skill_installer::{FolderName, InstalledState, SkillsFolder, inspect};

use super::error::LocalInstallError;
use super::install::Written;
use super::known_installs::KnownInstall;
use super::machine::machine_name;

/// What is on disk after an install.
pub(super) struct OnDisk {
    /// For `confirm_install`: the path and digest of each file.
    pub(super) arguments: Map<String, Value>,
    /// What is kept of the install.
    pub(super) known: Option<KnownInstall>,
}

/// Reads back what was written; `None` if there is nothing to confirm.
///
/// Blocks.
///
/// # Errors
/// If the folder cannot be read.
pub(super) fn read_back(install_id: &str, written: &Written) -> Result<Option<OnDisk>, LocalInstallError> {
    let place = &written.place;
    let opened = SkillsFolder::open_existing(&place.base, &place.relative)?;
    let name: FolderName = written.name.parse()?;
    let Some(InstalledState::Installed(installed)) =
        opened.map(|opened| inspect(&opened, &name)).transpose()?
    else {
        return Ok(None);
    };
    let drift = &installed.drift;
    let is_release = |path: &String| !drift.missing.contains(path) && !drift.modified.contains(path);
    let mut files: Vec<Value> = installed
        .marker
        .files
        .iter()
        .filter(|file| is_release(&file.path))
        .map(|file| json!({"path": file.path, "digest": file.digest.to_string()}))
        .collect();
    if !drift.modified.is_empty() || !drift.extra.is_empty() {
        let folder = place.path().join(&written.name);
        let edited = drift.modified.iter().chain(&drift.extra);
        files.extend(edited.filter_map(|path| {
            let digest = digest_of(&folder, path)?;
            Some(json!({"path": path, "digest": digest.to_string()}))
        }));
    }
    files.truncate(MAX_FILES);
    if files.is_empty() {
        return Ok(None);
    }
    let mut arguments = Map::new();
    arguments.insert("install_id".to_owned(), json!(install_id));
    arguments.insert("files".to_owned(), files.into());
    if let Some(machine) = machine_name() {
        arguments.insert("machine".to_owned(), json!(machine));
    }
    let known = KnownInstall::new(place, &written.name, &installed.marker);
    Ok(Some(OnDisk { arguments, known }))
}

/// The digest of a person's file; `None` if it cannot be read, or is larger than a file of a skill may be.
fn digest_of(folder: &Path, path: &str) -> Option<Digest> {
    let file = FolderHandle::open(folder).ok()?.open_file(Path::new(path)).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_TOTAL_BYTES + 1).read_to_end(&mut bytes).ok()?;
    u64::try_from(bytes.len())
        .is_ok_and(|len| len <= MAX_TOTAL_BYTES)
        .then(|| Digest::of(&bytes))
}
