//! Installs: what was handed out to whom, and what he says is on his disk.

use super::skills::{ResolvedVersion, digest};
use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, Digest, InstallId, SkillId, UserId, VersionId};
use crate::sql;

/// An install that was handed out.
#[derive(Debug, Clone)]
pub struct Install {
    /// The install.
    pub id: InstallId,
    /// The skill.
    pub skill: SkillId,
    /// Its slug.
    pub slug: String,
    /// The version.
    pub version_id: VersionId,
    /// Its label.
    pub version: String,
    /// Its digest.
    pub digest: Digest,
}

/// What a caller has on disk, compared with what he was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The same, byte for byte.
    Confirmed,
    /// Something else.
    Mismatched,
}

impl State {
    /// As the database spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Mismatched => "mismatched",
        }
    }
}

/// Notes that a version's files were handed out.
///
/// # Errors
/// When the database is away or refuses.
pub async fn create(
    tx: &TenantTx,
    found: &ResolvedVersion,
    user: UserId,
    api_key: ApiKeyId,
    assistant: &str,
    target: &str,
) -> Result<InstallId, DbError> {
    let id = InstallId::new();
    tx.execute_one(
        sql!("installs/insert.sql"),
        &[
            tx.tenant().as_uuid(),
            id.as_uuid(),
            found.skill.as_uuid(),
            found.version_id.as_uuid(),
            user.as_uuid(),
            api_key.as_uuid(),
            &assistant,
            &target,
        ],
    )
    .await?;
    Ok(id)
}

/// One of the user's installs.
///
/// # Errors
/// When the database is away or refuses.
pub async fn find(tx: &TenantTx, id: InstallId, user: UserId) -> Result<Option<Install>, DbError> {
    let row = tx
        .query_opt(
            sql!("installs/find.sql"),
            &[tx.tenant().as_uuid(), id.as_uuid(), user.as_uuid()],
        )
        .await?;
    row.map(|row| {
        Ok(Install {
            id,
            skill: SkillId::from_uuid(row.try_get("skill_id")?),
            slug: row.try_get("slug")?,
            version_id: VersionId::from_uuid(row.try_get("version_id")?),
            version: row.try_get("version")?,
            digest: digest(&row, "digest")?,
        })
    })
    .transpose()
}

/// Notes what the caller has on disk.
///
/// # Errors
/// When the database is away or refuses.
pub async fn set_state(tx: &TenantTx, id: InstallId, state: State, reported: Digest) -> Result<(), DbError> {
    tx.execute_one(
        sql!("installs/set_state.sql"),
        &[
            tx.tenant().as_uuid(),
            id.as_uuid(),
            &state.as_str(),
            &reported.as_bytes().as_slice(),
        ],
    )
    .await
}
