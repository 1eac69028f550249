//! A single unpooled connection as the schema owner, for migrations.

use tokio_postgres::NoTls;

use super::{DatabaseUrl, DbError};

/// Connects as the role in `url`, which for migrations is the schema owner.
///
/// # Errors
/// [`DbError::Statement`] if PostgreSQL rejects the connection, for example the role; [`DbError::Unavailable`] otherwise.
pub async fn connect_owner(url: &DatabaseUrl) -> Result<tokio_postgres::Client, DbError> {
    fn spawn<S, T>(connection: tokio_postgres::Connection<S, T>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        tokio::spawn(async move {
            // An error here is also returned by the statement that is running.
            let _ = connection.await;
        });
    }
    let connect_error = |error: tokio_postgres::Error| match error.as_db_error() {
        Some(_) => DbError::Statement(error),
        None => DbError::Unavailable(error.to_string()),
    };
    match url.tls()? {
        Some(tls) => {
            let (client, connection) = url.config(true).connect(tls).await.map_err(connect_error)?;
            spawn(connection);
            Ok(client)
        }
        None => {
            let (client, connection) = url.config(false).connect(NoTls).await.map_err(connect_error)?;
            spawn(connection);
            Ok(client)
        }
    }
}
