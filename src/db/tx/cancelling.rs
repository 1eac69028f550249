//! Cancels statements that nobody waits for.

use std::time::Duration;

use tokio_postgres::NoTls;

use super::TenantTx;
use crate::db::DbError;
use crate::db::connect_options::Tls;

/// How long [`TenantTx::cancel_and_rollback`] waits for a running statement to end before it cancels it.
const STATEMENT_GRACE: Duration = Duration::from_millis(20);
/// How long a cancel request may take to end the statement before it is sent again.
const CANCEL_RETRY: Duration = Duration::from_secs(1);

impl TenantTx {
    /// Cancels the statement that a dropped future left running, if there is one, then does [`Self::rollback_to_savepoint`].
    ///
    /// A cancel request takes effect on whichever statement runs when it arrives, and none may arrive at the insert of the
    /// usage event. So it is sent only if a statement is running, and this waits for the effect of each request.
    pub async fn cancel_and_rollback(&self) -> Result<(), DbError> {
        let connection = self.connection()?;
        // Queued behind a running statement: its answer means that no statement is running.
        let probe = connection.batch_execute("SAVEPOINT probe");
        tokio::pin!(probe);
        if tokio::time::timeout(STATEMENT_GRACE, &mut probe).await.is_err() {
            let mut in_transit = 0_u32;
            let cancelled = async {
                // PostgreSQL ignores a request that arrives before the backend has read the statement.
                loop {
                    cancel(connection.cancel_token(), self.tls.clone()).await;
                    in_transit += 1;
                    if let Ok(answer) = tokio::time::timeout(CANCEL_RETRY, &mut probe).await {
                        break answer;
                    }
                }
            };
            // If the probe succeeds, the statement ended by itself and every request may still arrive.
            if self.with_timeout(cancelled).await?.is_err() {
                in_transit -= 1;
            }
            self.absorb_cancel_requests(in_transit).await?;
        }
        self.rollback_to_savepoint().await
    }

    /// Lets cancel requests hit `pg_sleep`. One that does not arrive within a second was ignored.
    async fn absorb_cancel_requests(&self, in_transit: u32) -> Result<(), DbError> {
        for _ in 0..in_transit {
            self.rollback_to_savepoint().await?;
            if self.run("SELECT pg_sleep(1)").await.is_ok() {
                break;
            }
        }
        Ok(())
    }
}

/// Best effort: a statement that is not cancelled ends with PostgreSQL's `statement_timeout`.
pub(super) async fn cancel(token: tokio_postgres::CancelToken, tls: Tls) {
    let result = match tls {
        Tls::Off => token.cancel_query(NoTls).await,
        Tls::On(tls) => token.cancel_query(tls).await,
    };
    if let Err(error) = result {
        tracing::debug!(%error, "cannot cancel the running statement");
    }
}
