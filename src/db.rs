//! Access to PostgreSQL. [`TenantTx`] is the only kind of transaction that sees a tenant's rows.

mod change_listener;
mod connect_error;
mod connect_options;
mod event_time;
mod export;
mod fair_queue;
mod insert_row;
pub mod isolation_checks;
mod isolation_probe;
pub mod migrations;
mod owner_connection;
mod pool;
mod pooler_check;
pub mod provision;
mod tenant_tables;
mod tls;
mod tx;
mod usage_months;

pub use change_listener::ChangeEvent;
pub use connect_options::DatabaseUrl;
pub use export::{ExportItem, REDACTED_COLUMNS, export_tenant};
pub use isolation_probe::probe_isolation;
pub use owner_connection::{connect_owner, require_bound_owner};
pub use pool::{AdminDb, RollbackSession, ServerDb};
pub use pooler_check::shares_sessions;
pub use tenant_tables::{event_counts, known_ids, table_sums};
pub use tx::TenantTx;

use tokio_postgres::error::SqlState;

/// Transaction-local. PostgreSQL's default path begins with a schema named like the role, which another role may have created,
/// and implicitly searches temporary tables first, which any role may create.
const SET_SEARCH_PATH: &str = "SET LOCAL search_path = public, pg_temp";

/// The first statements on each connection of [`AdminDb`].
const SESSION_INIT_ADMIN: &str = "SET ROLE skillkeep_admin; SET search_path = public, pg_temp";

/// The first statements on the connection of a [`RollbackSession`].
const SESSION_INIT_DRY_RUN: &str = "SET ROLE skillkeep_admin; SET search_path = public, pg_temp; BEGIN";

/// A parameter of a statement.
pub type Param<'a> = &'a (dyn tokio_postgres::types::ToSql + Sync);

/// A statement of `sql/queries`, created by [`sql!`](crate::sql).
///
/// Its first line is a comment with its name and purpose, so that `pg_stat_activity` shows which query runs.
#[derive(Debug, Clone, Copy)]
pub struct Sql(&'static str);

impl Sql {
    /// Wraps the text of a query file. Use [`sql!`](crate::sql) instead.
    #[must_use]
    pub const fn from_file(text: &'static str) -> Self {
        Self(text)
    }

    #[must_use]
    pub const fn text(self) -> &'static str {
        self.0
    }
}

/// Includes a statement at compile time: `sql!("skills/details.sql")` reads `sql/queries/skills/details.sql`.
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

/// The error of every function that uses the database.
///
/// Functions whose only error is this one have no `# Errors` section of their own. Its text may contain database internals: log
/// it, never send it to a caller.
///
/// | variant | when | may the statement have taken effect? |
/// |---|---|---|
/// | `Unavailable` | no connection within 5 s, no answer within 30 s ([`ServerDb::with_response_timeout`]), connection lost | only a commit, see [`Self::may_have_committed`] |
/// | `Busy` | no connection permit within 5 s | no |
/// | `Rejected` | the server refused the connection: password, role, database, too many connections | no |
/// | `Statement` | PostgreSQL reported an error, or the connection was lost during the statement | only a commit |
/// | `RowCount` | a write affected a different number of rows; the caller rolls back | no |
/// | `Corrupt` | a row contains a value that the schema forbids | no |
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    #[error("no database connection became free within 5 s")]
    Busy,
    /// The explanation says what to do.
    #[error("the database cannot be used: {explanation}")]
    Rejected {
        explanation: String,
        error: tokio_postgres::Error,
    },
    #[error("the database rejected a statement: {}", describe(.0))]
    Statement(#[from] tokio_postgres::Error),
    #[error("a write affected {actual} rows instead of {expected}")]
    RowCount { expected: u64, actual: u64 },
    #[error("the database contains an invalid value: {0}")]
    Corrupt(String),
}

impl DbError {
    /// The SQLSTATE code, if PostgreSQL reported the error.
    #[must_use]
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Statement(error) | Self::Rejected { error, .. } => error.code(),
            Self::Unavailable(_) | Self::Busy | Self::RowCount { .. } | Self::Corrupt(_) => None,
        }
    }

    /// Whether a foreign key to the tenant was violated: the tenant was erased or never existed.
    #[must_use]
    pub fn is_missing_tenant(&self) -> bool {
        match self {
            Self::Statement(error) => error.as_db_error().is_some_and(|db| {
                *db.code() == SqlState::FOREIGN_KEY_VIOLATION
                    && db
                        .constraint()
                        .is_some_and(|name| name.ends_with("_tenant_id_fkey"))
            }),
            Self::Unavailable(_)
            | Self::Busy
            | Self::Rejected { .. }
            | Self::RowCount { .. }
            | Self::Corrupt(_) => false,
        }
    }

    /// Whether a usage event was refused because its month has no partition.
    #[must_use]
    pub fn is_missing_partition(&self) -> bool {
        match self {
            // PostgreSQL reports it like the violation of a constraint that has no name.
            Self::Statement(error) => error.as_db_error().is_some_and(|db| {
                *db.code() == SqlState::CHECK_VIOLATION
                    && db.constraint().is_none()
                    && db.table() == Some("usage_events")
            }),
            Self::Unavailable(_)
            | Self::Busy
            | Self::Rejected { .. }
            | Self::RowCount { .. }
            | Self::Corrupt(_) => false,
        }
    }

    /// Whether a later retry may succeed: the database is unreachable, busy, out of resources, shutting down or read-only.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Busy => true,
            Self::Statement(error) | Self::Rejected { error, .. } => {
                // Class 53 is "insufficient resources" (PostgreSQL manual, appendix A). A database is read-only after a failover
                // until it is promoted.
                is_connection_lost(error)
                    || error.code().is_some_and(|code| {
                        code.code().starts_with("53") || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                    })
            }
            Self::RowCount { .. } | Self::Corrupt(_) => false,
        }
    }

    /// Whether a commit with this error may have taken effect, because the connection was lost before the answer arrived.
    #[must_use]
    pub fn may_have_committed(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Statement(error) => is_connection_lost(error),
            Self::Busy | Self::Rejected { .. } | Self::RowCount { .. } | Self::Corrupt(_) => false,
        }
    }
}

/// Classes 08 (connection exception) and 57P (operator intervention) of PostgreSQL's appendix A, or a closed connection.
fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || error
            .code()
            .is_some_and(|code| code.code().starts_with("08") || code.code().starts_with("57P"))
}

/// Returns the server's message and code. tokio-postgres prints only "db error".
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}
