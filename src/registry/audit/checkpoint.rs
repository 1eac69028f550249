//! Checkpoints: signed statements of a log's length and last hash, which an auditor keeps outside of the database.
//!
//! The hash chain alone reveals changes in its middle. The owner of the database could truncate the log or rebuild all of it,
//! but then it no longer matches a checkpoint that was signed and taken away before.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use skill_signature::PublicKey;

use super::Chain;
use crate::ids::{Digest, TenantId};

/// First line of the signed message, so that the signature is valid for no other purpose.
const FORMAT: &str = "skillkeep-audit-checkpoint/1";

/// Why a signing key or a checkpoint is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("the file is not a signing key; create one with `skillkeep audit keygen`")]
    NoKey,
    #[error("cannot create a signing key: the operating system provides no random numbers")]
    NoRandomness,
    #[error("the checkpoint does not have the format {FORMAT}")]
    Format,
    #[error("the checkpoint was not signed with this key, or was changed afterwards")]
    Signature,
}

/// An Ed25519 key (RFC 8032) that signs checkpoints. `Debug` hides it.
#[derive(Debug)]
pub struct SigningKey(skill_signature::SigningKey);

impl SigningKey {
    /// Generates a key, as the text of a PKCS #8 PEM file (RFC 8410).
    ///
    /// # Errors
    /// [`CheckpointError::NoRandomness`].
    pub fn generate() -> Result<String, CheckpointError> {
        skill_signature::SigningKey::generate().map_err(|_| CheckpointError::NoRandomness)
    }

    /// Parses the text of a PKCS #8 PEM file.
    ///
    /// # Errors
    /// [`CheckpointError::NoKey`] if the text is not an Ed25519 key.
    pub fn from_pem(text: &str) -> Result<Self, CheckpointError> {
        skill_signature::SigningKey::from_pem(text)
            .map(Self)
            .map_err(|_| CheckpointError::NoKey)
    }

    /// The 32 bytes of the public key, in Base64. The auditor verifies checkpoints with it.
    #[must_use]
    pub fn public_key(&self) -> String {
        BASE64.encode(self.0.public_key().as_bytes())
    }
}

/// The signed length and last hash of a tenant's log, with the digest of the export that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCheckpoint {
    pub format: String,
    pub tenant_id: TenantId,
    /// Number of entries in the log.
    pub entries: i64,
    /// Hash of the last entry, in hexadecimal.
    pub last_hash: String,
    pub signed_at: Timestamp,
    /// Digest of the exported file.
    pub file_digest: String,
    /// The signer's public key, in Base64. Not proof of anything: a forger would put their own key here.
    pub public_key: String,
    /// In Base64.
    pub signature: String,
}

impl SignedCheckpoint {
    /// Signs the state of a chain whose entries were exported to a file with this digest.
    #[must_use]
    pub fn sign(tenant: TenantId, chain: &Chain, file: Digest, key: &SigningKey) -> Self {
        let mut checkpoint = Self {
            format: FORMAT.to_owned(),
            tenant_id: tenant,
            entries: chain.entries(),
            last_hash: chain.last_hash(),
            signed_at: Timestamp::now(),
            file_digest: file.to_string(),
            public_key: key.public_key(),
            signature: String::new(),
        };
        checkpoint.signature = BASE64.encode(key.0.sign_bytes(&checkpoint.message()));
        checkpoint
    }

    /// Verifies the signature with the public key that the auditor holds.
    ///
    /// # Errors
    /// [`CheckpointError::Format`] or [`CheckpointError::Signature`].
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
        PublicKey::from_bytes(&key)
            .and_then(|key| key.verify_bytes(&self.message(), &signature))
            .map_err(|_| CheckpointError::Signature)
    }

    /// The signed text. No field can contain a line feed, so different checkpoints have different messages.
    fn message(&self) -> Vec<u8> {
        format!(
            "{FORMAT}\n{}\n{}\n{}\n{}\n{}\n",
            self.tenant_id, self.entries, self.last_hash, self.signed_at, self.file_digest
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
        let checkpoint = SignedCheckpoint::sign(tenant, &Chain::new(tenant), Digest::of(b"file"), &key);
        (checkpoint, key)
    }

    #[test]
    fn checkpoint_verifies_with_its_own_key_only() {
        let (checkpoint, key) = signed();
        assert_eq!(checkpoint.check(&key.public_key()), Ok(()));
        let (_, other) = signed();
        assert_eq!(
            checkpoint.check(&other.public_key()),
            Err(CheckpointError::Signature)
        );
        assert_eq!(checkpoint.check("rubbish"), Err(CheckpointError::Signature));
        let text = serde_json::to_string(&checkpoint).unwrap();
        assert_eq!(
            serde_json::from_str::<SignedCheckpoint>(&text).unwrap(),
            checkpoint
        );
    }

    #[test]
    fn changed_checkpoint_fails_verification() {
        let (checkpoint, key) = signed();
        let changes: [fn(&mut SignedCheckpoint); 5] = [
            |checkpoint| checkpoint.tenant_id = TenantId::new(),
            |checkpoint| checkpoint.entries += 1,
            |checkpoint| checkpoint.last_hash = "1".repeat(64),
            |checkpoint| checkpoint.signed_at = Timestamp::UNIX_EPOCH,
            |checkpoint| checkpoint.file_digest = Digest::of(b"other").to_string(),
        ];
        for change in changes {
            let mut changed = checkpoint.clone();
            change(&mut changed);
            assert_eq!(changed.check(&key.public_key()), Err(CheckpointError::Signature));
        }
    }

    #[test]
    fn malformed_key_is_rejected_and_debug_hides_the_key() {
        for text in [
            "",
            "secret",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert_eq!(SigningKey::from_pem(text).unwrap_err(), CheckpointError::NoKey);
        }
        assert_eq!(format!("{:?}", signed().1), "SigningKey(SigningKey(hidden))");
    }
}
