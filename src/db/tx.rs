//! The only way to a tenant's rows.
//!
//! Invariant: a connection goes back to its pool only after COMMIT or ROLLBACK was with_timeout. Whatever else happens,
//! it is closed, so an open transaction, and with it a tenant's setting, never reaches the next caller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, Row, Statement};

use super::connect_options::Tls;
use super::fair_queue::ConnectionPermit;
use super::pool::{Connections, TxScope};
use super::{AdminDb, DbError, Param, SET_SEARCH_PATH, ServerDb, Sql};
use crate::ids::TenantId;

/// Longer than anything that the operator does to a tenant.
const UNLIMITED: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a statement of a call that was cut short may take to end by itself before it is cancelled.
const STATEMENT_GRACE: Duration = Duration::from_millis(20);

/// How a transaction begins. Said in full, since what holds must not depend on a setting of the database, and nowhere later,
/// since the begin_statement ends with a savepoint.
const READ_COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A transaction in which one tenant's rows can be seen, and no others.
///
/// It holds a savepoint from its start: [`Self::rollback_to_savepoint`] takes back what was done since, while the transaction, and
/// with it the chance to record what happened, lives on. Dropped without [`Self::commit`], it leaves nothing behind.
pub struct TenantTx {
    /// `None` only after the end.
    connection: Option<Object>,
    /// The tenant's place among those who use the database; given back with the connection.
    place: Option<ConnectionPermit>,
    tls: Tls,
    bounds: TxScope,
    patience: Duration,
    /// The database was waited for once, in vain. Whatever else is asked of it fails at once.
    timed_out: AtomicBool,
    tenant: TenantId,
}

impl TenantTx {
    /// Begins on behalf of a caller and runs `first`, the check of his key, in the same flight.
    ///
    /// # Errors
    /// When no connection is to be had or the database refuses a statement.
    pub async fn begin(
        db: &ServerDb,
        tenant: TenantId,
        first: Sql,
        params: &[Param<'_>],
    ) -> Result<(Self, Vec<Row>), DbError> {
        let tx = Self::connect(&db.0, tenant).await?;
        let statement = tx.prepare(first).await?;
        let begin_statement = tx.begin_statement(READ_COMMITTED);
        let connection = tx.connection()?;
        // Polled in this order, both are sent before either is with_timeout.
        let both = futures::future::join(
            connection.batch_execute(&begin_statement),
            connection.query(&statement, params),
        );
        let (opened, rows) = tx.with_timeout(both).await?;
        opened?;
        Ok((tx, rows?))
    }

    /// Begins on behalf of the operator, who needs no key.
    ///
    /// # Errors
    /// When no connection is to be had or the database refuses a statement.
    pub async fn begin_as_admin(db: &AdminDb, tenant: TenantId) -> Result<Self, DbError> {
        let tx = Self::connect(&db.0, tenant).await?;
        let begin_statement = tx.begin_statement(READ_COMMITTED);
        tx.run(&begin_statement).await?;
        Ok(tx)
    }

    /// The same, to read what there is at one moment, whatever others commit meanwhile. Nothing can be written.
    ///
    /// # Errors
    /// When no connection is to be had or the database refuses a statement.
    pub async fn begin_snapshot(db: &AdminDb, tenant: TenantId) -> Result<Self, DbError> {
        let tx = Self::connect(&db.0, tenant).await?;
        let begin_statement = tx.begin_statement(SNAPSHOT);
        tx.run(&begin_statement).await?;
        Ok(tx)
    }

    async fn connect(connections: &Connections, tenant: TenantId) -> Result<Self, DbError> {
        let (connection, place) = connections.get_for(tenant).await?;
        Ok(Self {
            connection: Some(connection),
            place: Some(place),
            patience: connections.patience,
            timed_out: AtomicBool::new(false),
            tls: connections.tls.clone(),
            bounds: connections.bounds,
            tenant,
        })
    }

    /// The setting is transaction-local and made of a typed UUID, so there is nothing to quote. A cursor that an
    /// earlier user of the connection held open over his end would still show his rows.
    fn begin_statement(&self, begin: &str) -> String {
        let begin = match self.bounds {
            TxScope::Transaction => begin.to_owned(),
            TxScope::RollbackSession(role) => format!("SAVEPOINT call; SET LOCAL ROLE {role}"),
        };
        // The database ends a statement before it is given up here, so that its transaction can still record what happened; and
        // a transaction whose program has gone silent some time after that: it holds locks that others wait for.
        let waited = self.patience.as_millis();
        let (statement, idle) = (waited * 4 / 5, waited * 12 / 5);
        format!(
            "{begin}; {SET_SEARCH_PATH}; CLOSE ALL; SET LOCAL app.current_tenant_id = '{}'; SET LOCAL statement_timeout = {statement}; \
             SET LOCAL idle_in_transaction_session_timeout = {idle}; SAVEPOINT work",
            self.tenant
        )
    }

    const fn commit_statement(&self) -> &'static str {
        match self.bounds {
            TxScope::Transaction => "COMMIT",
            TxScope::RollbackSession(_) => "RELEASE SAVEPOINT call",
        }
    }

