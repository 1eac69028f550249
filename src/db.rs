//! The database: how it is reached, and the one kind of transaction that sees a tenant's rows.

mod change_listener;
mod connect_options;
mod export;
mod fair_queue;
pub mod isolation_checks;
mod isolation_probe;
pub mod migrations;
mod owner_connection;
mod pool;
pub mod provision;
mod tenant_tables;
mod tx;

pub use change_listener::ChangeEvent;
pub use connect_options::DatabaseUrl;
pub use export::{ExportItem, REDACTED_COLUMNS, export_tenant};
pub use isolation_probe::prove_isolation;
pub use owner_connection::connect_owner;
pub use pool::{AdminDb, RollbackSession, ServerDb};
pub use tenant_tables::{event_counts, known_ids, table_sums};
pub use tx::TenantTx;

use tokio_postgres::error::SqlState;

/// Where names are looked for until the end of the transaction. By default it is first in a schema named as the role, which
/// somebody may have made; temporary tables, which anybody may make, come last.
const SET_SEARCH_PATH: &str = "SET LOCAL search_path = public, pg_temp";

/// What the operator's connections begin with. Role and path are the session's.
const SESSION_INIT_ADMIN: &str = "SET ROLE skillkeep_admin; SET search_path = public, pg_temp";

/// What a rehearsal begins with.
const SESSION_INIT_DRY_RUN: &str = "SET ROLE skillkeep_admin; SET search_path = public, pg_temp; BEGIN";

/// The types that a statement's parameters may have.
pub type Param<'a> = &'a (dyn tokio_postgres::types::ToSql + Sync);

/// A statement of `sql/queries`, made by [`sql!`](crate::sql).
///
/// Its first line names it and says what it is for, so that `pg_stat_activity` tells who is running.
#[derive(Debug, Clone, Copy)]
pub struct Sql(&'static str);

impl Sql {
    /// Wraps the text of a query file; use [`sql!`](crate::sql).
    #[must_use]
    pub const fn from_file(text: &'static str) -> Self {
        Self(text)
    }

    /// The statement.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.0
    }
}

/// The statement in the file of this name below `sql/queries`.
#[macro_export]
macro_rules! sql {
    ($file:literal) => {
        $crate::db::Sql::from_file(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/sql/queries/",
            $file
        )))
    };
}

/// Why the database did not do what was asked. Never shown to a caller as it stands: it may hold database text.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection could be had in time, or the one in use was lost.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// All places on the database were taken for as long as one may wait.
    #[error("every connection to the database was in use for too long")]
    Busy,
    /// The database refused a statement.
    #[error("the database refused a statement: {}", describe(.0))]
    Statement(#[from] tokio_postgres::Error),
    /// A write touched another number of rows than it must.
    #[error("a write touched {actual} rows where it must touch {expected}")]
    RowCount {
        /// Rows that it must touch.
        expected: u64,
        /// Rows that it touched.
        actual: u64,
    },
    /// A row holds what the schema forbids.
    #[error("the database holds a value that skillkeep does not understand: {0}")]
    Corrupt(String),
}

impl DbError {
    /// The PostgreSQL error code, where the database gave one.
    #[must_use]
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Statement(error) => error.code(),
            Self::Unavailable(_) | Self::Busy | Self::RowCount { .. } | Self::Corrupt(_) => None,
        }
    }

    /// Whether a row was refused because its tenant was erased, or never was.
    #[must_use]
    pub fn is_without_tenant(&self) -> bool {
        match self {
            Self::Statement(error) => error.as_db_error().is_some_and(|db| {
                *db.code() == SqlState::FOREIGN_KEY_VIOLATION
                    && db
                        .constraint()
                        .is_some_and(|name| name.ends_with("_tenant_id_fkey"))
            }),
            Self::Unavailable(_) | Self::Busy | Self::RowCount { .. } | Self::Corrupt(_) => false,
        }
    }

    /// Whether trying again later may help: the database is away, full, shutting down, or takes no writes.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Busy => true,
            Self::Statement(error) => {
                // Class 53 (resources) of PostgreSQL's appendix A, and a database that takes no writes, as after a fail-over
                // to one that is not promoted yet.
                is_lost(error)
                    || error.code().is_some_and(|code| {
                        code.code().starts_with("53") || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                    })
            }
            Self::RowCount { .. } | Self::Corrupt(_) => false,
        }
    }

    /// Whether a commit that ended so may have happened all the same: its answer was lost.
    #[must_use]
    pub fn may_have_committed(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Statement(error) => is_lost(error),
            Self::Busy | Self::RowCount { .. } | Self::Corrupt(_) => false,
        }
    }
}

/// Classes 08 (connection) and 57P (operator intervention) of PostgreSQL's appendix A, or no connection at all.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || error
            .code()
            .is_some_and(|code| code.code().starts_with("08") || code.code().starts_with("57P"))
}

/// tokio-postgres prints "db error" alone; the operator's log wants the server's own message.
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}
