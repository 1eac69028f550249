//! What is signed.

use agent_skills::{Digest, Slug};

/// First bytes of every signed statement, so that the signature is valid for no other purpose.
const FORMAT: &[u8] = b"skillkeep signature 1\n";

/// A version of a skill: its name, its label, and the digest of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    pub skill: &'a Slug,
    /// The label, as the registry states it. `1.0` and `1.0.0` are different labels.
    pub version: &'a str,
    /// Digest of the version's manifest ([`agent_skills::manifest_digest`]).
    pub digest: Digest,
}

impl Statement<'_> {
    /// The bytes that are signed. The crate's documentation describes them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = FORMAT.to_vec();
        for text in [self.skill.as_str(), self.version] {
            let len = u64::try_from(text.len()).unwrap_or(u64::MAX);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_as_documented() {
        let slug = "pdf".parse().unwrap();
        let digest = Digest::of(b"");
        let statement = Statement {
            skill: &slug,
            version: "1.4",
            digest,
        };
        let mut expected = b"skillkeep signature 1\n\0\0\0\0\0\0\0\x03pdf\0\0\0\0\0\0\0\x031.4".to_vec();
        expected.extend_from_slice(digest.as_bytes());
        assert_eq!(statement.to_bytes(), expected);
    }

    proptest! {
        #[test]
        fn different_statements_have_different_bytes(
            skills in prop::array::uniform2("[a-z1]{1,3}"),
            versions in prop::array::uniform2("[a-z1\0\x01\x02]{0,3}"),
            contents in prop::array::uniform2(0_u8..2),
        ) {
            let slugs = skills.map(|skill| skill.parse::<Slug>().unwrap());
            let statement = |at: usize| Statement {
                skill: &slugs[at],
                version: &versions[at],
                digest: Digest::of(&[contents[at]]),
            };
            prop_assert_eq!(
                statement(0).to_bytes() == statement(1).to_bytes(),
                statement(0) == statement(1)
            );
        }
    }
}
