//! Private keys.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::error::SignatureError;
use crate::public_key::PublicKey;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// An Ed25519 private key (RFC 8032). `Debug` hides it.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(hidden)")
    }
}

impl SigningKey {
    /// Maximum length of a key's text in bytes. The text of an Ed25519 key has less than 200.
    pub const MAX_PEM_BYTES: usize = 4096;

    /// Generates a key, as the text of a PKCS #8 PEM file (RFC 8410).
    ///
    /// # Errors
    /// [`SignatureError::NoRandomness`].
    pub fn generate() -> Result<String, SignatureError> {
        let key =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| SignatureError::NoRandomness)?;
        Ok(format!(
            "{PEM_BEGIN}\n{}\n{PEM_END}\n",
            BASE64.encode(key.as_ref())
        ))
    }

    /// Parses the text of a PKCS #8 PEM file.
    ///
    /// # Errors
    /// [`SignatureError::PrivateKey`] if the text is longer than [`Self::MAX_PEM_BYTES`] or not an Ed25519 key.
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        if text.len() > Self::MAX_PEM_BYTES {
            return Err(SignatureError::PrivateKey);
        }
        let body = text
            .trim()
            .strip_prefix(PEM_BEGIN)
            .and_then(|rest| rest.strip_suffix(PEM_END))
            .ok_or(SignatureError::PrivateKey)?;
        let body: String = body.split_whitespace().collect();
        let bytes = BASE64.decode(body).map_err(|_| SignatureError::PrivateKey)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes)
            .map(Self)
            .map_err(|_| SignatureError::PrivateKey)
    }

    /// Parses a text with one PKCS #8 PEM block or several, as during the rotation of a key.
    ///
    /// # Errors
    /// [`SignatureError::PrivateKey`] if the text is longer than [`Self::MAX_PEM_BYTES`], has no block, or has anything but
    /// Ed25519 keys.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, SignatureError> {
        if text.len() > Self::MAX_PEM_BYTES {
            return Err(SignatureError::PrivateKey);
        }
        let keys: Vec<Self> = text
            .trim()
            .split_inclusive(PEM_END)
            .map(Self::from_pem)
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(SignatureError::PrivateKey);
        }
        Ok(keys)
    }

    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0_u8; PublicKey::LEN];
        // Both have 32 bytes; `zip` needs no proof of it.
        for (to, from) in bytes.iter_mut().zip(self.0.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey::from_array(bytes)
    }

    /// Signs bytes of any purpose. They must begin with a text that names the purpose, or the signature could be used for
    /// another one; [`crate::sign`] does so for versions of skills.
    #[must_use]
    pub fn sign_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the empty message of test 1 in section 7.1 of RFC 8032, as a PKCS #8 file of version 1.
    #[test]
    fn signature_equals_the_example_of_the_standard() {
        let text = format!(
            "{PEM_BEGIN}\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n{PEM_END}\n"
        );
        let key = SigningKey::from_pem(&text).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(key.public_key().as_bytes()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert_eq!(
            hex(&key.sign_bytes(b"")),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
             d25bf5f0595bbe24655141438e7a100b"
        );
    }

    #[test]
    fn text_with_several_keys_is_parsed_and_one_with_anything_else_is_not() {
        let (one, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let keys = SigningKey::all_from_pem(&format!("{one}\n{other}")).unwrap();
        let expected = [&one, &other].map(|text| SigningKey::from_pem(text).unwrap().public_key());
        let found: Vec<PublicKey> = keys.iter().map(SigningKey::public_key).collect();
        assert_eq!(found, expected);
        for text in [
            "".to_owned(),
            " \n".to_owned(),
            format!("{one}comment"),
            format!("{one}{PEM_BEGIN}"),
        ] {
            assert_eq!(
                SigningKey::all_from_pem(&text).unwrap_err(),
                SignatureError::PrivateKey
            );
        }
    }

    #[test]
    fn malformed_key_is_rejected_and_debug_hides_the_key() {
        let good = SigningKey::generate().unwrap();
        for text in [
            String::new(),
            "secret".to_owned(),
            format!("{PEM_BEGIN}\nAAAA\n{PEM_END}"),
            good.replace("PRIVATE", "PUBLIC"),
            format!("{good}{}", " ".repeat(SigningKey::MAX_PEM_BYTES)),
        ] {
            assert_eq!(
                SigningKey::from_pem(&text).unwrap_err(),
                SignatureError::PrivateKey
            );
        }
        let key = SigningKey::from_pem(&good).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(hidden)");
    }
}
