//! `check_installed`: compares what is on the caller's disk with the registry, for many skills at once.

use std::collections::BTreeMap;

use agent_skills::{SkillVersion, Slug};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arguments::MAX_VERSION_CHARS;
use super::confirm_install::FileOnDisk;
use super::device_report::DeviceReport;
use super::distributed::{Distributed, Here, missing_distributions};
use super::error::ArgumentError;
use super::file_differences::FileDifferences;
use super::not_found::requested_version;
use super::tool::{CallContext, Done, Tool};
use super::{ToolError, ToolName};
use crate::answer_size::cut;
use crate::ids::{Digest, InstallId};
use crate::registry::installed::{self as known, InstalledRef, InstalledSkill, InstalledVersion};
use crate::registry::installs::DeviceState;
use crate::registry::listing;
use crate::registry::versions::FileEntry;

/// Characters of an answer for the reasons of withdrawals, for paths, and for the paths and the other fields of skills together.
const MAX_REASON_CHARS: usize = 8_000;
const MAX_PATH_CHARS: usize = 30_000;
const MAX_SKILL_CHARS: usize = 75_000;
/// The most that a skill without paths and reason needs of them: four texts of 64 characters.
const CHARS_PER_SKILL: usize = 370;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckInstalled {
    #[serde(default)]
    #[schemars(length(max = 200))]
    installed: Option<Vec<Installed>>,
    /// Its name; a hash of it is kept.
    #[serde(default)]
    #[schemars(length(min = 1, max = 255))]
    machine: Option<String>,
}

/// One skill on disk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Installed {
    /// Slug, e.g. `fill-pdf`.
    #[schemars(length(min = 1, max = Slug::MAX_LEN))]
    skill: String,
    /// E.g. `1.2`; default: the version with `digest`, or the latest.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_VERSION_CHARS))]
    version: Option<String>,
    /// From install_skill.
    #[serde(default)]
    #[schemars(length(max = 71))]
    digest: Option<String>,
    /// To find edited files.
    #[serde(default)]
    #[schemars(length(min = 1, max = 512))]
    files: Vec<FileOnDisk>,
    /// From install_skill: reports what the machine has.
    #[serde(default)]
    #[schemars(length(min = 36, max = 36))]
    install_id: Option<String>,
    #[serde(default)]
    found: Option<FoundOnDisk>,
}

/// What a program found that the registry cannot see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum FoundOnDisk {
    Drifted,
    Shadowed,
    Removed,
}

