//! How many calls somebody may make.

use serde::Serialize;
use tokio_postgres::Row;

use crate::db::DbError;

/// How many calls a tenant or a key may make; `None` for as many as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CallLimits {
    /// Calls in a minute, at least 1. Counted by each server for itself.
    pub calls_per_minute: Option<i32>,
    /// Calls in a calendar month of UTC, at least 1. Counted from the recorded calls, those refused for a limit left out.
    pub calls_per_month: Option<i64>,
}

impl CallLimits {
    /// Reads the two columns of these names.
    ///
    /// # Errors
    /// When the row has no such columns.
    pub(super) fn from_row(row: &Row, per_minute: &str, per_month: &str) -> Result<Self, DbError> {
        Ok(Self {
            calls_per_minute: row.try_get(per_minute)?,
            calls_per_month: row.try_get(per_month)?,
        })
    }
}
