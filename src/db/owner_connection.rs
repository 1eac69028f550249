//! The way in of the owner of the schema, beside every pool.

use tokio_postgres::NoTls;

use super::{DatabaseUrl, DbError};

/// One connection by the role that owns the schema, for migrations only.
///
/// # Errors
/// When the database cannot be reached or refuses the role.
pub async fn connect_owner(url: &DatabaseUrl) -> Result<tokio_postgres::Client, DbError> {
    fn drive<S, T>(connection: tokio_postgres::Connection<S, T>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        tokio::spawn(async move {
            // Its end is reported to whoever waits for a statement on it.
            let _ = connection.await;
        });
    }
    let refused = |error: tokio_postgres::Error| match error.as_db_error() {
        Some(_) => DbError::Statement(error),
        None => DbError::Unavailable(error.to_string()),
    };
    match url.tls()? {
        Some(tls) => {
            let (client, connection) = url.config(true).connect(tls).await.map_err(refused)?;
            drive(connection);
            Ok(client)
        }
        None => {
            let (client, connection) = url.config(false).connect(NoTls).await.map_err(refused)?;
            drive(connection);
            Ok(client)
        }
    }
}
