//! The record of a call: its usage event is committed with its effects or, where its transaction is lost, in a second one.
//!
//! Time limits are nested so that the record has time left: PostgreSQL ends a statement after 20 s; a call is given up after
//! [`CALL_TIMEOUT`]; then its transaction has [`RECORD_TIMEOUT`] to record it, and a second transaction as long again.

use std::time::Duration;

use rmcp::ErrorData;
use tokio_postgres::error::SqlState;

use super::completion::{Completion, TxDisposition};
use super::errors;
use crate::db::{DbError, ServerDb, TenantTx};
use crate::ids::EventId;
use crate::registry::usage::{self, CallOutcome, Subject, UsageEvent};

/// The longest that a tool or method may run.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(25);
/// How long a transaction may take to record a call that has ended.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);

/// Records a completed call, and returns the reply that is then true.
///
/// # Errors
/// The call could not be recorded, neither in its own transaction nor in a second one.
pub(super) async fn record<R>(
    db: &ServerDb,
    tx: TenantTx,
    event: &mut UsageEvent,
    completion: Completion<R>,
) -> Result<Result<R, ErrorData>, ErrorData> {
    let tenant = tx.tenant();
    let disposition = completion.transaction;
    let recorded = tokio::time::timeout(RECORD_TIMEOUT, commit(tx, disposition, event)).await;
    let lost = match recorded {
        Ok(Ok(())) => return Ok(completion.reply),
        Ok(Err(error)) => error,
        Err(_) => {
            let limit = RECORD_TIMEOUT.as_secs();
            DbError::Unavailable(format!("the record was not committed within {limit} s"))
        }
    };
    if lost.is_missing_tenant() {
        return Err(not_recorded(event, &lost));
    }
    tracing::warn!(event = %event.id, error = %lost, "a call's transaction was lost; recording the call in another");
    let had_effects = disposition == TxDisposition::Commit;
    if had_effects {
        mark_lost(event);
    }
    if lost.is_missing_partition() {
        // The transaction was refused, so it cannot commit, and the second one needs no id in common with it.
        db.forget_usage_months();
        event.id = EventId::at(db.event_time().await);
    }
    let second =
        async { usage::commit_with_event(TenantTx::begin_after_call(db, tenant).await?, event).await };
    match tokio::time::timeout(RECORD_TIMEOUT, second).await {
        // The row has the key of the lost transaction's, so that one can no longer commit.
        Ok(Ok(())) if had_effects => Ok(Err(errors::not_committed())),
        Ok(Ok(())) => Ok(completion.reply),
        // The first transaction did commit; only the answer to its COMMIT was lost.
        Ok(Err(error)) if error.sql_state() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(completion.reply),
        Ok(Err(error)) => {
            tracing::error!(event = %event.id, %error, "the second transaction failed too");
            Err(not_recorded(event, &lost))
        }
        Err(_) => Err(not_recorded(event, &lost)),
    }
}

/// Changes the event of a call that succeeded to that of one whose effects were not committed.
fn mark_lost(event: &mut UsageEvent) {
    event.outcome = CallOutcome::InternalError;
    event.error_code = Some("not_committed");
    // The skill may be one that the lost transaction created.
    event.subject = Subject::default();
    event.result_count = None;
    event.result_bytes = 0;
}

fn not_recorded(event: &UsageEvent, error: &DbError) -> ErrorData {
    tracing::error!(event = %event.id, %error, "a call could not be recorded");
    errors::not_recorded(error)
}

/// Commits the record with the effects, or without them where they are to be rolled back.
async fn commit(tx: TenantTx, disposition: TxDisposition, event: &UsageEvent) -> Result<(), DbError> {
    match disposition {
        TxDisposition::Commit => {}
        TxDisposition::Rollback => tx.rollback_to_savepoint().await?,
        TxDisposition::CancelAndRollback => tx.cancel_and_rollback().await?,
    }
    usage::commit_with_event(tx, event).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::DatabaseUrl;

    #[tokio::test]
    async fn time_limits_of_statement_call_and_transaction_are_nested() {
        let url: DatabaseUrl = "postgres://x@localhost/x".parse().unwrap();
        let transaction = ServerDb::new(&url, 1).unwrap().response_timeout();
        let statement = transaction * 2 / 3;
        assert!(statement < CALL_TIMEOUT, "{statement:?}");
        assert!(CALL_TIMEOUT < transaction, "{transaction:?}");
        // PostgreSQL ends an idle transaction after twice the response timeout.
        assert!(CALL_TIMEOUT + RECORD_TIMEOUT < transaction * 2);
    }
}