/// How an installed skill compares with the registry. The first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// No such skill or version.
    Unknown,
    Quarantined,
    Yanked,
    /// The skill gets no more versions.
    Archived,
    /// Files differ from the version.
    Drifted,
    /// Another copy is used instead.
    #[expect(dead_code, reason = "stated by processes on the caller's machine")]
    Shadowed,
    /// There is a newer version.
    Outdated,
    Current,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Checked {
    skill: String,
    // The present slug of a renamed skill.
    #[serde(skip_serializing_if = "Option::is_none")]
    renamed_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    state: State,
    // Why it was yanked or quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    // The version to update to.
    #[serde(skip_serializing_if = "Option::is_none")]
    update_to: Option<String>,
    #[serde(flatten)]
    differences: FileDifferences,
    // Set by a process that runs on the caller's machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    // The user wants to keep this version.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pinned: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::schema::top_fields_only)]
pub(super) struct CheckInstalledOutput {
    /// In the order of `installed`.
    skills: Vec<Checked>,
    // Skills that the organisation wants the user to have, and that are not among `installed` in that version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    distributed: Vec<Distributed>,
    // Skills that this machine has; `skills` lists those that need something first.
    #[serde(skip_serializing_if = "Option::is_none")]
    installed: Option<usize>,
    next_step: String,
}

impl Tool for CheckInstalled {
    const TITLE: &'static str = "Check installed skills";
    const DESCRIPTION: &'static str = "Compare skills on disk with the registry: current, outdated, edited, withdrawn (why) or unknown. Without arguments: \
         what this server wrote to the user's disk.";
    type Output = CheckInstalledOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        let Some(installed) = &self.installed else {
            return Err(ArgumentError::NothingInstalled);
        };
        for one in installed {
            one.digest()?;
            for file in &one.files {
                file.digest()?;
            }
        }
        Ok(())
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<CheckInstalledOutput>, ToolError> {
        let installed = self.installed.unwrap_or_default();
        let mut references = Vec::new();
        for one in &installed {
            references.push(InstalledRef {
                slug: &one.skill,
                version: requested_version(one.version.as_deref()),
                digest: one
                    .digest()
                    .map_err(|error| error.into_error(ToolName::CheckInstalled))?,
            });
        }
        let found = known::look_up(cx.tx, &references, cx.principal.only_skills.as_deref()).await?;
        let with_files = installed
            .iter()
            .zip(&found)
            .filter(|(one, _)| !one.files.is_empty());
        let versions: Vec<_> = with_files
            .filter_map(|(_, found)| Some(found.as_ref()?.version.as_ref()?.id))
            .collect();
        let manifests = listing::manifests(cx.tx, &versions).await?;
        let count = installed.len().max(1);
        let left = MAX_SKILL_CHARS.saturating_sub(CHARS_PER_SKILL * count);
        let (max_path_chars, max_reason_chars) = (left.min(MAX_PATH_CHARS) / count, MAX_REASON_CHARS / count);
        let skills: Vec<Checked> = installed
            .iter()
            .zip(found)
            .map(|(one, found)| {
                let version = found.as_ref().and_then(|found| found.version.as_ref());
                let manifest = version.and_then(|version| manifests.get(&version.id));
                let mut checked = one.compare(found, manifest.map_or(&[], Vec::as_slice));
                checked.differences = checked.differences.shortened(max_path_chars);
                checked.reason = checked.reason.map(|reason| cut(&reason, max_reason_chars));
                checked
            })
            .collect();
        if let Some(machine) = &self.machine {
            let reports: Vec<(InstallId, DeviceState)> = installed
                .iter()
                .zip(&skills)
                .filter_map(|(one, checked)| Some((one.install_id()?, one.device_state(checked)?)))
                .collect();
            DeviceReport::of(cx, machine).await?.store(cx, &reports).await?;
        }
        let distributed = {
            let here = installed.iter().zip(&skills).filter(|(one, _)| !one.is_removed());
            let here = here.map(|(one, checked)| Here {
                slugs: [Some(one.skill.as_str()), checked.renamed_to.as_deref()],
                version: checked.version.as_deref(),
                is_outdated: checked.update_to.is_some(),
            });
            missing_distributions(cx, &here.collect::<Vec<_>>()).await?
        };
        let count = skills.len();
        let here = installed.iter().zip(&skills).filter(|(one, _)| !one.is_removed());
        let next_step = next_step(&here.map(|(_, skill)| skill.state).collect::<Vec<_>>());
        Ok(Done::new(CheckInstalledOutput {
            skills,
            distributed,
            installed: None,
            next_step,
        })
        .with_result_count(count))
    }
}

impl Installed {
    fn install_id(&self) -> Option<InstallId> {
        let id = self.install_id.as_deref()?.parse().ok()?;
        Some(InstallId::from_uuid(id))
    }

    fn is_removed(&self) -> bool {
        match self.found {
            Some(FoundOnDisk::Removed) => true,
            Some(FoundOnDisk::Drifted | FoundOnDisk::Shadowed) | None => false,
        }
    }

    /// What the machine has; `None` if the registry does not know the version.
    fn device_state(&self, checked: &Checked) -> Option<DeviceState> {
        match (self.found, checked.state) {
            (Some(FoundOnDisk::Removed), _) => Some(DeviceState::Removed),
            (Some(FoundOnDisk::Shadowed), _) | (None, State::Shadowed) => Some(DeviceState::Shadowed),
            (Some(FoundOnDisk::Drifted), _) | (None, State::Drifted) => Some(DeviceState::Drifted),
            (None, State::Unknown) => None,
            (None, _) if checked.update_to.is_some() => Some(DeviceState::Stale),
            (
                None,
                State::Quarantined | State::Yanked | State::Archived | State::Outdated | State::Current,
            ) => Some(DeviceState::Live),
        }
    }

    fn digest(&self) -> Result<Option<Digest>, ArgumentError> {
        let parsed = self.digest.as_deref().map(str::parse).transpose();
        parsed.map_err(|error| ArgumentError::FileDigest {
            path: self.skill.clone(),
            error,
        })
    }

    fn compare(&self, found: Option<InstalledSkill>, manifest: &[FileEntry]) -> Checked {
        let Some(found) = found else {
            return self.unknown(None);
        };
        let renamed_to = (found.slug != self.skill).then(|| found.slug.clone());
        let Some(version) = &found.version else {
            return self.unknown(renamed_to);
        };
        let on_disk: BTreeMap<&str, &str> = self
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.digest.as_str()))
            .collect();
        let differences = if on_disk.is_empty() {
            FileDifferences::default()
        } else {
            FileDifferences::new(manifest, &on_disk)
        };
        let named = self.digest().ok().flatten();
        let is_edited = !differences.is_empty() || named.is_some_and(|digest| digest != version.digest);
        let update_to = update_to(version, found.latest.as_deref());
        let state = state(&found, version, is_edited, update_to.is_some());
        Checked {
            skill: self.skill.clone(),
            renamed_to,
            version: Some(version.version.clone()),
            state,
            reason: match state {
                State::Quarantined => {
                    let findings = || "the scanner's findings forbid to use it".to_owned();
                    Some(version.denial.clone().unwrap_or_else(findings))
                }
                State::Yanked => version.yanked.clone().filter(|reason| !reason.is_empty()),
                State::Unknown
                | State::Archived
                | State::Drifted
                | State::Shadowed
                | State::Outdated
                | State::Current => None,
            },
            update_to,
            differences,
            folder: None,
            pinned: false,
        }
    }

    fn unknown(&self, renamed_to: Option<String>) -> Checked {
        Checked {
            skill: self.skill.clone(),
            renamed_to,
            version: self.version.clone(),
            state: State::Unknown,
            reason: None,
            update_to: None,
            differences: FileDifferences::default(),
            folder: None,
            pinned: false,
        }
    }
}

