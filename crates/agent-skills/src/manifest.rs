//! The digest of a skill's version: one SHA-256 over all of its files.

use crate::digest::Digest;
use crate::path::SkillPath;

/// The properties of a file that the digest of a version covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestEntry<'a> {
    pub path: &'a SkillPath,
    /// Digest of the file's bytes.
    pub digest: Digest,
    pub size_bytes: u64,
    pub is_executable: bool,
}

/// Computes the digest of a version with these files. The order of `entries` does not matter.
///
/// The digest is the SHA-256 of the concatenation of
/// - the text `skillkeep manifest 1` and a line feed,
/// - the number of files,
/// - for each file, sorted by the bytes of the paths: the length of the path in bytes, the path in UTF-8, the 32 bytes
///   of the file's SHA-256, its size in bytes, and one byte, 1 if it is executable, else 0.
///
/// Numbers are 8 bytes, big-endian. Since every length is included, different sets of files never produce the same
/// bytes.
///
/// # Examples
/// ```
/// use agent_skills::{Digest, ManifestEntry, SkillPath, manifest_digest};
///
/// let path = SkillPath::skill_md();
/// let text = b"---\nname: pdf\n---\n";
/// let entry = ManifestEntry {
///     path: &path,
///     digest: Digest::of(text),
///     size_bytes: text.len() as u64,
///     is_executable: false,
/// };
/// let executable = ManifestEntry { is_executable: true, ..entry };
/// assert_ne!(manifest_digest([entry]), manifest_digest([executable]));
/// ```
#[must_use]
pub fn manifest_digest<'a>(entries: impl IntoIterator<Item = ManifestEntry<'a>>) -> Digest {
    let mut entries: Vec<ManifestEntry<'a>> = entries.into_iter().collect();
    entries.sort();
    let mut bytes = b"skillkeep manifest 1\n".to_vec();
    bytes.extend_from_slice(&encoded_len(entries.len()));
    for entry in entries {
        let path = entry.path.as_str().as_bytes();
        bytes.extend_from_slice(&encoded_len(path.len()));
        bytes.extend_from_slice(path);
        bytes.extend_from_slice(entry.digest.as_bytes());
        bytes.extend_from_slice(&entry.size_bytes.to_be_bytes());
        bytes.push(u8::from(entry.is_executable));
    }
    Digest::of(&bytes)
}

fn encoded_len(len: usize) -> [u8; 8] {
    u64::try_from(len).unwrap_or(u64::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(path: &'a SkillPath, text: &str, is_executable: bool) -> ManifestEntry<'a> {
        ManifestEntry {
            path,
            digest: Digest::of(text.as_bytes()),
            size_bytes: text.len() as u64,
            is_executable,
        }
    }

    #[test]
    fn digest_is_sha256_of_documented_bytes() {
        let path = SkillPath::parse("SKILL.md").unwrap();
        let mut bytes = b"skillkeep manifest 1\n\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x08SKILL.md".to_vec();
        bytes.extend_from_slice(Digest::of(b"hello").as_bytes());
        bytes.extend_from_slice(b"\0\0\0\0\0\0\0\x05\x01");
        assert_eq!(manifest_digest([entry(&path, "hello", true)]), Digest::of(&bytes));
    }

    #[test]
    fn digest_ignores_order_and_covers_everything_else() {
        let (a, b) = (SkillPath::parse("a").unwrap(), SkillPath::parse("b").unwrap());
        let digest = manifest_digest([entry(&a, "1", false), entry(&b, "2", false)]);
        assert_eq!(
            digest,
            manifest_digest([entry(&b, "2", false), entry(&a, "1", false)])
        );
        for other in [
            vec![entry(&a, "2", false), entry(&b, "1", false)],
            vec![entry(&a, "1", true), entry(&b, "2", false)],
            vec![entry(&a, "1", false)],
            vec![],
        ] {
            assert_ne!(digest, manifest_digest(other));
        }
    }
}
