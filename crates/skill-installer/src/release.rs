//! What a registry hands out, and its check.

use std::collections::BTreeMap;

use agent_skills::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use agent_skills::{Digest, ManifestEntry, SkillPath, SkillVersion, Slug, check_collisions, manifest_digest};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ReleaseProblem};
use crate::own_names::is_own_name;

const MAX_REGISTRY_BYTES: usize = 512;
const MAX_SIGNATURE_BYTES: usize = 4096;

/// A version of a skill, as a registry states it. Nothing in it is trusted; see [`Release::verify`].
#[derive(Debug, Clone)]
pub struct Release {
    /// The registry's address or name. The same text for each version of a skill.
    pub registry: String,
    /// The skill's slug in the registry.
    pub skill: String,
    pub version: String,
    /// The stated digest of the version ([`manifest_digest`]).
    pub digest: Digest,
    pub files: Vec<ReleaseFile>,
    /// Kept in the marker file. This crate does not check it; the caller does, before.
    pub signature: Option<ReleaseSignature>,
}

/// A file of a release.
#[derive(Debug, Clone)]
pub struct ReleaseFile {
    /// Relative to the skill's folder, with `/`.
    pub path: String,
    /// The stated digest of the bytes.
    pub digest: Digest,
    /// The stated size in bytes.
    pub size: u64,
    pub executable: bool,
    pub bytes: Vec<u8>,
}

/// A signature over the digest of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSignature {
    pub key_id: String,
    pub algorithm: String,
    /// Base64.
    pub bytes: String,
}

/// A release whose every statement was checked. Only such a one can be installed.
#[derive(Debug, Clone)]
pub struct VerifiedRelease {
    pub(crate) registry: String,
    pub(crate) skill: Slug,
    pub(crate) version: SkillVersion,
    pub(crate) digest: Digest,
    pub(crate) files: BTreeMap<String, VerifiedFile>,
    pub(crate) signature: Option<ReleaseSignature>,
}

#[derive(Debug, Clone)]
pub(crate) struct VerifiedFile {
    pub(crate) digest: Digest,
    pub(crate) executable: bool,
    pub(crate) bytes: Vec<u8>,
}

impl Release {
    /// Checks paths (safe on Linux, macOS and Windows, without collisions), limits (512 files, 16 MiB), the size and digest of
    /// each file, and the digest of the version.
    ///
    /// # Errors
    /// [`Error::BadRelease`] with the first problem.
    pub fn verify(self) -> Result<VerifiedRelease, Error> {
        let skill: String = self.skill.chars().take(Slug::MAX_LEN).collect();
        self.check()
            .map_err(|problem| Error::BadRelease { skill, problem })
    }

    fn check(self) -> Result<VerifiedRelease, ReleaseProblem> {
        let skill: Slug = self.skill.parse().map_err(|_| ReleaseProblem::Slug)?;
        let version: SkillVersion = self.version.parse().map_err(|_| ReleaseProblem::Version)?;
        check_registry(&self.registry)?;
        if let Some(signature) = &self.signature {
            check_signature(signature)?;
        }
        if self.files.len() > MAX_FILES {
            return Err(ReleaseProblem::TooManyFiles);
        }
        let total = self
            .files
            .iter()
            .try_fold(0_u64, |sum, file| sum.checked_add(size_of(&file.bytes)));
        if total.is_none_or(|total| total > MAX_TOTAL_BYTES) {
            return Err(ReleaseProblem::TooLarge);
        }
        let paths = self
            .files
            .iter()
            .map(checked_path)
            .collect::<Result<Vec<_>, _>>()?;
        check_collisions(&paths).map_err(ReleaseProblem::Collision)?;
        if !paths.contains(&SkillPath::skill_md()) {
            return Err(ReleaseProblem::NoSkillMd);
        }
        let entries = paths.iter().zip(&self.files).map(|(path, file)| ManifestEntry {
            path,
            digest: file.digest,
            size_bytes: file.size,
            is_executable: file.executable,
        });
        if manifest_digest(entries) != self.digest {
            return Err(ReleaseProblem::Digest);
        }
        let files = self.files.into_iter().map(|file| {
            let verified = VerifiedFile {
                digest: file.digest,
                executable: file.executable,
                bytes: file.bytes,
            };
            (file.path, verified)
        });
        Ok(VerifiedRelease {
            registry: self.registry,
            skill,
            version,
            digest: self.digest,
            files: files.collect(),
            signature: self.signature,
        })
    }
}

impl VerifiedRelease {
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    #[must_use]
    pub fn skill(&self) -> &Slug {
        &self.skill
    }

    #[must_use]
    pub fn version(&self) -> &SkillVersion {
        &self.version
    }

    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes of a file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|file| &*file.bytes)
    }
}

pub(crate) fn check_registry(registry: &str) -> Result<(), ReleaseProblem> {
    let is_text = !registry.is_empty()
        && registry.len() <= MAX_REGISTRY_BYTES
        && !registry
            .chars()
            .any(|c| c.is_control() || agent_skills::is_hidden(c));
    is_text.then_some(()).ok_or(ReleaseProblem::Registry)
}

pub(crate) fn check_signature(signature: &ReleaseSignature) -> Result<(), ReleaseProblem> {
    let is_word = |text: &str, max: usize, other: &[u8]| {
        !text.is_empty()
            && text.len() <= max
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || other.contains(&byte))
    };
    let is_valid = is_word(&signature.key_id, 128, b"-_.:")
        && is_word(&signature.algorithm, 64, b"-_.")
        && is_word(&signature.bytes, MAX_SIGNATURE_BYTES, b"+/=-_");
    is_valid.then_some(()).ok_or(ReleaseProblem::Signature)
}

fn checked_path(file: &ReleaseFile) -> Result<SkillPath, ReleaseProblem> {
    let path = SkillPath::parse(&file.path).map_err(|reason| ReleaseProblem::Path {
        path: file.path.chars().take(200).collect(),
        reason,
    })?;
    if path.as_str().split('/').any(is_own_name) {
        return Err(ReleaseProblem::OwnName(file.path.clone()));
    }
    if size_of(&file.bytes) != file.size {
        return Err(ReleaseProblem::Size {
            path: file.path.clone(),
            stated: file.size,
            actual: size_of(&file.bytes),
        });
    }
    if Digest::of(&file.bytes) != file.digest {
        return Err(ReleaseProblem::FileDigest {
            path: file.path.clone(),
        });
    }
    Ok(path)
}

fn size_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
