//! Gets a version from the registry and verifies it.

use agent_skills::{Digest, SkillFile, read_archive_files};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Map, Value, json};
use skill_installer::{Release, ReleaseFile, ReleaseSignature, VerifiedRelease};

use super::error::LocalInstallError;
use super::registry_client::RegistryClient;

/// The longest id of an install, in bytes.
const MAX_ID_BYTES: usize = 64;

/// Characters of files that `install_skill` may answer with. Skills that fit need no download: of 400 real folders 46 %, and nearly all that
/// have only a `SKILL.md`. The requests of these take three quarters of the time, those of larger ones 15 % longer.
pub(super) const MAX_INLINE_CHARS: u32 = 40_000;

/// What `install_skill` answered.
#[derive(Debug, Clone)]
pub struct Offer {
    pub install_id: String,
    pub skill: String,
    pub version: String,
    pub digest: Digest,
    pub signature: Option<ReleaseSignature>,
    pub notes: Vec<String>,
    /// All files of the version, if they were in the answer. Not yet verified.
    pub files: Option<Vec<ReleaseFile>>,
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
            files: inline_files(answer),
        })
    }
}

/// The files of an answer that has all of them whole; else `None`, and they are downloaded.
fn inline_files(answer: &Value) -> Option<Vec<ReleaseFile>> {
    let files = answer.get("files")?.as_array()?;
    let count = answer.get("file_count")?.as_u64()?;
    let is_complete = answer.get("next_cursor").is_none_or(Value::is_null)
        && u64::try_from(files.len()).is_ok_and(|len| len > 0 && len == count);
    if !is_complete {
        return None;
    }
    files.iter().map(inline_file).collect()
}

fn inline_file(file: &Value) -> Option<ReleaseFile> {
    let is_part = file.get("offset").is_some_and(|offset| !offset.is_null())
        || file.get("continues").and_then(Value::as_bool) == Some(true);
    let text = |name: &str| file.get(name)?.as_str();
    let content = text("content")?;
    let bytes = match text("encoding")? {
        "utf-8" => content.as_bytes().to_vec(),
        "base64" => BASE64.decode(content).ok()?,
        _ => return None,
    };
    (!is_part).then_some(())?;
    Some(ReleaseFile {
        path: text("path")?.to_owned(),
        digest: text("digest")?.parse().ok()?,
        size: file.get("size")?.as_u64()?,
        executable: file.get("executable")?.as_bool()?,
        bytes,
    })
}

fn signature(answer: &Value) -> Option<ReleaseSignature> {
    let signature = answer.get("signature")?;
    Some(ReleaseSignature {
        key_id: signature.get("key_id")?.as_str()?.to_owned(),
        algorithm: "ed25519".to_owned(),
        bytes: signature.get("value")?.as_str()?.to_owned(),
    })
}

/// Asks for a version, and downloads it unless its files are in the answer. The files are verified against the digest of the offer.
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
    arguments.insert("max_chars".to_owned(), json!(MAX_INLINE_CHARS));
    let answer = client.call("install_skill", arguments).await?;
    let mut offer = Offer::read(&answer)?;
    let release = download(client, &mut offer).await?;
    Ok((offer, release))
}

/// Verifies what was offered, which is downloaded unless its files were in the answer.
///
/// # Errors
/// As [`fetch`].
pub(super) async fn download(
    client: &impl RegistryClient,
    offer: &mut Offer,
) -> Result<VerifiedRelease, LocalInstallError> {
    let files = match offer.files.take() {
        Some(files) => files,
        None => {
            let archive = client.download(&offer.skill, &offer.version).await?;
            let files = read_archive_files(&archive)?;
            files.into_iter().map(release_file).collect()
        }
    };
    let release = Release {
        registry: client.id(),
        skill: offer.skill.clone(),
        version: offer.version.clone(),
        digest: offer.digest,
        files,
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
