//! What callers searched for and did not get, and what they installed and did not use.

use std::cmp::Reverse;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::summary::Summary;
use super::{Period, days, seconds};
use crate::db::{DbError, TenantTx};
use crate::sql;

/// A search without a result, or with weak hits only.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EmptySearch {
    /// The search text.
    pub query: String,
    /// Names of the filters that were used with it. Their values are not recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// Number of searches.
    pub searches: i64,
    /// Whether it found skills that hold at most half of its words.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
}

/// A search with hits that its users neither read, installed nor reported within 30 minutes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SearchNotFollowed {
    /// The search text in lower case, with single spaces.
    pub query: String,
    /// Number of searches.
    pub searches: i64,
    /// Number of users who made them.
    pub users: i64,
}

/// A skill that is installed, and about which nobody reported in the period.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UnusedSkill {
    /// The skill's slug.
    pub skill: String,
    /// Confirmed installs, without those whose files are gone; also from before the period.
    pub installs: i64,
    /// Time of the last of them (RFC 3339).
    pub last: String,
}

/// What a tenant's users looked for and did not get. Each list shows its first rows, most frequent first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Demand {
    /// Searches without a result or with weak hits only.
    pub empty_searches: Vec<EmptySearch>,
    /// Searches whose hits were not used. Those of the last 30 minutes of the period do not count: a use may still follow.
    pub not_followed: Vec<SearchNotFollowed>,
    /// Active skills that are installed and not used.
    pub unused: Vec<UnusedSkill>,
}

impl Demand {
    pub(super) fn new(mut summary: Summary, unused: Vec<UnusedSkill>, top: usize) -> Self {
        Self {
            empty_searches: empty_searches(&mut summary, top),
            not_followed: not_followed(summary, top),
            unused,
        }
    }

    /// Whether no list has a row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.empty_searches.is_empty() && self.not_followed.is_empty() && self.unused.is_empty()
    }
}

/// Reads the demand of a period. Each list has at most `top` rows. To be committed, as [`summarise`](super::summarise).
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn demand(tx: &TenantTx, period: Period, top: i64) -> Result<Demand, DbError> {
    let summary = days::summarise(tx, period, Timestamp::now()).await?;
    let unused = unused(tx, period, top).await?;
    Ok(Demand::new(
        summary,
        unused,
        usize::try_from(top).unwrap_or(usize::MAX),
    ))
}

/// The active skills that are installed and not used.
pub(super) async fn unused(tx: &TenantTx, period: Period, top: i64) -> Result<Vec<UnusedSkill>, DbError> {
    let (from, until) = period.id_bounds();
    let rows = tx
        .query(
            sql!("usage/installed_unused.sql"),
            &[tx.tenant().as_uuid(), &from, &until, &top],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(UnusedSkill {
                skill: row.try_get("slug")?,
                installs: row.try_get("installs")?,
                last: seconds(row.try_get::<_, Timestamp>("last_install")?),
            })
        })
        .collect()
}

fn empty_searches(summary: &mut Summary, top: usize) -> Vec<EmptySearch> {
    let mut searches: Vec<EmptySearch> = std::mem::take(&mut summary.empty_searches)
        .into_iter()
        .map(|((query, filters), (searches, weak))| EmptySearch {
            query,
            filters: filters
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            searches,
            weak,
        })
        .collect();
    searches.sort_unstable_by(|one, other| {
        let rank = |search: &EmptySearch| Reverse(search.searches);
        (rank(one), &one.query, &one.filters).cmp(&(rank(other), &other.query, &other.filters))
    });
    searches.truncate(top);
    searches
}

fn not_followed(summary: Summary, top: usize) -> Vec<SearchNotFollowed> {
    let mut searches: Vec<SearchNotFollowed> = summary
        .not_followed
        .into_iter()
        .map(|(query, sum)| SearchNotFollowed {
            query,
            searches: sum.searches,
            users: i64::try_from(sum.users.len()).unwrap_or(i64::MAX),
        })
        .collect();
    searches.sort_unstable_by(|one, other| {
        (Reverse(one.searches), &one.query).cmp(&(Reverse(other.searches), &other.query))
    });
    searches.truncate(top);
    searches
}
