//! What callers searched for and did not get, and what they installed and did not use.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::Row;

use super::{Period, rows, seconds};
use crate::db::{DbError, Param, TenantTx};
use crate::ids::min_uuid_v7;
use crate::sql;

/// How long after a search a use counts as its result. `usage/searches_not_followed.sql` has the same number.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(30 * 60);

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
    pub last_install: String,
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
    /// Whether no list has a row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.empty_searches.is_empty() && self.not_followed.is_empty() && self.unused.is_empty()
    }
}

/// Reads the demand of a period. Each list has at most `top` rows.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn demand(tx: &TenantTx, period: Period, top: i64) -> Result<Demand, DbError> {
    let (from, until) = period.id_bounds();
    let settled = min_uuid_v7(period.until - FOLLOWED_WITHIN);
    let tenant = tx.tenant();
    let bounds_and_top: [Param<'_>; 4] = [tenant.as_uuid(), &from, &until, &top];
    let bounds_top_and_settled: [Param<'_>; 5] = [tenant.as_uuid(), &from, &until, &top, &settled];
    let (empty, not_followed, unused) = futures::try_join!(
        tx.query(sql!("usage/searches_without_result.sql"), &bounds_and_top),
        tx.query(sql!("usage/searches_not_followed.sql"), &bounds_top_and_settled),
        tx.query(sql!("usage/installed_unused.sql"), &bounds_and_top),
    )?;
    Ok(Demand {
        empty_searches: rows(&empty, empty_search)?,
        not_followed: rows(&not_followed, search_not_followed)?,
        unused: rows(&unused, unused_skill)?,
    })
}

fn empty_search(row: &Row) -> Result<EmptySearch, DbError> {
    Ok(EmptySearch {
        query: row.try_get("query")?,
        filters: row.try_get("filters")?,
        searches: row.try_get("searches")?,
        weak: row.try_get("weak")?,
    })
}

fn search_not_followed(row: &Row) -> Result<SearchNotFollowed, DbError> {
    Ok(SearchNotFollowed {
        query: row.try_get("query")?,
        searches: row.try_get("searches")?,
        users: row.try_get("users")?,
    })
}

fn unused_skill(row: &Row) -> Result<UnusedSkill, DbError> {
    Ok(UnusedSkill {
        skill: row.try_get("slug")?,
        installs: row.try_get("installs")?,
        last_install: seconds(row.try_get::<_, Timestamp>("last_install")?),
    })
}
