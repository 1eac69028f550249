//! How the files on a caller's disk differ from a version.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::answer_size::json_chars;
use crate::registry::versions::FileEntry;

/// Paths that differ.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct FileDifferences {
    // Not on disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) missing: Vec<String>,
    // Other bytes on disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) changed: Vec<String>,
    // On disk, but not in the version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unexpected: Vec<String>,
    // Paths that differ too, but are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) not_listed: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl FileDifferences {
    /// Compares a manifest with paths and digests on disk.
    pub(super) fn new(manifest: &[FileEntry], on_disk: &BTreeMap<&str, &str>) -> Self {
        let mut differences = Self::default();
        for entry in manifest {
            match on_disk.get(entry.path.as_str()) {
                None => differences.missing.push(entry.path.clone()),
                Some(digest) if *digest != entry.digest.to_string() => {
                    differences.changed.push(entry.path.clone());
                }
                Some(_) => {}
            }
        }
        differences.unexpected = on_disk
            .keys()
            .filter(|path| !manifest.iter().any(|entry| entry.path == **path))
            .map(|path| (*path).to_owned())
            .collect();
        differences
    }

    /// The same, with paths of at most this many characters of JSON together.
    pub(super) fn shortened(mut self, max_chars: usize) -> Self {
        let mut left = max_chars;
        for list in [&mut self.missing, &mut self.changed, &mut self.unexpected] {
            let before = list.len();
            list.retain(|path| {
                let needed = json_chars(path) + 2;
                left = left.saturating_sub(needed);
                left > 0
            });
            self.not_listed += before - list.len();
        }
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty() && self.unexpected.is_empty()
    }

    /// Whether the caller seems to have sent paths from another folder than the skill's.
    pub(super) fn is_of_other_folder(&self) -> bool {
        let is_below = |path: &String| {
            let mut missing = self.missing.iter();
            missing.any(|missing| path.ends_with(&format!("/{missing}")))
        };
        !self.unexpected.is_empty() && self.unexpected.iter().all(is_below)
    }
}
