//! [`TenantTx`], the only access to a tenant's rows.
//!
//! Invariant: a connection returns to its pool only after the server has confirmed COMMIT or ROLLBACK. In every other case it is
//! closed, so an open transaction, and with it a tenant's setting, never reaches the next caller.

mod cancelling;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Row, Statement};

use self::cancelling::cancel;
use super::connect_options::Tls;
use super::fair_queue::ConnectionPermit;
use super::pool::{Connections, TxScope};
use super::{AdminDb, DbError, Param, SET_SEARCH_PATH, ServerDb, Sql};
use crate::ids::TenantId;

/// Longer than any administrative operation.
const NO_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The isolation level is explicit so that it does not depend on the database's default. It cannot be set later, because
/// [`TenantTx::begin_statement`] ends with a savepoint.
const READ_COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A transaction that sees one tenant's rows and no others.
///
/// It begins with a savepoint. [`Self::rollback_to_savepoint`] undoes the work since then, and the transaction stays usable to
/// record what happened. Dropping the transaction without [`Self::commit`] rolls it back.
///
/// # Errors
/// All functions return [`DbError`]. After a statement has timed out, all later statements fail at once with
/// [`DbError::Unavailable`].
pub struct TenantTx {
    /// `None` only after the transaction has ended.
    connection: Option<Object>,
    /// Released after the connection.
    permit: Option<ConnectionPermit>,
    tls: Tls,
    scope: TxScope,
    response_timeout: Duration,
    /// Set when the database did not answer in time. Every later statement fails at once.
    timed_out: AtomicBool,
    /// Set when PostgreSQL ended a statement that ran too long.
    statement_timed_out: AtomicBool,
    /// Set when the transaction changed the catalog and has not yet indexed the change.
    index_pending: AtomicBool,
    compaction_due: AtomicBool,
    embedding_due: AtomicBool,
    tenant: TenantId,
}

impl TenantTx {
    /// Begins for a caller and runs `first_query`, the verification of the API key, in the same round trip.
    pub async fn begin(
        db: &ServerDb,
        tenant: TenantId,
        first_query: Sql,
        params: &[Param<'_>],
    ) -> Result<(Self, Vec<Row>), DbError> {
        let tx = Self::connect(&db.0, tenant).await?;
        let statement = tx.prepare(first_query).await?;
        let begin_statement = tx.begin_statement(READ_COMMITTED);
        let connection = tx.connection()?;
        // `join` polls in this order, so both are sent before the first answer arrives.
        let both = futures::future::join(
            connection.batch_execute(&begin_statement),
            connection.query(&statement, params),
        );
        let (begun, rows) = tx.with_timeout(both).await?;
        begun?;
        Ok((tx, rows?))
    }

    /// Begins after the transaction of a call, which had verified the API key: to record a call whose transaction was lost, or to
    /// merge what it added to the search index.
    pub async fn begin_after_call(db: &ServerDb, tenant: TenantId) -> Result<Self, DbError> {
        let tx = Self::connect(&db.0, tenant).await?;
        let begin_statement = tx.begin_statement(READ_COMMITTED);
        tx.run(&begin_statement).await?;
        Ok(tx)
    }

    /// Begins for an administrative operation, without an API key.
    pub async fn begin_as_admin(db: &AdminDb, tenant: TenantId) -> Result<Self, DbError> {
        let tx = Self::connect(&db.0, tenant).await?;
        let begin_statement = tx.begin_statement(READ_COMMITTED);
        tx.run(&begin_statement).await?;
        Ok(tx)
    }

    /// Begins a read-only transaction at isolation level REPEATABLE READ: all queries see the same snapshot.
    pub async fn begin_snapshot(db: &AdminDb, tenant: TenantId) -> Result<Self, DbError> {
        let tx = Self::connect(&db.0, tenant).await?;
        let begin_statement = tx.begin_statement(SNAPSHOT);
        tx.run(&begin_statement).await?;
        Ok(tx)
    }

    async fn connect(connections: &Connections, tenant: TenantId) -> Result<Self, DbError> {
        let (connection, permit) = connections.get_for(tenant).await?;
        Ok(Self {
            connection: Some(connection),
            permit: Some(permit),
            response_timeout: connections.response_timeout,
            timed_out: AtomicBool::new(false),
            statement_timed_out: AtomicBool::new(false),
            index_pending: AtomicBool::new(false),
            compaction_due: AtomicBool::new(false),
            embedding_due: AtomicBool::new(false),
            tls: connections.tls.clone(),
            scope: connections.scope,
            tenant,
        })
    }

    /// The tenant's setting is transaction-local, and a typed UUID needs no quoting. `CLOSE ALL` closes WITH HOLD cursors, which
    /// would still show the rows of the connection's previous transaction.
    fn begin_statement(&self, begin: &str) -> String {
        let begin = match self.scope {
            TxScope::Transaction => begin.to_owned(),
            TxScope::RollbackSession(role) => format!("SAVEPOINT call; SET LOCAL ROLE {role}"),
        };
        // PostgreSQL ends a statement before this process stops waiting for it, so that the transaction can still record what
        // happened. It ends an idle transaction later, because its locks would block other transactions if this process hangs.
        let statement_ms = self.statement_timeout().as_millis();
        let idle_ms = self.response_timeout.as_millis() * 2;
        format!(
            "{begin}; {SET_SEARCH_PATH}; CLOSE ALL; SET LOCAL app.current_tenant_id = '{}'; SET LOCAL statement_timeout = {statement_ms}; \
             SET LOCAL idle_in_transaction_session_timeout = {idle_ms}; SAVEPOINT work",
            self.tenant
        )
    }

    fn statement_timeout(&self) -> Duration {
        self.response_timeout * 2 / 3
    }

    /// The limit that a statement of this transaction exceeded, if one did: PostgreSQL's, or that of the wait for an answer.
    #[must_use]
    pub fn exceeded_limit(&self) -> Option<Duration> {
        if self.timed_out.load(Ordering::Relaxed) {
            Some(self.response_timeout)
        } else if self.statement_timed_out.load(Ordering::Relaxed) {
            Some(self.statement_timeout())
        } else {
            None
        }
    }

    /// Whether the transaction changed the catalog and has not yet indexed the change.
    #[must_use]
    pub fn is_index_pending(&self) -> bool {
        self.index_pending.load(Ordering::Relaxed)
    }

    pub fn set_index_pending(&self, is_pending: bool) {
        self.index_pending.store(is_pending, Ordering::Relaxed);
    }

    /// Whether the transaction left segments of the search index to merge.
    #[must_use]
    pub fn is_compaction_due(&self) -> bool {
        self.compaction_due.load(Ordering::Relaxed)
    }

    pub fn set_compaction_due(&self) {
        self.compaction_due.store(true, Ordering::Relaxed);
    }

    /// Whether the transaction changed skills, or found some without a vector for searches by meaning.
    #[must_use]
    pub fn is_embedding_due(&self) -> bool {
        self.embedding_due.load(Ordering::Relaxed)
    }

    pub fn set_embedding_due(&self) {
        self.embedding_due.store(true, Ordering::Relaxed);
    }

    const fn commit_statement(&self) -> &'static str {
        match self.scope {
            TxScope::Transaction => "COMMIT",
            TxScope::RollbackSession(_) => "RELEASE SAVEPOINT call",
        }
    }

