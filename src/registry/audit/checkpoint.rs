//! Signed heads: what an auditor keeps beside an export, to see later that nothing was cut off or written anew.
//!
//! A chain of hashes alone shows changes in its middle. Whoever owns the database could cut its end or make all of it anew; he
//! cannot make it fit a head that was signed and taken away before.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::Chain;
use crate::ids::{Digest, TenantId};

/// Stands before what is signed, so that the signature is good for nothing else.
const FORMAT: &str = "skillkeep-audit-head/1";
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why a key or a head is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The file holds no key.
    #[error("this is no signing key; make one with `skillkeep audit keygen`")]
    NoKey,
    /// The system gave no randomness.
    #[error("no key could be made: the system gives no random numbers")]
    NoRandomness,
    /// The head is of another format.
    #[error("this head is not of the format {FORMAT}")]
    Format,
    /// The signature does not fit.
    #[error("the head was not signed with this key, or was changed since")]
    Signature,
}

/// An Ed25519 key (RFC 8032) for signing heads. Its `Debug` hides it.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(hidden)")
    }
}

impl SigningKey {
    /// A new key, as the text of a PKCS #8 file (RFC 8410).
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<String, CheckpointError> {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| CheckpointError::NoRandomness)?;
        Ok(format!(
            "{PEM_BEGIN}\n{}\n{PEM_END}\n",
            BASE64.encode(key.as_ref())
        ))
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// When it holds no Ed25519 key.
    pub fn from_pem(text: &str) -> Result<Self, CheckpointError> {
        let body = text
            .trim()
            .strip_prefix(PEM_BEGIN)
            .and_then(|rest| rest.strip_suffix(PEM_END))
            .ok_or(CheckpointError::NoKey)?;
        let body: String = body.split_whitespace().collect();
        let bytes = BASE64.decode(body).map_err(|_| CheckpointError::NoKey)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes)
            .map(Self)
            .map_err(|_| CheckpointError::NoKey)
    }

    /// What the auditor needs, in Base64: 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> String {
        BASE64.encode(self.0.public_key().as_ref())
    }
}

/// The head of a tenant's log at some moment, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCheckpoint {
    /// Tells this format from others.
    pub format: String,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Entries in the log.
    pub entries: i64,
    /// The hash of the last one, in hexadecimal.
    pub head: String,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// The digest of the exported file.
    pub file_digest: String,
    /// The key that it was signed with, in Base64.
    pub public_key: String,
    /// The signature, in Base64.
    pub signature: String,
}

impl SignedCheckpoint {
    /// Signs the head of a chain whose entries were exported into a file with this digest.
    #[must_use]
    pub fn sign(tenant: TenantId, chain: &Chain, file: Digest, key: &SigningKey) -> Self {
        let mut head = Self {
            format: FORMAT.to_owned(),
            tenant_id: tenant,
            entries: chain.entries(),
            head: chain.head(),
            signed_at: Timestamp::now(),
            file_digest: file.to_string(),
            public_key: key.public_key(),
            signature: String::new(),
        };
        head.signature = BASE64.encode(key.0.sign(&head.message()).as_ref());
        head
    }

    /// Checks the signature, by the key that the auditor holds.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn check(&self, public_key: &str) -> Result<(), CheckpointError> {
        if self.format != FORMAT {
            return Err(CheckpointError::Format);
        }
        let key = BASE64
            .decode(public_key.trim())
            .map_err(|_| CheckpointError::Signature)?;
        let signature = BASE64
            .decode(&self.signature)
            .map_err(|_| CheckpointError::Signature)?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&self.message(), &signature)
            .map_err(|_| CheckpointError::Signature)
    }

    /// None of the fields can hold a line feed, so no two heads read alike.
    fn message(&self) -> Vec<u8> {
        format!(
            "{FORMAT}\n{}\n{}\n{}\n{}\n{}\n",
            self.tenant_id, self.entries, self.head, self.signed_at, self.file_digest
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (SignedCheckpoint, SigningKey) {
        let key = SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap();
        let tenant = TenantId::new();
        let head = SignedCheckpoint::sign(tenant, &Chain::new(tenant), Digest::of(b"file"), &key);
        (head, key)
    }

    #[test]
    fn a_head_is_good_by_its_own_key_and_by_no_other() {
        let (head, key) = signed();
        assert_eq!(head.check(&key.public_key()), Ok(()));
        let (_, other) = signed();
        assert_eq!(head.check(&other.public_key()), Err(CheckpointError::Signature));
        assert_eq!(head.check("rubbish"), Err(CheckpointError::Signature));
        let text = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<SignedCheckpoint>(&text).unwrap(), head);
    }

    #[test]
    fn a_head_that_was_changed_is_good_no_more() {
        let (head, key) = signed();
        let changes: [fn(&mut SignedCheckpoint); 5] = [
            |head| head.tenant_id = TenantId::new(),
            |head| head.entries += 1,
            |head| head.head = "1".repeat(64),
            |head| head.signed_at = Timestamp::UNIX_EPOCH,
            |head| head.file_digest = Digest::of(b"other").to_string(),
        ];
        for change in changes {
            let mut changed = head.clone();
            change(&mut changed);
            assert_eq!(changed.check(&key.public_key()), Err(CheckpointError::Signature));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_a_key_is_not_shown() {
        for text in [
            "",
            "secret",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert_eq!(SigningKey::from_pem(text).unwrap_err(), CheckpointError::NoKey);
        }
        assert_eq!(format!("{:?}", signed().1), "SigningKey(hidden)");
    }
}
