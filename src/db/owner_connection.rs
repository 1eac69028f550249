//! A single unpooled connection as the schema owner, for migrations.

use tokio_postgres::NoTls;

use super::connect_error::{connect_error, connect_timeout};
use super::{DatabaseUrl, DbError};

/// Connects as the role in `url`, which for migrations is the schema owner.
///
/// # Errors
/// [`DbError::Rejected`] if PostgreSQL refuses the connection, for example the role; [`DbError::Unavailable`] otherwise.
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
    let connected = async {
        let failed = |error| connect_error(url, error);
        match url.tls()? {
            Some(tls) => {
                let (client, connection) = url.config(true).connect(tls).await.map_err(failed)?;
                spawn(connection);
                Ok(client)
            }
            None => {
                let (client, connection) = url.config(false).connect(NoTls).await.map_err(failed)?;
                spawn(connection);
                Ok(client)
            }
        }
    };
    tokio::time::timeout(url.connect_timeout(), connected)
        .await
        .unwrap_or_else(|_| Err(connect_timeout(url)))
}
