//! Signatures of versions: the database holds public keys and signatures, the operator's files hold the private keys.
//!
//! A tenant with an active key signs every version when it is published. A process without the private key refuses to
//! publish, so no unsigned version appears among signed ones.

use std::sync::Arc;

use skill_signature::{KeyId, PublicKey, Signature, SigningKey, Statement};
use tokio_postgres::Row;

use super::caller::Caller;
use super::private_keys::KeyProblem;
use super::skills::digest;
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, SkillId, Slug, VersionId};
use crate::sql;

/// The most public keys that users are told: two active ones during a rotation, and retired ones.
const MAX_PUBLIC_KEYS: i64 = 20;

/// Why a version was not signed, and therefore not published.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error(
        "this tenant signs its versions with the key {key_id}, and this process cannot use its private key: {problem}; an administrator has to provide the key (skillkeep signing-key --help)"
    )]
    NoPrivateKey { key_id: KeyId, problem: KeyProblem },
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The private key with which a tenant signs now.
pub(super) struct Signer {
    keys: Arc<Vec<SigningKey>>,
    public_key: PublicKey,
}

impl Signer {
    /// The signer of the transaction's tenant; `None` if the tenant has no active key.
    ///
    /// # Errors
    /// [`SigningError::NoPrivateKey`] if it has one and this process lacks the private key.
    pub(super) async fn of_tenant(tx: &TenantTx, caller: &Caller) -> Result<Option<Self>, SigningError> {
        let sql = sql!("signing_keys/newest_active.sql");
        let Some(row) = tx.query_opt(sql, &[tx.tenant().as_uuid()]).await? else {
            return Ok(None);
        };
        let (public_key, slug) = (public_key(&row)?, text(&row, "slug")?);
        let signing_keys = caller.signing_keys.clone();
        // Reads a file.
        let loaded = tokio::task::spawn_blocking(move || signing_keys.load(&slug)).await;
        let loaded = loaded.map_err(|error| DbError::Corrupt(format!("reading a key failed: {error}")))?;
        let no_key = |problem| SigningError::NoPrivateKey {
            key_id: public_key.key_id(),
            problem,
        };
        let keys = loaded.map_err(no_key)?;
        if keys.iter().any(|key| key.public_key() == public_key) {
            Ok(Some(Self { keys, public_key }))
        } else {
            Err(no_key(KeyProblem::OtherKey))
        }
    }

    /// `None` only if the key is not among those that were loaded, which [`Self::of_tenant`] rules out.
    fn sign(&self, statement: &Statement<'_>) -> Option<Signature> {
        let mut keys = self.keys.iter();
        let key = keys.find(|key| key.public_key() == self.public_key)?;
        Some(skill_signature::sign(key, statement))
    }

