//! Add and retire the public keys of a tenant, and sign versions that have no signature.

use agent_skills::{ManifestEntry, SkillPath, manifest_digest};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use skill_signature::{KeyId, PublicKey};
use uuid::Uuid;

use super::record;
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, VersionId};
use crate::registry::audit::Actor;
use crate::registry::caller::Caller;
use crate::registry::revision::next_revision;
use crate::registry::signing::{self, Signer, SigningError};
use crate::registry::skills::digest;
use crate::registry::versions::{self, FileContents};
use crate::sql;

/// The number of versions that one transaction signs.
const BATCH: i64 = 50;

/// Why a key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    #[error("the tenant has the key {0} already; `skillkeep signing-key list` shows its keys")]
    Exists(KeyId),
    #[error("the tenant has no active key {0}; `skillkeep signing-key list` shows its keys")]
    NotActive(KeyId),
    #[error("the tenant has no active key; create one with `skillkeep signing-key create`")]
    NoKey,
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A public key, as `skillkeep signing-key list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ListedKey {
    pub key_id: String,
    pub public_key: String,
    /// The administrator's account on the operating system.
    pub created_by: String,
    pub created_at: Timestamp,
    pub retired_at: Option<Timestamp>,
    /// Number of versions with a signature of this key.
    pub versions: i64,
}

/// The public keys of the transaction's tenant, newest first.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn list(tx: &TenantTx) -> Result<Vec<ListedKey>, DbError> {
    let rows = tx
        .query(sql!("signing_keys/list.sql"), &[tx.tenant().as_uuid()])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ListedKey {
                key_id: row.try_get("id")?,
                public_key: signing::public_key(row)?.to_string(),
                created_by: row.try_get("created_by")?,
                created_at: row.try_get("created_at")?,
                retired_at: row.try_get("retired_at")?,
                versions: row.try_get("versions")?,
            })
        })
        .collect()
}

/// Adds a public key. From the commit on it signs every new version. Entry: `signing_key.create`.
///
/// # Errors
/// [`SigningKeyError::Exists`], also if the key was retired.
pub async fn create(tx: &TenantTx, actor: &Actor, key: &PublicKey) -> Result<(), SigningKeyError> {
    // Waits for publications that began with the key before.
    next_revision(tx).await?;
    let (id, bytes, name) = (key.key_id(), key.as_bytes().as_slice(), actor.name());
    let added = tx
        .execute(
            sql!("signing_keys/insert.sql"),
            &[tx.tenant().as_uuid(), &id.to_string(), &bytes, &name],
        )
        .await?;
    if added == 0 {
        return Err(SigningKeyError::Exists(id));
    }
    let details = json!({"after": {"public_key": key.to_string()}});
    record(tx, actor, "signing_key.create", &id.to_string(), details).await?;
    Ok(())
}

/// Retires a key: it signs nothing more, and what it signed stays valid. Entry: `signing_key.retire`.
///
/// # Errors
/// [`SigningKeyError::NotActive`].
pub async fn retire(tx: &TenantTx, actor: &Actor, id: KeyId) -> Result<(), SigningKeyError> {
    next_revision(tx).await?;
    let retired = tx
        .execute(
            sql!("signing_keys/retire.sql"),
            &[tx.tenant().as_uuid(), &id.to_string()],
        )
        .await?;
    if retired == 0 {
        return Err(SigningKeyError::NotActive(id));
    }
    let details = json!({"before": {"state": "active"}, "after": {"state": "retired"}});
    record(tx, actor, "signing_key.retire", &id.to_string(), details).await?;
    Ok(())
}

/// What [`sign_missing`] did.
#[derive(Debug, Default)]
pub struct SignedBatch {
    pub signed: usize,
    /// Versions whose stored files do not match their digest, as `slug version`. They were not signed.
    pub damaged: Vec<String>,
    /// The last version that was examined; `None` if there was none left.
    pub last: Option<VersionId>,
}

/// Signs the next 50 published versions after `after` that have no signature; with `also_retired`, also those that only
/// retired keys signed. The files of each are read, and compared with the digest that is signed. Entry: `signing_key.sign`,
/// if a version was signed.
///
/// # Errors
/// [`SigningKeyError::NoKey`] or [`SigningKeyError::Signing`]; the transaction must then be rolled back.
pub async fn sign_missing(
    tx: &TenantTx,
    caller: &Caller,
    also_retired: bool,
    after: Option<VersionId>,
) -> Result<SignedBatch, SigningKeyError> {
    next_revision(tx).await?;
    let signer = Signer::of_tenant(tx, caller)
        .await?
        .ok_or(SigningKeyError::NoKey)?;
    let after = after.map_or_else(Uuid::nil, |id| *id.as_uuid());
    let rows = tx
        .query(
            sql!("signatures/unsigned.sql"),
            &[tx.tenant().as_uuid(), &also_retired, &BATCH, &after],
        )
        .await?;
    let mut batch = SignedBatch::default();
    let mut signed = Vec::new();
    for row in &rows {
        let id = signing::version_id(row, "id")?;
        let (slug, label) = (signing::text(row, "slug")?, signing::text(row, "version")?);
        let digest = digest(row, "digest")?;
        batch.last = Some(id);
        if !has_digest(tx, id, digest).await? {
            batch.damaged.push(format!("{slug} {label}"));
            continue;
        }
        signer
            .sign_version(tx, id, &signing::stored_slug(&slug)?, &label, digest)
            .await?;
        signed.push(json!({"skill": slug, "version": label, "digest": digest}));
    }
    batch.signed = signed.len();
    if !signed.is_empty() {
        let details = json!({"after": {"versions": signed}});
        let key = signer.key_id().to_string();
        record(tx, &caller.actor, "signing_key.sign", &key, details).await?;
    }
    Ok(batch)
}

/// Whether the stored files of a version have this digest.
async fn has_digest(tx: &TenantTx, version: VersionId, expected: Digest) -> Result<bool, DbError> {
    let files = match versions::contents(tx, version).await {
        Ok(files) => files,
        Err(DbError::Corrupt(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(digest_of(&files) == Some(expected))
}

fn digest_of(files: &[FileContents]) -> Option<Digest> {
    let paths: Vec<SkillPath> = files
        .iter()
        .map(|file| SkillPath::parse(&file.entry.path).ok())
        .collect::<Option<_>>()?;
    let entries = files.iter().zip(&paths).map(|(file, path)| ManifestEntry {
        path,
        digest: file.entry.digest,
        size_bytes: u64::try_from(file.bytes.len()).unwrap_or(u64::MAX),
        is_executable: file.entry.executable,
    });
    Some(manifest_digest(entries))
}
