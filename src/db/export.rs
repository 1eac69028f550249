//! Everything of one tenant, table by table as the catalogue lists them, so that none is forgotten.

use serde_json::Value;

use super::isolation_probe::{tenant_column, tenant_tables};
use super::{AdminDb, DbError, TenantTx};
use crate::ids::TenantId;

/// Rows that are read at once.
const BATCH_SIZE: usize = 500;
/// Files that are read at once; each may have 16 MiB.
const FILES: usize = 4;
/// Columns that are good for nothing but to pass oneself off as somebody.
pub const REDACTED_COLUMNS: [&str; 2] = ["key_hash", "cursor_secret"];
/// The table whose bytes are files.
const BLOBS: &str = "blobs";

/// One thing of a tenant.
pub enum ExportItem<'a> {
    /// A row of a table, without the columns that are left out.
    Row {
        /// The table.
        table: &'a str,
        /// The row by its columns' names.
        row: Value,
    },
    /// A file.
    File {
        /// The SHA-256 of its bytes, in hexadecimal.
        name: String,
        /// Its bytes.
        bytes: &'a [u8],
    },
}

/// Gives everything of a tenant to `each`, as it was at one moment: a skill with all its files, or without any.
///
/// # Errors
/// When the database does not answer, or `each` fails.
pub async fn export_tenant(
    db: &AdminDb,
    tenant: TenantId,
    mut each: impl FnMut(ExportItem<'_>) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let mut tx = TenantTx::begin_snapshot(db, tenant).await?;
    tx.without_time_limit().await?;
    dump_tables(&tx, &mut each).await?;
    tx.roll_back().await
}

async fn dump_tables(
    tx: &TenantTx,
    each: &mut impl FnMut(ExportItem<'_>) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let connection = tx.connection()?;
    for table in tenant_tables(tx).await? {
        let column = tenant_column(&table);
        let (what, at_once) = if table == BLOBS {
            let row = "jsonb_build_object('tenant_id', t.tenant_id, 'digest', t.digest, 'created_at', t.created_at)";
            (format!("encode(t.digest, 'hex'), t.bytes, {row}"), FILES)
        } else {
            let left_out: String = REDACTED_COLUMNS
                .iter()
                .map(|name| format!(" - '{name}'"))
                .collect();
            (format!("to_jsonb(t){left_out}"), BATCH_SIZE)
        };
        let tenant = tx.tenant();
        connection
            .batch_execute(&format!(
                "DECLARE dump NO SCROLL CURSOR FOR SELECT {what} FROM {table} t WHERE t.{column} = '{tenant}' ORDER BY 1"
            ))
            .await?;
        loop {
            let rows = connection
                .query(&format!("FETCH {at_once} FROM dump"), &[])
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let column = if table == BLOBS {
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
                    row: row.try_get(column)?,
                })?;
            }
        }
        connection.batch_execute("CLOSE dump").await?;
    }
    Ok(())
}
