//! Public keys and their ids.

use std::fmt;
use std::str::FromStr;

use agent_skills::Digest;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::error::SignatureError;

const PREFIX: &str = "skpub_";

/// An Ed25519 public key, written as `skpub_` and 43 characters of Base64 for URLs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; Self::LEN]);

impl PublicKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    pub(crate) const fn from_array(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Converts the 32 bytes of a key, for example from a database. Whether they are a point of the curve shows when a
    /// signature is verified: with others, none is valid.
    ///
    /// # Errors
    /// [`SignatureError::PublicKey`] if `bytes` is not 32 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        bytes.try_into().map(Self).map_err(|_| SignatureError::PublicKey)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    #[must_use]
    pub fn key_id(&self) -> KeyId {
        let mut id = [0_u8; KeyId::LEN];
        for (to, from) in id.iter_mut().zip(Digest::of(&self.0).as_bytes()) {
            *to = *from;
        }
        KeyId(id)
    }

    /// Verifies what [`crate::SigningKey::sign_bytes`] made.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify_bytes(&self, bytes: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(bytes, signature)
            .map_err(|_| SignatureError::Invalid)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let body = text.strip_prefix(PREFIX).ok_or(SignatureError::PublicKey)?;
        let bytes = BASE64.decode(body).map_err(|_| SignatureError::PublicKey)?;
        Self::from_bytes(&bytes)
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of a public key. Finds a key, and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; Self::LEN]);

impl KeyId {
    /// Length in bytes; the text has two digits for each.
    const LEN: usize = 8;
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let is_lowercase_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 2 * Self::LEN || !text.bytes().all(is_lowercase_hex) {
            return Err(SignatureError::KeyId);
        }
        u64::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| SignatureError::KeyId)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn public_key_and_id_round_trip_through_text(bytes in any::<[u8; 32]>()) {
            let key = PublicKey::from_bytes(&bytes).unwrap();
            prop_assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
            prop_assert_eq!(key.to_string().len(), 49);
            prop_assert_eq!(key.key_id().to_string().parse::<KeyId>().unwrap(), key.key_id());
            let digest = Digest::of(&bytes).to_string();
            prop_assert_eq!(key.key_id().to_string(), &digest["sha256:".len()..][..16]);
        }

        #[test]
        fn only_the_text_of_a_key_is_parsed_as_one(text in "(skpub_)?[A-Za-z0-9_=+/-]{40,46}") {
            if let Ok(key) = text.parse::<PublicKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn only_the_text_of_an_id_is_parsed_as_one(text in "\\+?[0-9a-fA-F]{14,17}") {
            if let Ok(id) = text.parse::<KeyId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
