//! The signature of a new version.

use super::{NewVersion, PublishError, StoredVersion};
use crate::db::{DbError, TenantTx};
use crate::registry::lifecycle::VersionState;
use crate::registry::signing::{self, Signer};

/// A version is signed when it is published.
pub(super) async fn signer(
    tx: &TenantTx,
    new: &NewVersion<'_>,
    state: VersionState,
) -> Result<Option<Signer>, PublishError> {
    if state == VersionState::Published {
        Ok(Signer::of_tenant(tx, new.caller).await?)
    } else {
        Ok(None)
    }
}

pub(super) async fn store(
    tx: &TenantTx,
    signer: Option<&Signer>,
    stored: &StoredVersion,
) -> Result<(), DbError> {
    let Some(signer) = signer else {
        return Ok(());
    };
    let slug = signing::stored_slug(&stored.slug)?;
    signer
        .sign_version(tx, stored.version_id, &slug, &stored.version, stored.digest)
        .await
}
