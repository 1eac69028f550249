//! `skillkeep tenant export` and `erase`: what a tenant may ask for by law, all of it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::error::SqlState;

use super::{audit, change_status};
use crate::cli::database::{self, db_failure};
use crate::cli::output;
use crate::config::Config;
use crate::db::{AdminDb, DbError, ExportItem, REDACTED_COLUMNS, TenantTx, export_tenant};
use crate::error::{CliError, CliErrorKind};
use crate::tenancy::tenants::{self, Status, Tenant};

/// Calls in flight end within half a minute, and the database tells of a deadlock after a second.
const MAX_ATTEMPTS: u32 = 60;

fn file_failure(path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(
        CliErrorKind::Refused,
        format!("cannot write {}: {error}", path.display()),
    )
}

/// A new file that only its owner may read.
fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// The files of an export while they are written.
struct Folder {
    at: PathBuf,
    tables: BTreeMap<String, (BufWriter<File>, u64)>,
    files: u64,
}

impl Folder {
    fn create(at: &Path) -> Result<Self, CliError> {
        let make = |path: &Path| {
            let made = DirBuilder::new().mode(0o700).create(path);
            made.map_err(|error| file_failure(path, &error))
        };
        make(at)?;
        make(&at.join("tables"))?;
        make(&at.join("files"))?;
        Ok(Self {
            at: at.to_path_buf(),
            tables: BTreeMap::new(),
            files: 0,
        })
    }

    fn take(&mut self, dumped: ExportItem<'_>) -> std::io::Result<()> {
        match dumped {
            ExportItem::Row { table, row } => {
                if !self.tables.contains_key(table) {
                    let file = create(&self.at.join("tables").join(format!("{table}.jsonl")))?;
                    self.tables.insert(table.to_owned(), (BufWriter::new(file), 0));
                }
                if let Some((file, rows)) = self.tables.get_mut(table) {
                    *rows += 1;
                    writeln!(file, "{row}")?;
                }
            }
            ExportItem::File { name, bytes } => {
                self.files += 1;
                create(&self.at.join("files").join(name))?.write_all(bytes)?;
            }
        }
        Ok(())
    }

    /// Writes down what is there, last: a folder without it is not whole.
    fn finish(self, slug: &str, rows: &BTreeMap<String, u64>) -> std::io::Result<()> {
        let manifest = json!({
            "tenant": slug, "exported_at": Timestamp::now(), "rows": rows, "files": self.files, "left_out": REDACTED_COLUMNS,
        });
        writeln!(create(&self.at.join("manifest.json"))?, "{manifest:#}")
    }

    /// How many rows of each table were written, once they all are on disk.
    fn rows(&mut self) -> std::io::Result<BTreeMap<String, u64>> {
        let mut rows = BTreeMap::new();
        for (table, (file, count)) in &mut self.tables {
            file.flush()?;
            rows.insert(table.clone(), *count);
        }
        Ok(rows)
    }
}

pub(super) async fn export(config: &Config, db: &AdminDb, slug: &str, out: &Path) -> Result<(), CliError> {
    let tenant = database::tenant(db, slug).await?;
    let mut folder = Folder::create(out)?;
    // Who took it out stands in the log before anything is out, and in what was taken out.
    let begun = json!({"state": "begun"});
    let tx = database::tenant_tx(db, slug).await?;
    audit(&tx, "tenant.export", slug, json!({"after": begun})).await?;
    tx.commit().await.map_err(db_failure)?;
    let mut failed = None;
    let exported = export_tenant(db, tenant.id, |item| {
        folder.take(item).map_err(|error| {
            let words = error.to_string();
            failed = Some(error);
            DbError::Corrupt(words)
        })
    })
    .await;
    if let Some(error) = failed {
        return Err(file_failure(out, &error));
    }
    exported.map_err(db_failure)?;
    let rows = folder.rows().map_err(|error| file_failure(out, &error))?;
    let files = folder.files;
    // Once more with what it came to; without that, it is not whole.
    let tx = database::tenant_tx(db, slug).await?;
    let done = json!({"before": begun, "after": {"state": "done", "rows": rows, "files": files}});
    audit(&tx, "tenant.export", slug, done).await?;
    tx.commit().await.map_err(db_failure)?;
    folder
        .finish(slug, &rows)
        .map_err(|error| file_failure(out, &error))?;
    let rows: u64 = rows.values().sum();
    if config.json {
        return output::json(&json!({"tenant": slug, "folder": out, "rows": rows, "files": files}));
    }
    output::line(&format!(
        "Wrote {rows} rows and {files} files of {slug} to {}.",
        out.display()
    ))
}

pub(super) async fn erase(config: &Config, db: &AdminDb, slug: &str, confirm: &str) -> Result<(), CliError> {
    if slug != confirm {
        return Err(CliError::new(
            CliErrorKind::Usage,
            format!("this erases everything of {slug} for ever; repeat its short name with --confirm {slug}"),
        ));
    }
    let tenant = database::tenant(db, slug).await?;
    // Its keys rest first, so that the calls in flight are the last ones and the erasure need not wait for others.
    let tx = database::tenant_tx(db, slug).await?;
    change_status(&tx, slug, Status::Suspended).await?;
    tx.commit().await.map_err(db_failure)?;
    let mut attempt = 1;
    let rows = loop {
        match erase_once(db, slug, &tenant).await {
            // A call in flight held what the erasure waited for, and waited for the tenant itself.
            Err(Stopped::Deadlock) if attempt < MAX_ATTEMPTS => attempt += 1,
            Err(Stopped::Deadlock) => {
                let words =
                    format!("calls of {slug} are still in the way; nothing was erased yet, try again");
                return Err(CliError::new(CliErrorKind::Refused, words));
            }
            Err(Stopped::Failed(failure)) => return Err(failure),
            Ok(rows) => break rows,
        }
    };
    let total: i64 = rows.values().sum();
    if config.json {
        return output::json(&json!({"tenant": slug, "id": tenant.id, "erased_rows": rows}));
    }
    output::line(&format!(
        "Erased {total} rows of {slug}. What is left is its audit log, as erased-{}.",
        tenant.id
    ))
}

/// Why an attempt to erase came to nothing.
enum Stopped {
    Deadlock,
    Failed(CliError),
}

/// Everything and the certificate, or nothing.
async fn erase_once(db: &AdminDb, slug: &str, tenant: &Tenant) -> Result<BTreeMap<String, i64>, Stopped> {
    let stopped = |error: DbError| match error.sql_state() {
        Some(state) if *state == SqlState::T_R_DEADLOCK_DETECTED => Stopped::Deadlock,
        Some(state) if *state == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
            Stopped::Failed(database::erased(slug))
        }
        Some(_) | None => Stopped::Failed(db_failure(error)),
    };
    let mut tx = TenantTx::begin_as_admin(db, tenant.id).await.map_err(stopped)?;
    let rows = tenants::erase(&mut tx).await.map_err(stopped)?;
    // The certificate: in the chain, so that it can be shown later that and what was erased.
    let certificate = json!({
        "before": {"status": tenant.status}, "after": {"status": "erased"}, "erased_rows": rows,
    });
    audit(&tx, "tenant.erase", &tenant.id.to_string(), certificate)
        .await
        .map_err(Stopped::Failed)?;
    tx.commit().await.map_err(stopped)?;
    Ok(rows)
}
