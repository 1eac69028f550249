//! The temporary tenants and the names of their skills.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ids::{Digest, EventId, TenantId};
use crate::tenancy::ApiKey;

/// The slug of a skill that all three tenants have.
pub(super) const SHARED_SKILL: &str = "shared";
/// The slug of a skill that each tenant publishes, withdraws and renames through its own tools.
pub(super) const CHANGING_SKILL: &str = "changing";
/// The slug of a skill that only the victim has.
pub(super) const VICTIM_SKILL: &str = "only-victim";
/// A slug of the same length that no tenant has.
pub(super) const MISSING_SKILL: &str = "only-nobody";

/// Minutes saved in the victim's reports. Larger than any other count, so that a sum which includes it is recognised.
pub(super) const VICTIM_MINUTES: i32 = 77_777;

pub struct TestTenant {
    pub tenant: TenantId,
    pub slug: String,
    /// An API key with every scope.
    pub key: ApiKey,
    /// The ID of an install of the shared skill.
    pub install: String,
    /// The digest of the shared skill's `SKILL.md`.
    pub digest: String,
    /// How many names for new skills this tenant has used.
    pub names: AtomicUsize,
}

impl TestTenant {
    /// A name that no skill of the tenant has. Two tenants that do the same get the same names.
    pub(super) fn next_name(&self) -> String {
        format!("copy-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }
}

/// An identifier of the victim, and one of the same kind that does not exist.
#[derive(Debug, Clone)]
pub struct Identifier {
    /// For reports, such as "a skill's slug".
    pub kind: &'static str,
    pub existing: String,
    pub missing: String,
}

/// Returns twelve random letters, which no other text contains.
pub(super) fn random_word() -> String {
    let digest = Digest::of(EventId::new().to_string().as_bytes());
    let letters = digest
        .as_bytes()
        .iter()
        .take(12)
        .map(|byte| char::from(b'a' + byte % 26));
    letters.collect()
}
