//! Errors of keys and signatures.

/// Why a key or a signature is not accepted. Contains nothing of the key or the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("this is not an Ed25519 private key: a PKCS #8 file in PEM is needed")]
    PrivateKey,
    #[error("cannot create a signing key: the operating system provides no random numbers")]
    NoRandomness,
    #[error("this is not a public key: `skpub_` and 43 letters, digits, hyphens and underscores are needed")]
    PublicKey,
    #[error("this is not the id of a key: 16 lowercase hexadecimal digits are needed")]
    KeyId,
    #[error("this is not a signature: 86 letters, digits, hyphens and underscores are needed")]
    Signature,
    #[error("the signature was made with another key")]
    OtherKey,
    #[error("the signature does not belong to this name, version and content, or was changed")]
    Invalid,
}
