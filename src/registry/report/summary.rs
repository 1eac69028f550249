//! The usage events of a period, summed up: what `usage/summarise.sql` returns and `usage_days` stores, added up.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::DbError;

/// The calls of a period, summed up. Sums of consecutive periods are added.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Calls by tool and outcome.
    pub(super) tools: HashMap<(String, String), i64>,
    /// Calls by duration in tenths of a millisecond.
    durations: BTreeMap<i32, i64>,
    /// Calls by user and skill, `None` for those that were about no skill.
    pub(super) pairs: HashMap<(Uuid, Option<Uuid>), i64>,
    /// Searches that found nothing or only weak hits, by text and names of filters: their number, and whether all found weak hits.
    pub(super) empty_searches: HashMap<(String, String), (i64, bool)>,
    /// Searches with hits that no use followed, by text.
    pub(super) not_followed: HashMap<String, NotFollowed>,
}

/// Searches with one text that no use followed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NotFollowed {
    pub(super) searches: i64,
    pub(super) users: HashSet<Uuid>,
}

impl Summary {
    /// Adds a row of `usage/summarise.sql` or of `usage/days.sql`.
    pub(super) fn add(&mut self, row: &Row) -> Result<(), DbError> {
        let tools = column::<&str>(row, "tools")?.into_iter();
        let tools = tools.zip(column::<&str>(row, "outcomes")?);
        for ((tool, outcome), calls) in tools.zip(counts(row, "tool_calls")?) {
            *self
                .tools
                .entry((tool.to_owned(), outcome.to_owned()))
                .or_default() += calls;
        }
        for (duration, calls) in column(row, "durations")?
            .into_iter()
            .zip(counts(row, "duration_calls")?)
        {
            *self.durations.entry(duration).or_default() += calls;
        }
        let pairs = column(row, "pair_users")?
            .into_iter()
            .zip(column(row, "pair_skills")?);
        for (pair, calls) in pairs.zip(counts(row, "pair_calls")?) {
            *self.pairs.entry(pair).or_default() += calls;
        }
        self.add_searches(row)
    }

    fn add_searches(&mut self, row: &Row) -> Result<(), DbError> {
        let texts = column::<&str>(row, "empty_queries")?.into_iter();
        let texts = texts.zip(column::<&str>(row, "empty_filters")?);
        let found = column::<bool>(row, "empty_weak")?.into_iter();
        let found = found.zip(counts(row, "empty_searches")?);
        for ((query, filters), (weak, searches)) in texts.zip(found) {
            let key = (query.to_owned(), filters.to_owned());
            let sum = self.empty_searches.entry(key).or_insert((0, true));
            *sum = (sum.0 + searches, sum.1 && weak);
        }
        let lost = column::<&str>(row, "lost_queries")?.into_iter();
        let lost = lost.zip(column::<Uuid>(row, "lost_users")?);
        for ((query, user), searches) in lost.zip(counts(row, "lost_searches")?) {
            let sum = self.not_followed.entry(query.to_owned()).or_default();
            sum.searches += searches;
            sum.users.insert(user);
        }
        Ok(())
    }

    /// Number of calls.
    pub(super) fn calls(&self) -> i64 {
        self.tools.values().sum()
    }

    /// Number of calls with an outcome other than `ok`.
    pub(super) fn failed_calls(&self) -> i64 {
        let failed = self.tools.iter().filter(|((_, outcome), _)| outcome != "ok");
        failed.map(|(_, calls)| calls).sum()
    }

    /// The duration in tenths of a millisecond that this share of the calls did not exceed (`percentile_disc` of SQL); 0 without
    /// calls.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a tenant has fewer than 2^53 calls"
    )]
    pub(super) fn duration_at(&self, share: f64) -> i32 {
        let calls: i64 = self.durations.values().sum();
        let mut left = ((calls as f64) * share).ceil() as i64;
        for (duration, calls) in &self.durations {
            left -= calls;
            if left <= 0 {
                return *duration;
            }
        }
        0
    }
}

/// An array of a row.
fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, name: &str) -> Result<Vec<T>, DbError> {
    Ok(row.try_get(name)?)
}

fn counts(row: &Row, name: &str) -> Result<impl Iterator<Item = i64>, DbError> {
    Ok(column::<i32>(row, name)?.into_iter().map(i64::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_that_of_the_call_at_the_share() {
        let mut summary = Summary::default();
        assert_eq!(summary.duration_at(0.5), 0);
        summary.durations = BTreeMap::from([(7, 1), (9, 98), (500, 1)]);
        assert_eq!((summary.duration_at(0.01), summary.duration_at(0.5)), (7, 9));
        assert_eq!((summary.duration_at(0.99), summary.duration_at(1.0)), (9, 500));
    }
}
