//! A single unpooled connection as the schema owner, for migrations, and what that role must be.

use tokio_postgres::NoTls;

use super::connect_error::{connect_error, connect_timeout};
use super::migrations::SchemaError;
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

/// Refuses a role that no policy binds, before anything is changed.
///
/// # Errors
/// [`SchemaError::UnboundOwner`], or the database is unavailable.
pub async fn require_bound_owner(client: &tokio_postgres::Client) -> Result<(), SchemaError> {
    let row = client
        .query_one(
            "SELECT r.rolname::text AS role, r.rolsuper OR r.rolbypassrls AS is_unbound
             FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
            &[],
        )
        .await?;
    if row.try_get("is_unbound")? {
        return Err(SchemaError::UnboundOwner {
            role: row.try_get("role")?,
        });
    }
    Ok(())
}
