//! The digest of a version: one number that stands for all its files.

use crate::Digest;

use super::path::SkillPath;

/// What a version's digest covers of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestEntry<'a> {
    /// Where the file is.
    pub path: &'a SkillPath,
    /// What is in it.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Whether it may be run.
    pub is_executable: bool,
}

/// The digest of a version with these files, in whatever order they come.
///
/// It is the SHA-256 of, one after the other: the text `skillkeep manifest 1` and a line feed; the number of files;
/// and for each file, by the bytes of their paths, the length of the path in bytes, the path in UTF-8, the 32 bytes
/// of the file's SHA-256, its size in bytes, and one byte that is 1 where it may be run and 0 where not. Numbers
/// have 8 bytes, the largest first. The lengths keep two different sets of files from ever being the same bytes.
#[must_use]
pub fn manifest_digest<'a>(entries: impl IntoIterator<Item = ManifestEntry<'a>>) -> Digest {
    let mut entries: Vec<ManifestEntry<'a>> = entries.into_iter().collect();
    entries.sort();
    let mut bytes = b"skillkeep manifest 1\n".to_vec();
    bytes.extend_from_slice(&number(entries.len()));
    for entry in entries {
        let path = entry.path.as_str().as_bytes();
        bytes.extend_from_slice(&number(path.len()));
        bytes.extend_from_slice(path);
        bytes.extend_from_slice(entry.digest.as_bytes());
        bytes.extend_from_slice(&entry.size_bytes.to_be_bytes());
        bytes.push(u8::from(entry.is_executable));
    }
    Digest::of(&bytes)
}

fn number(count: usize) -> [u8; 8] {
    u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes()
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
    fn the_digest_is_that_of_the_documented_bytes() {
        let path = SkillPath::parse("SKILL.md").unwrap();
        let mut bytes = b"skillkeep manifest 1\n\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x08SKILL.md".to_vec();
        bytes.extend_from_slice(Digest::of(b"hello").as_bytes());
        bytes.extend_from_slice(b"\0\0\0\0\0\0\0\x05\x01");
        assert_eq!(manifest_digest([entry(&path, "hello", true)]), Digest::of(&bytes));
    }

    #[test]
    fn the_order_does_not_count_and_everything_else_does() {
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
