//! Recall a version: withdraw it, and count whom that reaches.

use serde_json::json;

use super::record;
use crate::db::TenantTx;
use crate::registry::caller::Caller;
use crate::registry::installs::{self, Affected, AffectedAssistant};
use crate::registry::management::{self, ManageError, Yanked};

/// A version that was recalled, with the copies that the next check of each reaches.
#[derive(Debug, Clone)]
pub struct Recalled {
    pub slug: String,
    pub version: String,
    pub total: Affected,
    pub assistants: Vec<AffectedAssistant>,
}

/// Withdraws a version with a reason that every check of a copy states. Entries: `skill.yank`, and `skill.recall` with the
/// number of copies.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn recall(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    version: &str,
    reason: &str,
) -> Result<Recalled, ManageError> {
    let (skill, changed) = management::yank(tx, caller, slug, Yanked::One(version), reason).await?;
    let changed = changed
        .into_iter()
        .next()
        .ok_or_else(|| ManageError::UnknownVersion(version.to_owned()))?;
    let (total, assistants) = installs::affected(tx, changed.id).await?;
    let details = json!({"after": {"version": changed.version, "reason": reason, "affected": total}});
    record(tx, &caller.actor, "skill.recall", &skill.slug, details).await?;
    Ok(Recalled {
        slug: skill.slug,
        version: changed.version,
        total,
        assistants,
    })
}
