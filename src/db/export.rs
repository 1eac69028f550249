//! Exports all data of one tenant. The tables come from the system catalog, so that none is forgotten.

use serde_json::Value;

use super::tenant_tables::{tenant_column, tenant_tables};
use super::{AdminDb, DbError, TenantTx};
use crate::ids::TenantId;

/// Number of rows that one FETCH reads.
const ROWS_PER_FETCH: usize = 500;
/// Number of files that one FETCH reads; a file has up to 16 MiB.
const FILES_PER_FETCH: usize = 4;
/// Credential columns, omitted from exports.
pub const REDACTED_COLUMNS: [&str; 3] = ["key_hash", "secret_hash", "cursor_secret"];
/// The table whose column `bytes` is exported as files.
const BLOBS: &str = "blobs";

/// One item of an export.
pub enum ExportItem<'a> {
    /// A row, as a JSON object without [`REDACTED_COLUMNS`].
    Row { table: &'a str, row: Value },
    File {
        /// SHA-256 of the bytes, in hexadecimal.
        name: String,
        bytes: &'a [u8],
    },
}

/// Passes all data of a tenant to `each`, from one snapshot: a skill comes with all of its files, or not at all.
///
/// # Errors
/// The database is unavailable or rejects a statement, or `each` fails.
pub async fn export_tenant(
    db: &AdminDb,
    tenant: TenantId,
    mut each: impl FnMut(ExportItem<'_>) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let mut tx = TenantTx::begin_snapshot(db, tenant).await?;
    tx.without_time_limit().await?;
    export_tables(&tx, &mut each).await?;
    tx.rollback().await
}

async fn export_tables(
    tx: &TenantTx,
    each: &mut impl FnMut(ExportItem<'_>) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let connection = tx.connection()?;
    for table in tenant_tables(tx).await? {
        let column = tenant_column(&table);
        let (columns, rows_per_fetch) = if table == BLOBS {
            let row = "jsonb_build_object('tenant_id', t.tenant_id, 'digest', t.digest, 'created_at', t.created_at)";
            (
                format!("encode(t.digest, 'hex'), t.bytes, {row}"),
                FILES_PER_FETCH,
            )
        } else {
            let redacted: String = REDACTED_COLUMNS
                .iter()
                .map(|name| format!(" - '{name}'"))
                .collect();
            (format!("to_jsonb(t){redacted}"), ROWS_PER_FETCH)
        };
        let tenant = tx.tenant();
        connection
            .batch_execute(&format!(
                "DECLARE export NO SCROLL CURSOR FOR SELECT {columns} FROM {table} t WHERE t.{column} = '{tenant}' ORDER BY 1"
            ))
            .await?;
        loop {
            let rows = connection
                .query(&format!("FETCH {rows_per_fetch} FROM export"), &[])
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let row_position = if table == BLOBS {
                    each(ExportItem::File {
                        name: row.try_get(0)?,
                        bytes: row.try_get(1)?,
                    })?;
                    2
                } else {
                    0
                };
                each(ExportItem::Row {
                    table: &table,
                    row: row.try_get(row_position)?,
                })?;
            }
        }
        connection.batch_execute("CLOSE export").await?;
    }
    Ok(())
}
