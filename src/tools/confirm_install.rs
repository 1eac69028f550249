//! `confirm_install`: compares the files on the caller's disk with the installed version.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ToolError;
use super::error::{ArgumentError, Refusal};
use super::tool::{CallContext, Done, Tool};
use crate::ids::{Digest, InstallId};
use crate::registry::installs::{self, InstallState};
use crate::registry::usage::Subject;
use crate::registry::versions;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileOnDisk {
    /// Path inside the skill's folder, e.g. `scripts/fill.sh`.
    #[schemars(length(min = 1, max = 1024))]
    path: String,
    /// `sha256:` and the SHA-256 of the bytes on disk, in lowercase hexadecimal digits.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    digest: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmInstall {
    /// From install_skill.
    #[schemars(length(min = 36, max = 36))]
    install_id: String,
    /// Every file in the skill's folder, read back from disk.
    #[schemars(length(min = 1, max = 512))]
    files: Vec<FileOnDisk>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConfirmInstallOutput {
    install_id: String,
    skill: String,
    version: String,
    /// Digest of the version that install_skill returned.
    digest: String,
    /// `confirmed` if the files match byte for byte, else `mismatched`.
    state: String,
    /// Files of the version that are not on disk.
    missing: Vec<String>,
    /// Files whose bytes differ.
    changed: Vec<String>,
    /// Files on disk that the version does not have.
    unexpected: Vec<String>,
}

impl Tool for ConfirmInstall {
    const TITLE: &'static str = "Confirm an install";
    const DESCRIPTION: &'static str = "Report the files on disk with their digests after you wrote the files of install_skill. The result says whether they \
         match the version byte for byte, and which files differ.";
    type Output = ConfirmInstallOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        Uuid::try_parse(&self.install_id).map_err(|_| ArgumentError::InstallId)?;
        let mut seen = BTreeSet::new();
        for file in &self.files {
            file.digest
                .parse::<Digest>()
                .map_err(|error| ArgumentError::FileDigest {
                    path: file.path.clone(),
                    error,
                })?;
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
        let manifest = versions::manifest(cx.tx, install.version_id).await?;
        let on_disk: BTreeMap<&str, &str> = self
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.digest.as_str()))
            .collect();
        let mut output = ConfirmInstallOutput {
            install_id: id.to_string(),
            skill: install.slug,
            version: install.version,
            digest: install.digest.to_string(),
            state: InstallState::Confirmed.as_str().to_owned(),
            missing: Vec::new(),
            changed: Vec::new(),
            unexpected: Vec::new(),
        };
        for entry in &manifest {
            match on_disk.get(entry.path.as_str()) {
                None => output.missing.push(entry.path.clone()),
                Some(digest) if *digest != entry.digest.to_string() => {
                    output.changed.push(entry.path.clone())
                }
                Some(_) => {}
            }
        }
        output.unexpected = on_disk
            .keys()
            .filter(|path| !manifest.iter().any(|entry| entry.path == **path))
            .map(|path| (*path).to_owned())
            .collect();
        let is_same = output.missing.is_empty() && output.changed.is_empty() && output.unexpected.is_empty();
        let (state, reported) = if is_same {
            (InstallState::Confirmed, install.digest)
        } else {
            (InstallState::Mismatched, digest_of_report(&on_disk))
        };
        output.state = state.as_str().to_owned();
        installs::set_state(cx.tx, id, state, reported).await?;
        Ok(Done::new(output).with_subject(Subject {
            skill: Some(install.skill),
            version: Some(install.version_id),
            digest: Some(reported),
        }))
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
