//! Installs: which version a user was given, and what they reported to have on disk.

mod device;
mod places;

pub(super) use device::forget_machines;
pub use device::{DeviceState, Machine, seen};
pub use places::{Affected, AffectedAssistant, CopyFilter, InstalledCopy, affected, copies};

use agent_skills::SkillVersion;

use super::skills::digest;
use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, Digest, InstallId, SkillId, UserId, VersionId};
use crate::sql;

/// An install as it is created.
#[derive(Debug, Clone, Copy)]
pub struct NewInstall<'a> {
    pub skill: SkillId,
    pub version: VersionId,
    pub user: UserId,
    pub api_key: ApiKeyId,
    /// Such as `claude-code`.
    pub assistant: &'a str,
    /// The target folder.
    pub target: &'a str,
}

/// A stored install.
#[derive(Debug, Clone)]
pub struct Install {
    pub id: InstallId,
    pub skill: SkillId,
    pub slug: String,
    pub version_id: VersionId,
    pub version: String,
    pub digest: Digest,
    /// The target folder.
    pub target: String,
    /// Why the version was withdrawn, if it was; may be empty.
    pub yanked: Option<String>,
    /// Whether findings or the denylist forbid to use the version.
    pub quarantined: bool,
    /// The latest version; `None` if there is none that may be installed.
    pub latest_version: Option<String>,
}

impl Install {
    /// The latest version, if it is newer than the installed one, or that one was withdrawn.
    #[must_use]
    pub fn newer_version(&self) -> Option<&str> {
        let latest = self
            .latest_version
            .as_deref()
            .filter(|latest| *latest != self.version)?;
        let is_older = |(latest, installed): (SkillVersion, SkillVersion)| latest < installed;
        let parsed = latest.parse().ok().zip(self.version.parse().ok());
        (self.yanked.is_some() || !parsed.is_some_and(is_older)).then_some(latest)
    }
}

/// How the files on the user's disk compare with the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallState {
    /// Identical, byte for byte.
    Confirmed,
    Mismatched,
}

impl InstallState {
    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Mismatched => "mismatched",
        }
    }
}

/// Stores that a user was given the files of a version.
pub async fn create(tx: &TenantTx, new: &NewInstall<'_>) -> Result<InstallId, DbError> {
    let id = InstallId::new();
    tx.execute_one(
        sql!("installs/insert.sql"),
        &[
            tx.tenant().as_uuid(),
            id.as_uuid(),
            new.skill.as_uuid(),
            new.version.as_uuid(),
            new.user.as_uuid(),
            new.api_key.as_uuid(),
            &new.assistant,
            &new.target,
        ],
    )
    .await?;
    Ok(id)
}

/// An install of this user.
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
            target: row.try_get("target")?,
            yanked: row.try_get("yanked")?,
            quarantined: row.try_get("quarantined")?,
            latest_version: row.try_get("latest_version")?,
        })
    })
    .transpose()
}

/// Stores what the user has on disk; `reported` is the digest of it.
pub async fn set_state(
    tx: &TenantTx,
    id: InstallId,
    state: InstallState,
    reported: Digest,
) -> Result<(), DbError> {
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
