//! Gets a version from the registry and verifies it.

use agent_skills::{Digest, SkillFile, read_archive_files};
use serde_json::{Map, Value, json};
use skill_installer::{Release, ReleaseFile, ReleaseSignature, VerifiedRelease};

use super::error::LocalInstallError;
use super::registry_client::RegistryClient;

/// The longest id of an install, in bytes.
const MAX_ID_BYTES: usize = 64;

/// What `install_skill` answered, without files.
#[derive(Debug, Clone)]
pub struct Offer {
    pub install_id: String,
    pub skill: String,
    pub version: String,
    pub digest: Digest,
    pub signature: Option<ReleaseSignature>,
    pub notes: Vec<String>,
}

impl Offer {
    /// Reads the structured content of `install_skill`.
    ///
    /// # Errors
    /// [`LocalInstallError::Answer`] if a field is missing or has another form.
    pub fn read(answer: &Value) -> Result<Self, LocalInstallError> {
        let text = |name: &'static str| {
            let value = answer.get(name).and_then(Value::as_str);
            value.map(str::to_owned).ok_or(LocalInstallError::Answer(name))
        };
        let notes = answer
            .get("notes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        // It goes into the marker file.
        let is_id = |id: &String| id.len() <= MAX_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic());
        let install_id = Some(text("install_id")?).filter(is_id);
        Ok(Self {
            install_id: install_id.ok_or(LocalInstallError::Answer("install_id"))?,
            skill: text("skill")?,
            version: text("version")?,
            digest: text("digest")?
                .parse()
                .map_err(|_| LocalInstallError::Answer("digest"))?,
            signature: signature(answer),
            notes: notes.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

fn signature(answer: &Value) -> Option<ReleaseSignature> {
    let signature = answer.get("signature")?;
    Some(ReleaseSignature {
        key_id: signature.get("key_id")?.as_str()?.to_owned(),
        algorithm: "ed25519".to_owned(),
        bytes: signature.get("value")?.as_str()?.to_owned(),
    })
}

/// Asks for a version and downloads it. The files are verified against the digest of the offer.
///
/// `assistant` and `location` are arguments of `install_skill`.
///
/// # Errors
/// If the registry refuses, does not answer, or sends other files than it offered.
pub async fn fetch(
    client: &impl RegistryClient,
    skill: &str,
    version: Option<&str>,
    assistant: &str,
    location: &str,
) -> Result<(Offer, VerifiedRelease), LocalInstallError> {
    let mut arguments = Map::new();
    arguments.insert("skill".to_owned(), json!(skill));
    if let Some(version) = version {
        arguments.insert("version".to_owned(), json!(version));
    }
    arguments.insert("assistant".to_owned(), json!(assistant));
    arguments.insert("location".to_owned(), json!(location));
    arguments.insert("max_chars".to_owned(), json!(0));
    let answer = client.call("install_skill", arguments).await?;
    let offer = Offer::read(&answer)?;
    let release = download(client, &offer).await?;
    Ok((offer, release))
}

/// Downloads and verifies what was offered.
///
/// # Errors
/// As [`fetch`].
pub(super) async fn download(
    client: &impl RegistryClient,
    offer: &Offer,
) -> Result<VerifiedRelease, LocalInstallError> {
    let archive = client.download(&offer.skill, &offer.version).await?;
    let files = read_archive_files(&archive)?;
    let release = Release {
        registry: client.id(),
        skill: offer.skill.clone(),
        version: offer.version.clone(),
        digest: offer.digest,
        files: files.into_iter().map(release_file).collect(),
        signature: offer.signature.clone(),
    };
    Ok(release.verify()?)
}

fn release_file(file: SkillFile) -> ReleaseFile {
    ReleaseFile {
        path: file.path.to_string(),
        digest: Digest::of(&file.bytes),
        size: u64::try_from(file.bytes.len()).unwrap_or(u64::MAX),
        executable: file.is_executable,
        bytes: file.bytes,
    }
}
