//! A skill on the command line: `NAME` or `NAME@VERSION`.

use std::str::FromStr;

use agent_skills::{Slug, VersionReq};
use skill_installer::{FolderName, LockedSkill, WantedSkill};

use super::failed;
use super::usage;
use crate::error::CliError;
use crate::local_install::InstallReport;

/// A skill and the versions of it that are wanted.
#[derive(Debug, Clone)]
pub(super) struct SkillArg {
    pub(super) name: Slug,
    /// As it was written; `None` for the latest.
    pub(super) version: Option<VersionReq>,
}

impl FromStr for SkillArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let name = name.parse::<Slug>().map_err(|error| error.to_string())?;
        let version = version.map(str::parse::<VersionReq>).transpose();
        Ok(Self {
            name,
            version: version.map_err(|error| error.to_string())?,
        })
    }
}

impl SkillArg {
    /// The argument `version` of `install_skill`.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_ref().map(VersionReq::as_str)
    }
}

/// The entry of the lock file for what was installed.
pub(super) fn locked(registry: &str, report: &InstallReport) -> Result<LockedSkill, CliError> {
    let offer = &report.offer;
    let name: Slug = offer
        .skill
        .parse()
        .map_err(|_| usage("the registry sent an invalid slug"))?;
    let folder = report.written.first().map(|written| written.name.as_str());
    let folder = folder.filter(|folder| *folder != name.as_str());
    let folder = folder.map(str::parse::<FolderName>).transpose();
    Ok(LockedSkill {
        registry: registry.to_owned(),
        version: offer
            .version
            .parse()
            .map_err(|_| usage("the registry sent an invalid version"))?,
        digest: offer.digest,
        signer: offer.signature.as_ref().map(|signature| signature.key_id.clone()),
        folder: folder.map_err(|error| failed(error.into()))?,
        name,
    })
}

/// The entry of the manifest: the range that the user wrote, else `^` and the installed version.
pub(super) fn wanted(
    arg: &SkillArg,
    report: &InstallReport,
    folder: Option<FolderName>,
) -> Result<WantedSkill, CliError> {
    let name: Slug = report
        .offer
        .skill
        .parse()
        .map_err(|_| usage("the registry sent an invalid slug"))?;
    let version = match &arg.version {
        Some(version) => version.clone(),
        None => compatible(&report.offer.version)?,
    };
    Ok(WantedSkill {
        name,
        version,
        registry: None,
        folder,
        pinned: false,
    })
}

/// `^` and the version, or everything where the label permits no such range.
fn compatible(version: &str) -> Result<VersionReq, CliError> {
    let label = version.trim_start_matches(['v', 'V']);
    // A counted version says nothing of what is compatible.
    if label.bytes().all(|byte| byte.is_ascii_digit()) {
        return "*"
            .parse()
            .map_err(|error: agent_skills::VersionReqError| usage(error.to_string()));
    }
    let caret = format!("^{label}").parse::<VersionReq>();
    caret
        .or_else(|_| "*".parse())
        .map_err(|error| usage(error.to_string()))
}
