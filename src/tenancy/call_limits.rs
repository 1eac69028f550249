//! Rate limits of a tenant or an API key.

use serde::Serialize;
use tokio_postgres::Row;

use crate::db::DbError;

/// Rate limits of a tenant or an API key; `None` for unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CallLimits {
    /// Calls per minute, at least 1. Each server process counts separately.
    pub calls_per_minute: Option<i32>,
    /// Calls per calendar month (UTC), at least 1. Counted from the usage events, without calls that were over a limit.
    pub calls_per_month: Option<i64>,
}

impl CallLimits {
    /// Of a new tenant, unless the administrator chooses others: 200 calls a second.
    pub const OF_NEW_TENANT: Self = Self {
        calls_per_minute: Some(12_000),
        calls_per_month: None,
    };
    /// Of a new API key, unless the administrator chooses others: 20 calls a second, more than an assistant makes.
    pub const OF_NEW_KEY: Self = Self {
        calls_per_minute: Some(1_200),
        calls_per_month: None,
    };

    pub(super) fn from_row(row: &Row, per_minute: &str, per_month: &str) -> Result<Self, DbError> {
        Ok(Self {
            calls_per_minute: row.try_get(per_minute)?,
            calls_per_month: row.try_get(per_month)?,
        })
    }
}
