//! Signatures and public keys, as answers state them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::registry::signing::TenantKey;

// The signature of a version.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SignatureOutput {
    key_id: String,
    // Ed25519, in Base64 for URLs.
    value: String,
}

impl From<skill_signature::Signature> for SignatureOutput {
    fn from(signature: skill_signature::Signature) -> Self {
        Self {
            key_id: signature.key_id().to_string(),
            value: signature.value(),
        }
    }
}

// A public key of the tenant.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeyOutput {
    key_id: String,
    public_key: String,
    // Signs nothing more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retired: bool,
}

impl From<TenantKey> for KeyOutput {
    fn from(key: TenantKey) -> Self {
        Self {
            key_id: key.public_key.key_id().to_string(),
            public_key: key.public_key.to_string(),
            retired: key.is_retired,
        }
    }
}