fn state(found: &InstalledSkill, version: &InstalledVersion, is_edited: bool, is_outdated: bool) -> State {
    match () {
        () if version.is_quarantined => State::Quarantined,
        () if version.yanked.is_some() => State::Yanked,
        () if found.is_archived => State::Archived,
        () if is_edited => State::Drifted,
        () if is_outdated => State::Outdated,
        () => State::Current,
    }
}

/// The latest version, if it is newer than the installed one, or that one must not stay.
fn update_to(version: &InstalledVersion, latest: Option<&str>) -> Option<String> {
    let latest = latest.filter(|latest| *latest != version.version)?;
    let parsed = latest
        .parse::<SkillVersion>()
        .ok()
        .zip(version.version.parse::<SkillVersion>().ok());
    // Labels of one precedence, such as 1.0 and 1.0+2, are versions of which the latest is the newer one.
    let is_newer = parsed.is_some_and(|(latest, installed)| latest >= installed);
    (is_newer || version.yanked.is_some() || version.is_quarantined).then(|| latest.to_owned())
}

fn next_step(states: &[State]) -> String {
    let has = |wanted: &[State]| states.iter().any(|state| wanted.contains(state));
    let mut steps = Vec::new();
    if has(&[State::Quarantined, State::Yanked]) {
        steps.push("Do not use the withdrawn skills: install `update_to`, or remove them.");
    }
    if has(&[State::Drifted]) {
        steps.push("Edited skills: ask the user before you replace their files.");
    }
    if has(&[State::Outdated]) {
        steps.push("Outdated skills: call install_skill with `update_to`.");
    }
    if steps.is_empty() {
        steps.push("Nothing to do.");
    }
    steps.join(" ")
}