    const fn rollback_statement(&self) -> &'static str {
        match self.bounds {
            TxScope::Transaction => "ROLLBACK",
            TxScope::RollbackSession(_) => "ROLLBACK TO SAVEPOINT call; RELEASE SAVEPOINT call",
        }
    }

    /// Lets the statements of this transaction take as long as they need: for what the operator does to a whole tenant.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn without_time_limit(&mut self) -> Result<(), DbError> {
        self.patience = UNLIMITED;
        self.run("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
            .await
    }

    /// The tenant whose rows are seen; every statement names it as well.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(super) fn connection(&self) -> Result<&Object, DbError> {
        self.connection
            .as_ref()
            .ok_or_else(|| DbError::Unavailable("the transaction has ended".to_owned()))
    }

    /// Waits for an answer of the database, but not for ever: a machine that is gone says nothing.
    /// Nor twice: what is undone or recorded afterwards would wait as long again.
    async fn with_timeout<T>(&self, answer: impl Future<Output = T>) -> Result<T, DbError> {
        let silent = || DbError::Unavailable("it does not answer".to_owned());
        if self.timed_out.load(Ordering::Relaxed) {
            return Err(silent());
        }
        tokio::time::timeout(self.patience, answer).await.map_err(|_| {
            self.timed_out.store(true, Ordering::Relaxed);
            silent()
        })
    }

    /// Runs statements that answer nothing.
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

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// When the database refuses it or is gone.
    pub async fn query(&self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let statement = self.prepare(sql).await?;
        Ok(self
            .with_timeout(self.connection()?.query(&statement, params))
            .await??)
    }

    /// Runs a statement that answers with one row at most.
    ///
    /// # Errors
    /// When the database refuses it, is gone, or answers with more rows.
    pub async fn query_opt(&self, sql: Sql, params: &[Param<'_>]) -> Result<Option<Row>, DbError> {
        let statement = self.prepare(sql).await?;
        Ok(self
            .with_timeout(self.connection()?.query_opt(&statement, params))
            .await??)
    }

    /// Runs a statement that answers with exactly one row.
    ///
    /// # Errors
    /// When the database refuses it, is gone, or answers with none or more.
    pub async fn query_one(&self, sql: Sql, params: &[Param<'_>]) -> Result<Row, DbError> {
        let statement = self.prepare(sql).await?;
        Ok(self
            .with_timeout(self.connection()?.query_one(&statement, params))
            .await??)
    }

    /// Runs a write and returns how many rows it touched.
    ///
    /// # Errors
    /// When the database refuses it or is gone.
    pub async fn execute(&self, sql: Sql, params: &[Param<'_>]) -> Result<u64, DbError> {
        let statement = self.prepare(sql).await?;
        Ok(self
            .with_timeout(self.connection()?.execute(&statement, params))
            .await??)
    }

    /// Runs a write that must touch exactly one row.
    ///
    /// # Errors
    /// When the database refuses it, is gone, or the write touches another number of rows.
    pub async fn execute_one(&self, sql: Sql, params: &[Param<'_>]) -> Result<(), DbError> {
        must_touch_one(self.execute(sql, params).await?)
    }

    /// Takes back everything since the start, and leaves the transaction usable.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn rollback_to_savepoint(&self) -> Result<(), DbError> {
        self.run("ROLLBACK TO SAVEPOINT work").await
    }

    /// Stops the statement that a dropped future left running, if there is one, then does as [`Self::rollback_to_savepoint`].
    ///
    /// A cancellation is on its way for a while after it was sent and hits whatever runs when it arrives, so it is
    /// sent only where something runs, and awaited before the transaction goes on: it must not hit the record.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn cancel_and_rollback(&self) -> Result<(), DbError> {
        let connection = self.connection()?;
        // Queued behind what may still be running: its answer tells that nothing runs any more.
        let probe = connection.batch_execute("SAVEPOINT probe");
        tokio::pin!(probe);
        if tokio::time::timeout(STATEMENT_GRACE, &mut probe).await.is_err() {
            let cancelling = cancel(connection.cancel_token(), self.tls.clone());
            self.with_timeout(cancelling).await?;
            // A good answer means that the statement had ended by itself: so something else waits to be hit instead.
            if self.with_timeout(probe).await?.is_ok() {
                let _hit = self.run("SELECT pg_sleep(1)").await;
            }
        }
        self.rollback_to_savepoint().await
    }

    /// Writes one last row and commits, in one flight. Nothing of the transaction stands unless both did.
    ///
    /// # Errors
    /// When the row is not written or the commit is not confirmed. After a lost connection the commit may still
    /// have happened, with the row.
    pub async fn commit_with(mut self, sql: Sql, params: &[Param<'_>]) -> Result<(), DbError> {
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
        // COMMIT after a failed statement succeeds, as a rollback: so it is the write's own result that counts.
        committed?;
        let takes_writes =
            |error: &tokio_postgres::Error| error.code() != Some(&SqlState::READ_ONLY_SQL_TRANSACTION);
        // A database that takes no writes any more was replaced by another, which a new connection finds.
        if written.as_ref().err().is_none_or(takes_writes) {
            self.release();
        }
        released?;
        must_touch_one(written?)
    }

    /// Commits.
    ///
    /// # Errors
    /// When the commit is not confirmed, or a statement had failed before it.
    pub async fn commit(mut self) -> Result<(), DbError> {
        // RELEASE fails where a statement has failed; COMMIT alone would then roll back and say it was well.
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

    /// Rolls back, and gives the connection back in good order.
    ///
    /// # Errors
    /// When the connection is lost; then nothing was kept either.
    pub async fn roll_back(mut self) -> Result<(), DbError> {
        self.run(self.rollback_statement()).await?;
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        drop(self.connection.take());
        // After the connection: whoever is next in turn finds it in the pool.
        drop(self.place.take());
    }
}

impl Drop for TenantTx {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let token = connection.cancel_token();
        // Out of the pool and closed: PostgreSQL rolls back what a closed connection left open.
        drop(Object::take(connection));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(cancel(token, self.tls.clone()));
        }
    }
}

/// Best effort: a statement that is not stopped runs into its time-out.
async fn cancel(token: tokio_postgres::CancelToken, tls: Tls) {
    let outcome = match tls {
        Tls::Off => token.cancel_query(NoTls).await,
        Tls::On(tls) => token.cancel_query(tls).await,
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a running statement could not be cancelled");
    }
}

fn must_touch_one(actual: u64) -> Result<(), DbError> {
    if actual == 1 {
        Ok(())
    } else {
        Err(DbError::RowCount { expected: 1, actual })
    }
}
