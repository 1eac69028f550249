//! Ratings: 1 to 5 stars and a comment, one for each user and skill.

use std::collections::HashSet;

use jiff::Timestamp;

use super::caller::Caller;
use super::lifecycle::Action;
use super::management::{self, ManageError, ManagedSkill};
use crate::db::{DbError, TenantTx};
use crate::ids::{RatingId, SkillId, UserId};
use crate::sql;
use crate::tenancy::mask_keys;

/// The maximum length of a comment in characters.
pub const MAX_COMMENT_CHARS: usize = 4_000;

/// The ratings of a skill.
#[derive(Debug, Clone, Copy)]
pub struct RatingSummary {
    pub count: i64,
    /// Mean, 1 to 5; `None` without ratings.
    pub stars: Option<f64>,
    /// Whether the user installed the skill or reported on it.
    pub is_used: bool,
}

/// The effect of a rating.
#[derive(Debug, Clone)]
pub struct RatingResult {
    pub skill: ManagedSkill,
    pub change: RatingChange,
    pub summary: RatingSummary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RatingChange {
    Created,
    Changed,
    Withdrawn,
    /// There was no rating to withdraw.
    Nothing,
}

/// Stores or changes the user's rating of a skill, or takes it back if `stars` is `None`.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn rate(
    tx: &TenantTx,
    caller: &Caller,
    user: UserId,
    slug: &str,
    stars: Option<i16>,
    comment: &str,
) -> Result<RatingResult, ManageError> {
    let skill = management::permitted(tx, caller, slug, Action::Rate).await?;
    let before = summary(tx, skill.id, user).await?;
    let tenant = tx.tenant();
    let change = match stars {
        Some(stars) => {
            let id = RatingId::new();
            let comment = mask_keys(comment);
            let sql = sql!("ratings/upsert.sql");
            let row = sql.row([
                ("tenant_id", tenant.as_uuid()),
                ("id", id.as_uuid()),
                ("skill_id", skill.id.as_uuid()),
                ("user_id", user.as_uuid()),
                ("stars", &stars),
                ("comment", &comment),
                ("used", &before.is_used),
            ]);
            let created: bool = tx
                .query_one(sql, &row)
                .await?
                .try_get("created")
                .map_err(DbError::from)?;
            if created {
                RatingChange::Created
            } else {
                RatingChange::Changed
            }
        }
        None => {
            let withdrawn = tx
                .execute(
                    sql!("ratings/withdraw.sql"),
                    &[tenant.as_uuid(), skill.id.as_uuid(), user.as_uuid()],
                )
                .await?;
            if withdrawn == 1 {
                RatingChange::Withdrawn
            } else {
                RatingChange::Nothing
            }
        }
    };
    let summary = summary(tx, skill.id, user).await?;
    Ok(RatingResult {
        skill,
        change,
        summary,
    })
}

/// A rating with a comment, without the name of its author.
#[derive(Debug, Clone)]
pub struct RatingComment {
    pub stars: i16,
    pub comment: String,
    /// Whether its author had installed the skill or reported on it.
    pub is_of_user: bool,
    pub updated_at: Timestamp,
}

/// The newest `limit` ratings that have a comment, newest first.
pub async fn recent(tx: &TenantTx, skill: SkillId, limit: i64) -> Result<Vec<RatingComment>, DbError> {
    let rows = tx
        .query(
            sql!("ratings/recent.sql"),
            &[tx.tenant().as_uuid(), skill.as_uuid(), &limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(RatingComment {
                stars: row.try_get("stars")?,
                comment: row.try_get("comment")?,
                is_of_user: row.try_get("used")?,
                updated_at: row.try_get("updated_at")?,
            })
        })
        .collect()
}

/// The skills whose mean rating is at least this many stars.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn at_least(tx: &TenantTx, stars: u8) -> Result<HashSet<SkillId>, DbError> {
    let rows = tx
        .query(
            sql!("ratings/at_least.sql"),
            &[tx.tenant().as_uuid(), &i32::from(stars)],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(SkillId::from_uuid(row.try_get("skill_id")?)))
        .collect()
}

/// The ratings of a skill, and whether the user has used it.
pub async fn summary(tx: &TenantTx, skill: SkillId, user: UserId) -> Result<RatingSummary, DbError> {
    let row = tx
        .query_one(
            sql!("ratings/summary.sql"),
            &[tx.tenant().as_uuid(), skill.as_uuid(), user.as_uuid()],
        )
        .await?;
    Ok(RatingSummary {
        count: row.try_get("ratings")?,
        stars: row.try_get("stars")?,
        is_used: row.try_get("used")?,
    })
}
