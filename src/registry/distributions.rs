//! Distributions: the skills that administrators want users to have.

use jiff::Timestamp;
use serde::Serialize;

use super::signing::stored_slug;
use crate::db::{DbError, TenantTx};
use crate::ids::{Slug, UserId};
use crate::sql;

/// Which version of a distributed skill a user should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// The latest, whichever that is.
    Latest,
    /// The version with this label.
    Exactly(String),
}

/// What an active user should have, by slug. For a skill that is distributed several times, a group's distribution counts
/// before that to all users, then the newest. Left out are skills without a version that may be installed, and versions that
/// were withdrawn or quarantined. Empty for a suspended or unknown user.
///
/// The caller must check that the user's key may view each skill.
pub async fn for_user(tx: &TenantTx, user: UserId) -> Result<Vec<(Slug, Requirement)>, DbError> {
    let rows = tx
        .query(
            sql!("distributions/for_user.sql"),
            &[tx.tenant().as_uuid(), user.as_uuid()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let version: Option<String> = row.try_get("version")?;
            let requirement = version.map_or(Requirement::Latest, Requirement::Exactly);
            Ok((stored_slug(row.try_get("slug")?)?, requirement))
        })
        .collect()
}

/// A distribution, as `skillkeep distribute list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Distribution {
    pub skill: String,
    /// `None`: all users.
    pub group: Option<String>,
    /// `None`: the latest.
    pub version: Option<String>,
    /// The administrator's account on the operating system.
    pub created_by: String,
    pub created_at: Timestamp,
}

/// The distributions of the transaction's tenant, by slug.
pub async fn list(tx: &TenantTx) -> Result<Vec<Distribution>, DbError> {
    let rows = tx
        .query(sql!("distributions/list.sql"), &[tx.tenant().as_uuid()])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Distribution {
                skill: row.try_get("slug")?,
                group: row.try_get("group_name")?,
                version: row.try_get("version")?,
                created_by: row.try_get("created_by")?,
                created_at: row.try_get("created_at")?,
            })
        })
        .collect()
}
