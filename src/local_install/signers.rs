//! The keys with which registries sign versions, as this user accepted them: the first keys of a registry are accepted when
//! something is installed from it; a key that is new later must be accepted by a person.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use agent_skills::{Digest, Slug};
use folder_handle::FolderHandle;
use serde_json::{Map, Value};
use skill_installer::ReleaseSignature;
use skill_signature::{PublicKey, Signature, Statement, verify};

use super::error::{LocalInstallError, SignerError};
use super::registry_client::RegistryClient;

/// The file's name in the configuration folder.
const FILE: &str = "signers.json";
/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The accepted keys of each registry.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    folder: PathBuf,
    /// By registry; each key by its id.
    registries: BTreeMap<String, BTreeMap<String, PublicKey>>,
}

/// A version as it was signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    pub skill: &'a str,
    pub version: &'a str,
    pub digest: Digest,
    pub signature: Option<&'a ReleaseSignature>,
}

impl Signers {
    /// Reads the accepted keys. Blocks.
    ///
    /// # Errors
    /// [`SignerError::File`].
    pub fn read(folder: &Path) -> Result<Self, SignerError> {
        let failed = |reason: String| SignerError::File {
            path: folder.join(FILE),
            reason,
        };
        let text = read(folder).map_err(|error| failed(error.to_string()))?;
        let stored: BTreeMap<String, BTreeMap<String, String>> = match &text {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text).map_err(|error| failed(error.to_string()))?,
        };
        let mut registries = BTreeMap::new();
        for (registry, keys) in stored {
            let mut parsed = BTreeMap::new();
            for (id, key) in keys {
                let key: PublicKey = key
                    .parse()
                    .map_err(|_| failed(format!("the key {id} is not valid")))?;
                parsed.insert(key.key_id().to_string(), key);
            }
            registries.insert(registry, parsed);
        }
        Ok(Self {
            folder: folder.to_owned(),
            registries,
        })
    }

    /// Whether keys of the registry were accepted.
    #[must_use]
    pub fn knows(&self, registry: &str) -> bool {
        self.registries.contains_key(registry)
    }

    /// The ids of the accepted keys of a registry.
    #[must_use]
    pub fn key_ids(&self, registry: &str) -> Vec<String> {
        let keys = self.registries.get(registry);
        keys.map(|keys| keys.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Verifies a version with the accepted keys; needs no network.
    ///
    /// # Errors
    /// [`SignerError`] if keys of the registry were accepted and the version is not signed with one of them.
    pub fn verify(&self, registry: &str, signed: &Signed<'_>) -> Result<(), SignerError> {
        let Some(keys) = self.registries.get(registry) else {
            return Ok(());
        };
        let (skill, version) = (signed.skill.to_owned(), signed.version.to_owned());
        let Some(signature) = signed.signature else {
            return Err(SignerError::Unsigned { skill, version });
        };
        let Some(key) = keys.get(&signature.key_id) else {
            return Err(SignerError::Changed {
                registry: registry.to_owned(),
                key_id: signature.key_id.clone(),
            });
        };
        is_valid(key, signed, signature)
            .then_some(())
            .ok_or(SignerError::Invalid { skill, version })
    }

    /// Accepts these keys for a registry, in place of earlier ones. Blocks.
    ///
    /// # Errors
    /// [`SignerError::File`].
    pub fn accept(&mut self, registry: &str, keys: &[PublicKey]) -> Result<(), SignerError> {
        let keys = keys.iter().map(|key| (key.key_id().to_string(), *key));
        self.registries.insert(registry.to_owned(), keys.collect());
        self.write()
    }

    fn write(&self) -> Result<(), SignerError> {
        let failed = |reason: String| SignerError::File {
            path: self.folder.join(FILE),
            reason,
        };
        let stored: BTreeMap<&String, BTreeMap<&String, String>> = self
            .registries
            .iter()
            .map(|(registry, keys)| {
                (
                    registry,
                    keys.iter().map(|(id, key)| (id, key.to_string())).collect(),
                )
            })
            .collect();
        let text = serde_json::to_string_pretty(&stored).map_err(|error| failed(error.to_string()))?;
        let replaced = std::fs::create_dir_all(&self.folder).and_then(|()| {
            let folder = FolderHandle::open_where_trusted(&self.folder)?;
            folder.replace_file(FILE.as_ref(), text.as_bytes(), 0o600)
        });
        replaced.map_err(|error| failed(error.to_string()))
    }
}

fn is_valid(key: &PublicKey, signed: &Signed<'_>, signature: &ReleaseSignature) -> bool {
    let (Ok(skill), Ok(signature)) = (
        signed.skill.parse::<Slug>(),
        Signature::parse(&signature.key_id, &signature.bytes),
    ) else {
        return false;
    };
    let statement = Statement {
        skill: &skill,
        version: signed.version,
        digest: signed.digest,
    };
    verify(key, &statement, &signature).is_ok()
}

fn read(folder: &Path) -> std::io::Result<Option<String>> {
    let is_missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let file = FolderHandle::open_where_trusted(folder).and_then(|folder| folder.open_file(Path::new(FILE)));
    let file = match file {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok((!text.trim().is_empty()).then_some(text))
}

/// The keys that the registry states for the caller's tenant.
///
/// # Errors
/// If the registry does not answer, or a key has another form.
pub async fn stated_keys(client: &impl RegistryClient) -> Result<Vec<PublicKey>, LocalInstallError> {
    let answer = client.call("whoami", Map::new()).await?;
    let keys = answer
        .get("signing_keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    keys.map(|key| {
        let text = key.get("public_key").and_then(Value::as_str).unwrap_or_default();
        text.parse()
            .map_err(|_| LocalInstallError::Answer("signing_keys"))
    })
    .collect()
}

/// Verifies the signature of what is about to be installed. The keys of a registry that is new to this user are accepted.
///
/// # Errors
/// [`LocalInstallError::Signer`] if the version is not signed with an accepted key.
pub(super) async fn check(
    client: &impl RegistryClient,
    folder: &Path,
    signed: &Signed<'_>,
) -> Result<(), LocalInstallError> {
    let registry = client.id();
    let mut signers = Signers::read(folder)?;
    if !signers.knows(&registry) && signed.signature.is_some() {
        let keys = stated_keys(client).await?;
        let mut first = Signers {
            folder: folder.to_owned(),
            ..Signers::default()
        };
        first.registries.insert(
            registry.clone(),
            keys.iter().map(|key| (key.key_id().to_string(), *key)).collect(),
        );
        // Before they are kept: a key that signed nothing is not accepted by accident.
        first.verify(&registry, signed)?;
        signers.accept(&registry, &keys)?;
        tracing::info!(
            registry,
            keys = keys.len(),
            "accepted the signing keys of a registry"
        );
    }
    Ok(signers.verify(&registry, signed)?)
}
