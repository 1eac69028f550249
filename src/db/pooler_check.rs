//! Whether a pooler gives each transaction another session of the database (PgBouncer: `pool_mode = transaction`).
//!
//! skillkeep needs sessions: `LISTEN` announces changes of a catalog, prepared statements belong to a session, and the role of an
//! administrator must not reach the next client.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{DatabaseUrl, DbError, connect_owner};

/// Rounds of the check. A pooler with several free sessions may give a client the same one by chance.
const ROUNDS: u32 = 3;
const BACKEND_PID: &str = "SELECT pg_backend_pid()";

/// Whether two connections share a session, or one connection gets another session for its next transaction.
///
/// PgBouncer with `pool_mode = statement` refuses a transaction, which also counts.
///
/// # Errors
/// The database cannot be reached.
pub async fn shares_sessions(url: &DatabaseUrl) -> Result<bool, DbError> {
    let (first, second) = tokio::try_join!(connect_owner(url), connect_owner(url))?;
    for _ in 0..ROUNDS {
        let before = backend(&first).await?;
        // Keeps a session of the pooler for this connection.
        match second.batch_execute("BEGIN").await {
            Ok(()) => {}
            Err(refused) if refused.as_db_error().is_some() => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let other = backend(&second).await?;
        let after = backend(&first).await?;
        second.batch_execute("ROLLBACK").await?;
        if before == other || before != after {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn backend(client: &Client) -> Result<Option<String>, DbError> {
    let messages = client.simple_query(BACKEND_PID).await?;
    Ok(messages.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message {
            row.get(0).map(str::to_owned)
        } else {
            None
        }
    }))
}
