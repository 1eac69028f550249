//! Compares what is installed on this machine with the registry.

use serde::Serialize;
use serde_json::{Map, Value, json};
use skill_installer::{Installed, SkillsFolder, list};

use super::error::LocalInstallError;
use super::installed_here::InstalledHere;
use super::known_installs::{self, KnownInstall};
use super::machine::{Machine, machine_name};
use super::overlaps::shadowed;
use super::registry_client::RegistryClient;

/// Skills in one call of `check_installed`.
pub(super) const MAX_PER_CALL: usize = 200;

/// An installed skill, compared with the registry.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedSkill {
    pub skill: String,
    pub version: String,
    /// The skill's folder, relative to the project or with `~/`.
    pub folder: String,
    /// `current`, `outdated`, `drifted`, `shadowed`, `archived`, `yanked`, `quarantined`, or `unknown`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unexpected: Vec<String>,
}

/// A skill that the organisation wants the user to have, and that is not installed in that version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DistributedSkill {
    pub skill: String,
    /// A label, or `latest`.
    pub version: String,
}

/// Everything that this program installed in the folders that assistants read. Each file is hashed. Blocks.
///
/// # Errors
/// If a folder cannot be read.
pub fn scan(machine: &Machine) -> Result<Vec<InstalledHere>, LocalInstallError> {
    let mut found = Vec::new();
    for place in machine.all_folders()? {
        let Some(opened) = SkillsFolder::open_existing(&place.base, &place.relative)? else {
            continue;
        };
        found.extend(list(&opened)?.into_iter().map(|installed| InstalledHere {
            place: place.clone(),
            installed,
            shadowed: None,
        }));
    }
    for (here, sentence) in shadowed(machine, &found)? {
        if let Some(here) = found.get_mut(here) {
            here.shadowed = Some(sentence);
        }
    }
    Ok(found)
}

/// Asks the registry about the skills of this machine that come from it, and tells it which are gone. No call is made, and so no
/// usage event, if there are none.
///
/// # Errors
/// If the registry refuses or does not answer.
pub async fn check(
    client: &impl RegistryClient,
    machine: &Machine,
    found: &[InstalledHere],
) -> Result<Vec<CheckedSkill>, LocalInstallError> {
    let own = own(client, found);
    let removed = known_installs::removed(machine, &client.id()).await;
    if own.is_empty() && removed.is_empty() {
        return Ok(Vec::new());
    }
    Ok(check_parts(client, machine, &own, removed).await?.0)
}

/// As [`check`], and what the organisation wants the user to have beyond that.
///
/// # Errors
/// As [`check`].
pub async fn check_with_distributions(
    client: &impl RegistryClient,
    machine: &Machine,
    found: &[InstalledHere],
) -> Result<(Vec<CheckedSkill>, Vec<DistributedSkill>), LocalInstallError> {
    let removed = known_installs::removed(machine, &client.id()).await;
    check_parts(client, machine, &own(client, found), removed).await
}

fn own<'a>(client: &impl RegistryClient, found: &'a [InstalledHere]) -> Vec<&'a InstalledHere> {
    let registry = client.id();
    let is_own = |here: &&InstalledHere| here.installed.marker.registry == registry;
    found.iter().filter(is_own).collect()
}

async fn check_parts(
    client: &impl RegistryClient,
    machine: &Machine,
    own: &[&InstalledHere],
    mut removed: Vec<KnownInstall>,
) -> Result<(Vec<CheckedSkill>, Vec<DistributedSkill>), LocalInstallError> {
    let (first, rest) = own.split_at(own.len().min(MAX_PER_CALL));
    // Those for which there is no room are reported by the next check.
    removed.truncate(MAX_PER_CALL - first.len());
    let answer = client.call("check_installed", arguments(first, &removed)).await?;
    let mut checked = merge(machine, first, removed.len(), &answer)?;
    known_installs::forget(machine, removed).await;
    let mut distributed = distributed(&answer);
    for part in rest.chunks(MAX_PER_CALL) {
        let answer = client.call("check_installed", arguments(part, &[])).await?;
        checked.extend(merge(machine, part, 0, &answer)?);
        // Each answer names what its own part lacks.
        let also = self::distributed(&answer);
        distributed.retain(|skill| also.contains(skill));
    }
    Ok((checked, distributed))
}

fn distributed(answer: &Value) -> Vec<DistributedSkill> {
    let skills = answer
        .get("distributed")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    skills
        .filter_map(|skill| {
            Some(DistributedSkill {
                skill: text(skill, "skill")?,
                version: text(skill, "version")?,
            })
        })
        .collect()
}

/// The arguments of `check_installed` about skills that are here, and then about installs that are gone.
pub(super) fn arguments(part: &[&InstalledHere], removed: &[KnownInstall]) -> Map<String, Value> {
    let mut installed: Vec<Value> = part
        .iter()
        .map(|here| {
            let marker = &here.installed.marker;
            let mut one = json!({"skill": marker.skill, "version": marker.version, "digest": marker.digest.to_string()});
            if let (Some(receipt), Some(fields)) = (&marker.receipt, one.as_object_mut()) {
                fields.insert("install_id".to_owned(), json!(receipt));
                let found = match (&here.shadowed, here.installed.drift.is_clean()) {
                    (Some(_), _) => Some("shadowed"),
                    (None, false) => Some("drifted"),
                    (None, true) => None,
                };
                fields.extend(found.map(|found| ("found".to_owned(), json!(found))));
            }
            one
        })
        .collect();
    installed.extend(removed.iter().map(|known| {
        json!({
            "skill": known.skill,
            "version": known.version,
            "digest": known.digest,
            "install_id": known.install_id,
            "found": "removed",
        })
    }));
    let mut arguments = Map::new();
    arguments.insert("installed".to_owned(), installed.into());
    if let Some(machine) = machine_name() {
        arguments.insert("machine".to_owned(), json!(machine));
    }
    arguments
}

/// What the registry says of a version, and what this machine says of its files. The answer ends with what is gone.
pub(super) fn merge(
    machine: &Machine,
    part: &[&InstalledHere],
    removed: usize,
    answer: &Value,
) -> Result<Vec<CheckedSkill>, LocalInstallError> {
    let skills = answer.get("skills").and_then(Value::as_array);
    let skills = skills
        .filter(|skills| skills.len() == part.len() + removed)
        .ok_or(LocalInstallError::Answer("skills"))?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    part.iter()
        .zip(skills)
        .map(|(here, said)| {
            let Installed { name, marker, drift } = &here.installed;
            let state = text(said, "state").ok_or(LocalInstallError::Answer("state"))?;
            let (state, reason) = match (state.as_str(), &here.shadowed) {
                ("current" | "outdated", Some(sentence)) => ("shadowed".to_owned(), Some(sentence.clone())),
                ("current" | "outdated", None) if !drift.is_clean() => ("drifted".to_owned(), None),
                _ => (state, text(said, "reason")),
            };
            Ok(CheckedSkill {
                skill: marker.skill.clone(),
                version: marker.version.clone(),
                folder: machine.shown(&here.place.path().join(name.as_str())),
                state,
                reason,
                update_to: text(said, "update_to"),
                renamed_to: text(said, "renamed_to"),
                pinned: marker.pinned,
                changed: drift.modified.clone(),
                missing: drift.missing.clone(),
                unexpected: drift.extra.clone(),
            })
        })
        .collect()
}
