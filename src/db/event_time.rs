//! The time at which a usage event can be stored, and the partitions that it needs; see [`super::usage_months`].

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::DbError;
use super::pool::{ServerDb, TxScope};
use crate::sql;

/// How long to wait for the database. Without its answer, events get the server's time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

impl ServerDb {
    /// The time at which a usage event that begins now can be stored: the server's, or the database's if the server's month has no
    /// partition and gets none.
    ///
    /// Sends statements only if the server's month is not known to have a partition. Call it outside of transactions: it takes a
    /// connection of its own.
    pub async fn event_time(&self) -> Timestamp {
        if let Some(time) = self.2.event_time() {
            return time;
        }
        // Such a session has one connection, in a transaction that is never committed.
        if matches!(self.0.scope, TxScope::RollbackSession(_)) {
            return Timestamp::now();
        }
        let _asking = self.2.ask().await;
        if let Some(time) = self.2.event_time() {
            return time;
        }
        if let Err(error) = self.find_or_create_months().await {
            tracing::warn!(%error, "cannot read which months have a partition of usage events");
            self.2.store_failure();
        }
        self.2.event_time().unwrap_or_else(Timestamp::now)
    }

    /// Has the partitions read again, after an event was refused because its month has none.
    pub fn forget_usage_months(&self) {
        self.2.forget();
    }

    /// Creates the missing partitions of the usage events for the coming months, and returns how many.
    ///
    /// # Errors
    /// When the database does not answer or rejects a statement.
    pub async fn ensure_usage_partitions(&self) -> Result<i32, DbError> {
        let connection = self.0.get().await?;
        let row = connection
            .query_one(sql!("usage/ensure_partitions.sql").text(), &[])
            .await?;
        self.store_months(
            &connection
                .query_one(sql!("pg_catalog/usage_months.sql").text(), &[])
                .await?,
        )?;
        Ok(row.try_get("created")?)
    }

    async fn find_or_create_months(&self) -> Result<(), DbError> {
        let no_answer = |_| DbError::Unavailable("no answer within 5 s".to_owned());
        let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
        let connection = tokio::time::timeout_at(deadline, self.0.get())
            .await
            .map_err(no_answer)??;
        let asking = async {
            let months = sql!("pg_catalog/usage_months.sql").text();
            self.store_months(&connection.query_one(months, &[]).await?)?;
            if self.2.has_current() {
                return Ok(());
            }
            tracing::warn!("this month has no partition of usage events; creating it");
            connection
                .query_one(sql!("usage/ensure_partitions.sql").text(), &[])
                .await?;
            self.store_months(&connection.query_one(months, &[]).await?)
        };
        let asked = tokio::time::timeout_at(deadline, asking).await;
        if asked.is_err() {
            // A connection with an outstanding answer must not return to the pool.
            drop(deadpool_postgres::Object::take(connection));
        }
        asked.map_err(no_answer)?
    }

    fn store_months(&self, row: &Row) -> Result<(), DbError> {
        self.2.store(row.try_get("months")?, row.try_get("clock")?);
        Ok(())
    }
}
