//! The way of a version from the registry to the disk: offered, downloaded, verified, written, confirmed.

use assistants::skill_targets::{Level, SkillAssistant};
use skill_installer::VerifiedRelease;

use super::blocking::blocking;
use super::confirm;
use super::error::LocalInstallError;
use super::fetch::{Offer, download, fetch};
use super::install::{InstallOptions, Written, write, write_at};
use super::known_installs;
use super::machine::{LocalFolder, Machine};
use super::overlaps::overlaps;
use super::registry_client::RegistryClient;
use super::signers::{self, Signed};

/// Where and how a version is installed.
#[derive(Debug, Clone)]
pub struct Destination {
    pub machine: Machine,
    pub assistants: Vec<SkillAssistant>,
    pub level: Level,
    pub options: InstallOptions,
    /// Set to update one copy where it is: then `assistants` are not asked for, and `options` names its folder.
    pub place: Option<LocalFolder>,
}

/// What an install did.
#[derive(Debug, Clone)]
pub struct InstallReport {
    pub offer: Offer,
    pub written: Vec<Written>,
    /// What the user should know: notes of the registry, and of copies that assistants see twice or not at all.
    pub notes: Vec<String>,
    /// Why the registry does not know of it. The files are written.
    pub unconfirmed: Option<String>,
}

/// Installs a version: `None` for the latest, else a label or a range.
///
/// # Errors
/// If the registry refuses or the files cannot be written.
pub async fn install(
    client: &impl RegistryClient,
    skill: &str,
    version: Option<&str>,
    destination: &Destination,
) -> Result<InstallReport, LocalInstallError> {
    let assistant = destination
        .assistants
        .first()
        .copied()
        .unwrap_or(SkillAssistant::Agents);
    let location = destination.level.name();
    let (offer, release) = fetch(client, skill, version, assistant.name(), location).await?;
    finish(client, offer, release, destination).await
}

/// Downloads, writes and confirms what was offered.
///
/// # Errors
/// As [`install`].
pub(super) async fn install_offer(
    client: &impl RegistryClient,
    mut offer: Offer,
    destination: &Destination,
) -> Result<InstallReport, LocalInstallError> {
    let release = download(client, &mut offer).await?;
    finish(client, offer, release, destination).await
}

/// Writes and confirms a verified version.
///
/// # Errors
/// As [`install`].
pub async fn finish(
    client: &impl RegistryClient,
    offer: Offer,
    release: VerifiedRelease,
    destination: &Destination,
) -> Result<InstallReport, LocalInstallError> {
    let Destination {
        machine,
        assistants,
        level,
        options,
        place,
    } = destination.clone();
    let signed = Signed {
        skill: &offer.skill,
        version: &offer.version,
        digest: release.digest(),
        signature: offer.signature.as_ref(),
    };
    signers::check(client, &machine.config_folder()?, &signed).await?;
    let install_id = offer.install_id.clone();
    let options = InstallOptions {
        receipt: Some(install_id.clone()),
        ..options
    };
    let (written, confirmation, overlapping) = blocking(move || {
        let written = match (&place, &options.folder_name) {
            (Some(place), Some(name)) => vec![write_at(&machine, place, &release, name, &options)?],
            (Some(_), None) | (None, _) => write(&machine, &release, &assistants, level, &options)?,
        };
        let first = written.first();
        let on_disk = first.map(|first| confirm::read_back(&install_id, first));
        let confirmation = on_disk.transpose()?.flatten().map(|on_disk| {
            if let Some(known) = on_disk.known {
                known_installs::remember(&machine, known);
            }
            on_disk.arguments
        });
        let overlapping = match first {
            Some(first) => overlaps(&machine, &first.name, &assistants)?,
            None => Vec::new(),
        };
        Ok((written, confirmation, overlapping))
    })
    .await?;
    let confirmed = match confirmation {
        Some(arguments) => client.call("confirm_install", arguments).await.map(drop),
        None => Ok(()),
    };
    let mut notes = offer.notes.clone();
    notes.extend(overlapping);
    Ok(InstallReport {
        offer,
        written,
        notes,
        unconfirmed: confirmed.err().map(|error| error.to_string()),
    })
}
