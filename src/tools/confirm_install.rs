//! `confirm_install`: compares the files on the caller's disk with the installed version.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ToolError;
use super::device_report::DeviceReport;
use super::error::{ArgumentError, Refusal};
use super::file_differences::FileDifferences;
use super::tool::{CallContext, Done, Tool};
use crate::ids::{Digest, InstallId};
use crate::registry::denylist::{self, Denial};
use crate::registry::installs::{self, DeviceState, Install, InstallState};
use crate::registry::usage::Subject;
use crate::registry::versions;

/// Characters of paths that an answer lists.
const MAX_PATH_CHARS: usize = 20_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileOnDisk {
    /// Relative to the `folder` of install_skill, e.g. `scripts/fill.sh`.
    #[schemars(length(min = 1, max = 1024))]
    pub(super) path: String,
    /// `sha256:` and the SHA-256 of the bytes on disk in hexadecimal.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub(super) digest: String,
}

impl FileOnDisk {
    pub(super) fn digest(&self) -> Result<Digest, ArgumentError> {
        self.digest.parse().map_err(|error| ArgumentError::FileDigest {
            path: self.path.clone(),
            error,
        })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmInstall {
    /// From install_skill.
    #[schemars(length(min = 36, max = 36))]
    install_id: String,
    /// Every file in the folder, read back from disk.
    #[schemars(length(min = 1, max = 512))]
    files: Vec<FileOnDisk>,
    /// Its name; a hash of it is kept.
    #[serde(default)]
    #[schemars(length(min = 1, max = 255))]
    machine: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConfirmInstallOutput {
    skill: String,
    version: String,
    /// `confirmed` or `mismatched`.
    state: String,
    #[serde(flatten)]
    differences: FileDifferences,
    // The latest version, if it is newer than the installed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    newer_version: Option<String>,
    next_step: String,
}

impl Tool for ConfirmInstall {
    const TITLE: &'static str = "Confirm an install";
    const DESCRIPTION: &'static str = "After you wrote the files of install_skill, report what is on disk: says whether it is the version byte for byte, and \
         whether there is a newer one.";
    type Output = ConfirmInstallOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        Uuid::try_parse(&self.install_id).map_err(|_| ArgumentError::InstallId)?;
        let mut seen = BTreeSet::new();
        for file in &self.files {
            file.digest()?;
            if !seen.insert(&file.path) {
                return Err(ArgumentError::DuplicateFile(file.path.clone()));
            }
        }
        Ok(())
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<ConfirmInstallOutput>, ToolError> {
        let id = Uuid::try_parse(&self.install_id)
            .map(InstallId::from_uuid)
            .map_err(|_| Refusal::UnknownInstall)?;
        let install = installs::find(cx.tx, id, cx.principal.user)
            .await?
            .filter(|install| cx.principal.can_view_skill(&install.slug))
            .ok_or(Refusal::UnknownInstall)?;
        let machine = async {
            match &self.machine {
                Some(machine) => DeviceReport::of(cx, machine).await.map(Some),
                None => Ok(None),
            }
        };
        let manifest = async { Ok(versions::manifest(cx.tx, install.version_id).await?) };
        // Together, so that they take one round trip.
        let (manifest, machine): (_, Option<DeviceReport>) = futures::try_join!(manifest, machine)?;
        let on_disk: BTreeMap<&str, &str> = self
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.digest.as_str()))
            .collect();
        let differences = FileDifferences::new(&manifest, &on_disk);
        let (state, reported) = if differences.is_empty() {
            (InstallState::Confirmed, install.digest)
        } else {
            (InstallState::Mismatched, digest_of_report(&on_disk))
        };
        let device = match state {
            InstallState::Confirmed => DeviceState::Live,
            InstallState::Mismatched => DeviceState::Drifted,
        };
        let seen = [(id, device)];
        let seen = async {
            match &machine {
                Some(machine) => machine.store(cx, &seen).await,
                None => Ok(()),
            }
        };
        // In any order, because both state the same of the device, and in one round trip.
        let stored = async { Ok(installs::set_state(cx.tx, id, state, reported).await?) };
        futures::try_join!(stored, seen)?;
        let newer_version = install.newer_version().map(str::to_owned);
        let denied = if install.quarantined {
            denylist::of_manifest(cx.tx, install.digest).await?
        } else {
            None
        };
        let output = ConfirmInstallOutput {
            next_step: next_step(&differences, &install, denied.as_ref()),
            skill: install.slug,
            version: install.version,
            state: state.as_str().to_owned(),
            differences: differences.shortened(MAX_PATH_CHARS),
            newer_version,
        };
        Ok(Done::new(output).with_subject(Subject {
            skill: Some(install.skill),
            version: Some(install.version_id),
            digest: Some(reported),
        }))
    }
}

fn next_step(differences: &FileDifferences, install: &Install, denied: Option<&Denial>) -> String {
    if let Some(denial) = denied {
        let reason = &denial.reason;
        return format!(
            "An administrator denied the content of this version ({reason}): remove the folder, and tell the user."
        );
    }
    if differences.is_of_other_folder() {
        return format!("Send the paths relative to {}, e.g. SKILL.md.", install.target);
    }
    if !differences.is_empty() {
        return "Write `missing` and `changed` again as install_skill returns them, remove `unexpected` unless they are the \
                user's, then call confirm_install again."
            .to_owned();
    }
    match (install.newer_version(), &install.yanked) {
        (Some(newer), Some(reason)) => format!("{}: install {newer} instead.", withdrawn(reason)),
        (None, Some(reason)) => format!(
            "{}: remove it, and look for another skill with search_skills.",
            withdrawn(reason)
        ),
        (Some(newer), None) => format!("Version {newer} is newer: install it unless you need this one."),
        (None, None) => {
            "It is the newest version. Use the skill, then report with record_usage whether it helped."
                .to_owned()
        }
    }
}

fn withdrawn(reason: &str) -> String {
    if reason.is_empty() {
        "This version was withdrawn".to_owned()
    } else {
        format!("This version was withdrawn ({reason})")
    }
}

/// Identifies files that match no version: the digest of the list of their paths and digests.
fn digest_of_report(on_disk: &BTreeMap<&str, &str>) -> Digest {
    let list: String = on_disk
        .iter()
        .map(|(path, digest)| format!("{path}\0{digest}\n"))
        .collect();
    Digest::of(list.as_bytes())
}
