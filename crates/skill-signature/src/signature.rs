//! Signatures of statements.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

use crate::error::SignatureError;
use crate::key::SigningKey;
use crate::public_key::{KeyId, PublicKey};
use crate::statement::Statement;

/// An Ed25519 signature (RFC 8032), and the id of the key that made it.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    key_id: KeyId,
    bytes: [u8; Self::LEN],
}

impl Signature {
    /// Length of the signature in bytes.
    pub const LEN: usize = 64;

    /// Converts a key's id and the 64 bytes of a signature, for example from a database.
    ///
    /// # Errors
    /// [`SignatureError::Signature`] if `bytes` is not 64 bytes long.
    pub fn from_bytes(key_id: KeyId, bytes: &[u8]) -> Result<Self, SignatureError> {
        let bytes = bytes.try_into().map_err(|_| SignatureError::Signature)?;
        Ok(Self { key_id, bytes })
    }

    /// Parses the texts of a key's id and of a signature, as a registry states them.
    ///
    /// # Errors
    /// [`SignatureError::KeyId`] or [`SignatureError::Signature`].
    pub fn parse(key_id: &str, value: &str) -> Result<Self, SignatureError> {
        let bytes = BASE64.decode(value).map_err(|_| SignatureError::Signature)?;
        Self::from_bytes(key_id.parse()?, &bytes)
    }

    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.bytes
    }

    /// The signature without the key's id: 86 characters of Base64 for URLs.
    #[must_use]
    pub fn value(&self) -> String {
        BASE64.encode(self.bytes)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}, {})", self.key_id, self.value())
    }
}

/// Signs a statement. The same key and statement always produce the same signature.
#[must_use]
pub fn sign(key: &SigningKey, statement: &Statement<'_>) -> Signature {
    let mut bytes = [0_u8; Signature::LEN];
    // Both have 64 bytes; `zip` needs no proof of it.
    for (to, from) in bytes.iter_mut().zip(key.sign_bytes(&statement.to_bytes())) {
        *to = from;
    }
    Signature {
        key_id: key.public_key().key_id(),
        bytes,
    }
}

/// Verifies that the owner of a public key signed this statement.
///
/// # Errors
/// [`SignatureError::OtherKey`] if the signature names another key, [`SignatureError::Invalid`] if it was not made with
/// this key or not over this statement.
pub fn verify(
    key: &PublicKey,
    statement: &Statement<'_>,
    signature: &Signature,
) -> Result<(), SignatureError> {
    if signature.key_id != key.key_id() {
        return Err(SignatureError::OtherKey);
    }
    key.verify_bytes(&statement.to_bytes(), &signature.bytes)
}

#[cfg(test)]
mod tests {
    use agent_skills::{Digest, Slug};
    use proptest::prelude::*;

    use super::*;

    fn new_key() -> SigningKey {
        SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap()
    }

    const SLUG: &str = "[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,2}";
    const LABEL: &str = "[0-9a-z.+-]{1,64}";

    proptest! {
        #[test]
        fn every_changed_field_fails(
            skills in prop::array::uniform2(SLUG),
            versions in prop::array::uniform2(LABEL),
            contents in prop::array::uniform2(any::<[u8; 4]>()),
        ) {
            prop_assume!(skills[0] != skills[1] && versions[0] != versions[1] && contents[0] != contents[1]);
            let key = new_key();
            let slugs = skills.map(|skill| skill.parse::<Slug>().unwrap());
            let statement = Statement {
                skill: &slugs[0],
                version: &versions[0],
                digest: Digest::of(&contents[0]),
            };
            let signature = sign(&key, &statement);
            prop_assert_eq!(verify(&key.public_key(), &statement, &signature), Ok(()));
            for changed in [
                Statement { skill: &slugs[1], ..statement },
                Statement { version: &versions[1], ..statement },
                Statement { digest: Digest::of(&contents[1]), ..statement },
            ] {
                prop_assert_eq!(
                    verify(&key.public_key(), &changed, &signature),
                    Err(SignatureError::Invalid)
                );
            }
        }

    }

    proptest! {
        // Each case verifies about 1600 signatures.
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn every_changed_bit_fails(skill in SLUG, version in LABEL, content in any::<[u8; 4]>()) {
            let key = new_key();
            let slug = skill.parse().unwrap();
            let statement = Statement { skill: &slug, version: &version, digest: Digest::of(&content) };
            let signature = sign(&key, &statement);
            for bit in 0..Signature::LEN * 8 {
                let mut changed = signature.clone();
                changed.bytes[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(
                    verify(&key.public_key(), &statement, &changed),
                    Err(SignatureError::Invalid)
                );
            }
            for bit in 0..PublicKey::LEN * 8 {
                let mut bytes = *key.public_key().as_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let other = PublicKey::from_bytes(&bytes).unwrap();
                prop_assert!(verify(&other, &statement, &signature).is_err());
                // Also where a forger states the id of that key.
                let forged = Signature { key_id: other.key_id(), ..signature.clone() };
                prop_assert!(verify(&other, &statement, &forged).is_err());
            }
            let bytes = statement.to_bytes();
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(key.public_key().verify_bytes(&changed, &signature.bytes).is_err());
            }
        }

        #[test]
        fn only_the_text_of_a_signature_is_parsed_as_one(text in "[A-Za-z0-9_=+/-]{84,88}") {
            if let Ok(signature) = Signature::parse("0123456789abcdef", &text) {
                prop_assert_eq!(signature.value(), text);
            }
        }
    }

    #[test]
    fn signature_of_another_key_is_told_apart() {
        let slug = "pdf".parse().unwrap();
        let statement = Statement {
            skill: &slug,
            version: "1",
            digest: Digest::of(b""),
        };
        let key = new_key();
        let other = sign(&new_key(), &statement);
        assert_eq!(
            verify(&key.public_key(), &statement, &other),
            Err(SignatureError::OtherKey)
        );
        let renamed = Signature {
            key_id: key.public_key().key_id(),
            ..other
        };
        assert_eq!(
            verify(&key.public_key(), &statement, &renamed),
            Err(SignatureError::Invalid)
        );
    }

    #[test]
    fn signature_for_another_purpose_is_refused() {
        let slug = "pdf".parse().unwrap();
        let statement = Statement {
            skill: &slug,
            version: "1",
            digest: Digest::of(b""),
        };
        let key = new_key();
        let body = &statement.to_bytes()["skillkeep signature 1\n".len()..];
        let bytes = key.sign_bytes(&[b"another purpose\n", body].concat());
        let signature = Signature::from_bytes(key.public_key().key_id(), &bytes).unwrap();
        assert_eq!(
            verify(&key.public_key(), &statement, &signature),
            Err(SignatureError::Invalid)
        );
    }
}
