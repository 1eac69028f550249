//! `confirm_install`: what the caller really has on disk.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CallContext, Done, SideEffect, Tool, ToolError, limits};
use crate::ids::{Digest, InstallId};
use crate::registry::installs::{self, State};
use crate::registry::usage::Subject;
use crate::registry::versions;
use crate::tenancy::Scope;

const MAX_FILES: usize = 512;
const PATH_CHARS: usize = 1024;

/// One file as it is on the caller's disk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacedFile {
    /// The path inside the skill's folder, with `/` between its parts.
    #[schemars(length(min = 1, max = 1024))]
    path: String,
    /// `sha256:` and the 64 hexadecimal digits of the SHA-256 of the bytes on disk.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    digest: String,
}

/// What was put on disk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmInstall {
    /// The id that install_skill gave.
    #[schemars(length(min = 36, max = 36))]
    install_id: String,
    /// Every file in the skill's folder, read back from disk.
    #[schemars(length(min = 1, max = 512))]
    files: Vec<PlacedFile>,
}

/// What the registry thinks of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConfirmInstallOutput {
    /// The install.
    install_id: String,
    /// The skill.
    skill: String,
    /// Its version.
    version: String,
    /// The digest of the version that was handed out.
    digest: String,
    /// `confirmed` where the disk holds the version byte for byte, else `mismatched`.
    state: String,
    /// Files of the version that are not on disk.
    missing: Vec<String>,
    /// Files whose bytes differ.
    changed: Vec<String>,
    /// Files on disk that are not the version's.
    unexpected: Vec<String>,
}

impl Tool for ConfirmInstall {
    const NAME: &'static str = "confirm_install";
    const TITLE: &'static str = "Confirm an install";
    const DESCRIPTION: &'static str = "Tells the registry which files an install really put on disk, with their digests. Call it after writing the files \
         of install_skill. The answer says whether they are the version's, byte for byte, and names what differs.";
    const SCOPE: Option<Scope> = Some(Scope::SkillsInstall);
    const EFFECT: SideEffect = SideEffect::AddsOnce;
    type Output = ConfirmInstallOutput;

    fn check(&self) -> Result<(), String> {
        Uuid::try_parse(&self.install_id)
            .map_err(|_| "install_id is not an id that install_skill gave".to_owned())?;
        limits::within("the number of files", self.files.len(), &(1..=MAX_FILES))?;
        let mut seen = BTreeMap::new();
        for file in &self.files {
            limits::text("path", &file.path, &(1..=PATH_CHARS))?;
            file.digest.parse::<Digest>().map_err(|error| error.to_string())?;
            if seen.insert(&file.path, ()).is_some() {
                return Err("a path is there twice".to_owned());
            }
        }
        Ok(())
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<ConfirmInstallOutput>, ToolError> {
        let no_such_install = || {
            ToolError::refused(
                "not_found",
                "There is no such install of yours. install_skill starts one and gives its id.",
            )
        };
        let id = Uuid::try_parse(&self.install_id)
            .map(InstallId::from_uuid)
            .map_err(|_| no_such_install())?;
        let install = installs::find(cx.tx, id, cx.principal.user)
            .await?
            .filter(|install| cx.principal.can_view_skill(&install.slug))
            .ok_or_else(no_such_install)?;
        let manifest = versions::manifest(cx.tx, install.version_id).await?;
        let placed: BTreeMap<&str, &str> = self
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.digest.as_str()))
            .collect();
        let mut output = ConfirmInstallOutput {
            install_id: id.to_string(),
            skill: install.slug.clone(),
            version: install.version.clone(),
            digest: install.digest.to_string(),
            state: State::Confirmed.as_str().to_owned(),
            missing: Vec::new(),
            changed: Vec::new(),
            unexpected: Vec::new(),
        };
        for entry in &manifest {
            match placed.get(entry.path.as_str()) {
                None => output.missing.push(entry.path.clone()),
                Some(digest) if *digest != entry.digest.to_string() => {
                    output.changed.push(entry.path.clone())
                }
                Some(_) => {}
            }
        }
        output.unexpected = placed
            .keys()
            .filter(|path| !manifest.iter().any(|entry| entry.path == **path))
            .map(|path| (*path).to_owned())
            .collect();
        let same = output.missing.is_empty() && output.changed.is_empty() && output.unexpected.is_empty();
        let (state, reported) = if same {
            (State::Confirmed, install.digest)
        } else {
            (State::Mismatched, digest_of_report(&placed))
        };
        output.state = state.as_str().to_owned();
        installs::set_state(cx.tx, id, state, reported).await?;
        let subject = Subject {
            skill: Some(install.skill),
            version: Some(install.version_id),
            digest: Some(reported),
        };
        Ok(Done::new(output).about(subject))
    }
}

/// Names what a caller has that is no version of ours: the digest of his list of paths and digests.
fn digest_of_report(placed: &BTreeMap<&str, &str>) -> Digest {
    let list: String = placed
        .iter()
        .map(|(path, digest)| format!("{path}\0{digest}\n"))
        .collect();
    Digest::of(list.as_bytes())
}