    /// Signs a version and stores the signature.
    pub(super) async fn sign_version(
        &self,
        tx: &TenantTx,
        version: VersionId,
        slug: &Slug,
        label: &str,
        digest: Digest,
    ) -> Result<(), DbError> {
        let statement = Statement {
            skill: slug,
            version: label,
            digest,
        };
        let signature = self
            .sign(&statement)
            .ok_or_else(|| DbError::Corrupt("the signing key is lost".to_owned()))?;
        let (key_id, slug) = (signature.key_id().to_string(), slug.as_str());
        let bytes = signature.as_bytes().as_slice();
        tx.execute(
            sql!("signatures/insert.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid(), &slug, &key_id, &bytes],
        )
        .await?;
        Ok(())
    }

    /// The id of the key, for audit entries.
    pub(super) fn key_id(&self) -> KeyId {
        self.public_key.key_id()
    }
}

/// Signs a version that is being published. Does nothing if the tenant has no active key.
///
/// # Errors
/// [`SigningError`]; the transaction must then be rolled back.
pub(super) async fn sign_published(
    tx: &TenantTx,
    caller: &Caller,
    version: VersionId,
    slug: &str,
    label: &str,
    digest: Digest,
) -> Result<(), SigningError> {
    if let Some(signer) = Signer::of_tenant(tx, caller).await? {
        signer
            .sign_version(tx, version, &stored_slug(slug)?, label, digest)
            .await?;
    }
    Ok(())
}

/// A slug that the database checked.
pub(super) fn stored_slug(slug: &str) -> Result<Slug, DbError> {
    slug.parse()
        .map_err(|error: crate::ids::IdError| DbError::Corrupt(error.to_string()))
}

/// Signs the signed versions of a skill again after it was renamed. A version whose signature for the former slug is not
/// valid gets none. Returns the number of versions that were signed.
///
/// # Errors
/// [`SigningError`]; the transaction must then be rolled back.
pub(super) async fn sign_renamed(
    tx: &TenantTx,
    caller: &Caller,
    skill: SkillId,
    from: &str,
    to: &Slug,
) -> Result<usize, SigningError> {
    let rows = tx
        .query(
            sql!("signatures/of_skill.sql"),
            &[tx.tenant().as_uuid(), skill.as_uuid(), &from],
        )
        .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let Some(signer) = Signer::of_tenant(tx, caller).await? else {
        return Ok(0);
    };
    let from = stored_slug(from)?;
    let mut signed = Vec::new();
    for row in &rows {
        let (version, label) = (version_id(row, "version_id")?, text(row, "version")?);
        let digest = digest(row, "digest")?;
        let statement = Statement {
            skill: &from,
            version: &label,
            digest,
        };
        let is_valid = skill_signature::verify(&public_key(row)?, &statement, &signature(row)?).is_ok();
        if is_valid && !signed.contains(&version) {
            signer.sign_version(tx, version, to, &label, digest).await?;
            signed.push(version);
        }
    }
    Ok(signed.len())
}

pub(super) fn version_id(row: &Row, column: &str) -> Result<VersionId, DbError> {
    Ok(VersionId::from_uuid(row.try_get(column)?))
}

pub(super) fn text(row: &Row, column: &str) -> Result<String, DbError> {
    Ok(row.try_get(column)?)
}

/// Reads the columns `key_id` and `signature`.
fn signature(row: &Row) -> Result<Signature, DbError> {
    let corrupt = |error: skill_signature::SignatureError| DbError::Corrupt(error.to_string());
    let key_id: KeyId = row.try_get::<_, &str>("key_id")?.parse().map_err(corrupt)?;
    Signature::from_bytes(key_id, row.try_get("signature")?).map_err(corrupt)
}

/// Reads the column `public_key`.
pub(super) fn public_key(row: &Row) -> Result<PublicKey, DbError> {
    PublicKey::from_bytes(row.try_get("public_key")?).map_err(|error| DbError::Corrupt(error.to_string()))
}

/// The newest signature of a version for its skill's present slug, by an active key if there is one.
pub async fn of_version(tx: &TenantTx, version: VersionId) -> Result<Option<Signature>, DbError> {
    let row = tx
        .query_opt(
            sql!("signatures/of_version.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid()],
        )
        .await?;
    row.as_ref().map(signature).transpose()
}

/// A public key of a tenant, as its users are told.
#[derive(Debug, Clone, Copy)]
pub struct TenantKey {
    pub public_key: PublicKey,
    /// Whether it signs nothing more.
    pub is_retired: bool,
}

/// The public keys of the transaction's tenant, active ones first, then the newest; at most 20.
pub async fn public_keys(tx: &TenantTx) -> Result<Vec<TenantKey>, DbError> {
    let rows = tx
        .query(
            sql!("signing_keys/public.sql"),
            &[tx.tenant().as_uuid(), &MAX_PUBLIC_KEYS],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(TenantKey {
                public_key: public_key(row)?,
                is_retired: row.try_get("retired")?,
            })
        })
        .collect()
}
