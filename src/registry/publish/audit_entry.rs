//! The audit entry of a publication.

use serde_json::json;

use super::{NewVersion, Placement, StoredVersion};
use crate::db::{DbError, TenantTx};
use crate::ids::Digest;
use crate::registry::audit::{self, Entry};
use crate::registry::signing::Signer;

/// `before` is the latest version until now. Entry: `skill.publish` or `skill.fork`.
pub(super) async fn write(
    tx: &TenantTx,
    new: &NewVersion<'_>,
    stored: &StoredVersion,
    before: Option<(String, Digest)>,
    signer: Option<&Signer>,
) -> Result<(), DbError> {
    let mut after = json!({
        "version": stored.version,
        "digest": stored.digest,
        "state": stored.state.as_str(),
    });
    if let Some(after) = after.as_object_mut() {
        if let Placement::Source(source) = new.placement {
            after.insert("source".to_owned(), json!(source.path));
        }
        if stored.quarantined {
            after.insert("quarantined".to_owned(), json!(true));
        }
        if let Some(signer) = signer {
            after.insert("signed_by".to_owned(), json!(signer.key_id().to_string()));
        }
        if let Some(origin) = &new.origin {
            after.insert(
                "origin".to_owned(),
                json!({"version": origin.version, "digest": origin.digest}),
            );
        }
    }
    let details = json!({
        "before": before.map(|(version, digest)| json!({"version": version, "digest": digest})),
        "after": after,
    });
    let entry = Entry {
        actor: &new.caller.actor,
        action: if new.origin.is_some() {
            "skill.fork"
        } else {
            "skill.publish"
        },
        subject: &stored.slug,
        details,
        source: new.caller.source,
    };
    audit::write(tx, &entry).await
}
