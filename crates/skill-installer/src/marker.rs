//! The marker file: which release a folder was installed from.

use std::collections::{BTreeMap, BTreeSet};

use agent_skills::limits::MAX_FILES;
use agent_skills::{Digest, ManifestEntry, SkillPath, SkillVersion, Slug, check_collisions, manifest_digest};
use serde::{Deserialize, Serialize};

use crate::own_names::is_own_name;
use crate::release::{ReleaseSignature, VerifiedRelease, check_registry, check_signature};

/// Name of the marker file in the folder of each installed skill.
pub const MARKER_FILE: &str = ".skillkeep.json";
/// Maximum size of a marker file in bytes: 512 paths of maximum length, escaped.
pub(crate) const MAX_MARKER_BYTES: u64 = 2 * 1024 * 1024;
const FORMAT: u32 = 1;
/// Maximum length of a time or id in bytes.
const MAX_WORD_BYTES: usize = 64;

/// What the marker file of an installed skill says. It names the content of the release, not edits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Marker {
    /// Version of the format, 1.
    pub format: u32,
    pub registry: String,
    pub skill: String,
    pub version: String,
    /// The digest of the version.
    pub digest: Digest,
    /// RFC 3339, as the caller gave it.
    pub installed_at: String,
    /// Whether the user wants to keep this version. This crate only records it.
    pub pinned: bool,
    pub previous: Option<PreviousVersion>,
    /// With the id of its key.
    pub signature: Option<ReleaseSignature>,
    /// Under which id the registry knows the install; `None` if it was not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// The run that wrote the folder.
    pub(crate) install_id: String,
    /// Sorted by path.
    pub files: Vec<MarkerFile>,
}

/// The version that was installed before, for a way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviousVersion {
    pub version: String,
    pub digest: Digest,
}

/// A file of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MarkerFile {
    pub path: String,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    pub executable: bool,
}

/// The marker as it is in the file, before its check.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[allow(dead_code, reason = "checked by `RawFormat` before")]
    format: u32,
    registry: String,
    skill: String,
    version: String,
    digest: String,
    installed_at: String,
    pinned: bool,
    previous: Option<RawPrevious>,
    signature: Option<ReleaseSignature>,
    #[serde(default)]
    receipt: Option<String>,
    install_id: String,
    files: Vec<RawFile>,
}

#[derive(Deserialize)]
struct RawFormat {
    format: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrevious {
    version: String,
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: String,
    digest: String,
    size: u64,
    executable: bool,
}

impl Marker {
    pub(crate) fn of(
        release: &VerifiedRelease,
        installed_at: &str,
        before: Option<&Self>,
        install_id: &str,
    ) -> Self {
        let files = release.files.iter().map(|(path, file)| MarkerFile {
            path: path.clone(),
            digest: file.digest,
            size: u64::try_from(file.bytes.len()).unwrap_or(u64::MAX),
            executable: file.executable,
        });
        let previous = before.and_then(|before| {
            if before.digest == release.digest {
                before.previous.clone()
            } else {
                Some(PreviousVersion {
                    version: before.version.clone(),
                    digest: before.digest,
                })
            }
        });
        Self {
            format: FORMAT,
            registry: release.registry.clone(),
            skill: release.skill.to_string(),
            version: release.version.to_string(),
            digest: release.digest,
            installed_at: installed_at.to_owned(),
            pinned: before.is_some_and(|before| before.pinned),
            previous,
            signature: release.signature.clone(),
            receipt: None,
            install_id: install_id.to_owned(),
            files: files.collect(),
        }
    }

    /// Reads and checks the bytes of a marker file.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_MARKER_BYTES) {
            return Err(format!("it has more than {MAX_MARKER_BYTES} bytes"));
        }
        let format: RawFormat = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if format.format != FORMAT {
            return Err(format!(
                "it has the format {}, and this program knows format {FORMAT}: update skillkeep",
                format.format
            ));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        raw.checked()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // No map has keys that are no texts, so nothing can fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    pub(crate) fn is_same_skill(&self, other: &Self) -> bool {
        self.registry == other.registry && self.skill == other.skill
    }

    pub(crate) fn by_path(&self) -> BTreeMap<&str, &MarkerFile> {
        self.files.iter().map(|file| (&*file.path, file)).collect()
    }

    /// The folders of the files, also the outer ones.
    pub(crate) fn folders(&self) -> BTreeSet<&str> {
        self.files
            .iter()
            .flat_map(|file| {
                file.path
                    .match_indices('/')
                    .filter_map(|(at, _)| file.path.get(..at))
            })
            .collect()
    }
}

impl Raw {
    fn checked(self) -> Result<Marker, String> {
        let digest = parse_digest(&self.digest)?;
        self.skill.parse::<Slug>().map_err(|error| error.to_string())?;
        self.version
            .parse::<SkillVersion>()
            .map_err(|error| error.to_string())?;
        check_registry(&self.registry).map_err(|problem| problem.to_string())?;
        if let Some(signature) = &self.signature {
            check_signature(signature).map_err(|problem| problem.to_string())?;
        }
        let words = [
            Some(&self.installed_at),
            Some(&self.install_id),
            self.receipt.as_ref(),
        ];
        for text in words.into_iter().flatten() {
            if !is_word(text) {
                return Err("its time or id is no short word".to_owned());
            }
        }
        if self.files.len() > MAX_FILES {
            return Err(format!("it names more than {MAX_FILES} files"));
        }
        let (mut paths, mut files) = (Vec::new(), Vec::new());
        for file in self.files {
            let path = SkillPath::parse(&file.path).map_err(|error| error.to_string())?;
            if path.as_str().split('/').any(is_own_name) {
                return Err(format!("it names {path} as a file of the skill"));
            }
            paths.push(path);
            files.push(MarkerFile {
                digest: parse_digest(&file.digest)?,
                path: file.path,
                size: file.size,
                executable: file.executable,
            });
        }
        check_collisions(&paths).map_err(|collision| collision.to_string())?;
        let entries = paths.iter().zip(&files).map(|(path, file)| ManifestEntry {
            path,
            digest: file.digest,
            size_bytes: file.size,
            is_executable: file.executable,
        });
        if manifest_digest(entries) != digest {
            return Err("its files do not have the digest that it states".to_owned());
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let previous = self.previous.map(RawPrevious::checked).transpose()?;
        Ok(Marker {
            format: FORMAT,
            registry: self.registry,
            skill: self.skill,
            version: self.version,
            digest,
            installed_at: self.installed_at,
            pinned: self.pinned,
            previous,
            signature: self.signature,
            receipt: self.receipt,
            install_id: self.install_id,
            files,
        })
    }
}

impl RawPrevious {
    fn checked(self) -> Result<PreviousVersion, String> {
        self.version
            .parse::<SkillVersion>()
            .map_err(|error| error.to_string())?;
        Ok(PreviousVersion {
            digest: parse_digest(&self.digest)?,
            version: self.version,
        })
    }
}

/// Whether a text can be a time or id in a marker.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_WORD_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    text.parse()
        .map_err(|error: agent_skills::IdError| error.to_string())
}