    const fn rollback_statement(&self) -> &'static str {
        match self.scope {
            TxScope::Transaction => "ROLLBACK",
            TxScope::RollbackSession(_) => "ROLLBACK TO SAVEPOINT call; RELEASE SAVEPOINT call",
        }
    }

    /// Removes the time limits of this transaction's statements, for operations on all rows of a tenant.
    pub async fn without_time_limit(&mut self) -> Result<(), DbError> {
        self.response_timeout = NO_TIMEOUT;
        self.run("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
            .await
    }

    /// The tenant whose rows are visible. Every statement also filters by it.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(super) fn connection(&self) -> Result<&Object, DbError> {
        self.connection
            .as_ref()
            .ok_or_else(|| DbError::Unavailable("the transaction has ended".to_owned()))
    }

    /// Limits the wait for an answer: a database host that is down sends nothing. After one timeout every later statement fails at
    /// once, or the rollback and the usage event would wait as long again.
    async fn with_timeout<T>(&self, answer: impl Future<Output = T>) -> Result<T, DbError> {
        let timed_out = || {
            let limit = self.response_timeout.as_secs();
            DbError::Unavailable(format!("no answer within {limit} s"))
        };
        if self.timed_out.load(Ordering::Relaxed) {
            return Err(timed_out());
        }
        tokio::time::timeout(self.response_timeout, answer)
            .await
            .map_err(|_| {
                self.timed_out.store(true, Ordering::Relaxed);
                timed_out()
            })
    }

    /// Limits the wait for the result of a statement.
    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DbError> {
        let result = self.with_timeout(answer).await?;
        if let Err(error) = &result
            && error.code() == Some(&SqlState::QUERY_CANCELED)
        {
            self.statement_timed_out.store(true, Ordering::Relaxed);
        }
        Ok(result?)
    }

    /// Runs statements that return no rows.
    async fn run(&self, statements: &str) -> Result<(), DbError> {
        Ok(self
            .with_timeout(self.connection()?.batch_execute(statements))
            .await??)
    }

    async fn prepare(&self, sql: Sql) -> Result<Statement, DbError> {
        Ok(self
            .with_timeout(self.connection()?.prepare_cached(sql.text()))
            .await??)
    }

    /// Prepares statements, so that a `try_join` of their writes sends them in its order and in one round trip.
    pub async fn prepare_all(&self, statements: &[Sql]) -> Result<(), DbError> {
        for sql in statements {
            self.prepare(*sql).await?;
        }
        Ok(())
    }

    pub async fn query(&self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let statement = self.prepare(sql).await?;
        self.answer(self.connection()?.query(&statement, params)).await
    }

    /// Runs a statement that returns at most one row. More rows are an error.
    pub async fn query_opt(&self, sql: Sql, params: &[Param<'_>]) -> Result<Option<Row>, DbError> {
        let statement = self.prepare(sql).await?;
        self.answer(self.connection()?.query_opt(&statement, params))
            .await
    }

    /// Runs a statement that returns exactly one row. No row and more rows are errors.
    pub async fn query_one(&self, sql: Sql, params: &[Param<'_>]) -> Result<Row, DbError> {
        let statement = self.prepare(sql).await?;
        self.answer(self.connection()?.query_one(&statement, params))
            .await
    }

    /// Runs a write and returns the number of affected rows.
    pub async fn execute(&self, sql: Sql, params: &[Param<'_>]) -> Result<u64, DbError> {
        let statement = self.prepare(sql).await?;
        self.answer(self.connection()?.execute(&statement, params)).await
    }

    /// Runs a write that must affect exactly one row, else returns [`DbError::RowCount`].
    pub async fn execute_one(&self, sql: Sql, params: &[Param<'_>]) -> Result<(), DbError> {
        expect_one_row(self.execute(sql, params).await?)
    }

    /// Undoes everything since the begin. The transaction stays usable.
    pub async fn rollback_to_savepoint(&self) -> Result<(), DbError> {
        self.set_index_pending(false);
        self.run("ROLLBACK TO SAVEPOINT work").await
    }

    /// Inserts one last row and commits, in one round trip. Either both take effect or neither.
    ///
    /// # Errors
    /// See [`DbError::may_have_committed`]: after a lost connection the commit may have taken effect, with the row.
    pub async fn commit_with(mut self, sql: Sql, params: &[Param<'_>]) -> Result<(), DbError> {
        self.expect_index();
        let statement = self.prepare(sql).await?;
        let connection = self.connection()?;
        let all = futures::future::join(
            connection.batch_execute("RELEASE SAVEPOINT work"),
            futures::future::join(
                connection.execute(&statement, params),
                connection.batch_execute(self.commit_statement()),
            ),
        );
        let (released, (written, committed)) = self.with_timeout(all).await?;
        // COMMIT after a failed statement rolls back without an error, so the results of the other statements count too.
        committed?;
        let is_writable =
            |error: &tokio_postgres::Error| error.code() != Some(&SqlState::READ_ONLY_SQL_TRANSACTION);
        // A database that has become read-only was replaced in a failover. Without the release the connection is closed, and the
        // next one finds the new primary.
        if written.as_ref().err().is_none_or(is_writable) {
            self.release();
        }
        released?;
        expect_one_row(written?)
    }

    /// # Errors
    /// Also if an earlier statement failed. See [`DbError::may_have_committed`].
    pub async fn commit(mut self) -> Result<(), DbError> {
        self.expect_index();
        // After a failed statement RELEASE fails too; COMMIT alone would roll back without an error.
        let connection = self.connection()?;
        let both = futures::future::join(
            connection.batch_execute("RELEASE SAVEPOINT work"),
            connection.batch_execute(self.commit_statement()),
        );
        let (released, committed) = self.with_timeout(both).await?;
        committed?;
        self.release();
        released?;
        Ok(())
    }

    /// Searches would find the change all the same, and index it in memory each time.
    fn expect_index(&self) {
        debug_assert!(
            !self.is_index_pending(),
            "the catalog was changed and not indexed: call search::index_changes before the commit"
        );
    }

    /// Rolls back and returns the connection to the pool. Nothing is kept after an error either.
    pub async fn rollback(mut self) -> Result<(), DbError> {
        self.run(self.rollback_statement()).await?;
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        drop(self.connection.take());
        // After the connection, so that the next holder of the permit finds it in the pool.
        drop(self.permit.take());
    }
}

impl Drop for TenantTx {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let token = connection.cancel_token();
        // Removed from the pool and closed: PostgreSQL rolls back the transaction of a closed connection.
        drop(Object::take(connection));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(cancel(token, self.tls.clone()));
        }
    }
}

fn expect_one_row(actual: u64) -> Result<(), DbError> {
    if actual == 1 {
        Ok(())
    } else {
        Err(DbError::RowCount { expected: 1, actual })
    }
}
