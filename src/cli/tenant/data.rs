//! `skillkeep tenant export` and `erase`: data portability and erasure (GDPR, articles 20 and 17).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use folder_handle::FolderHandle;
use jiff::Timestamp;
use serde_json::json;

use super::tenant_failure;
use crate::cli::database;
use crate::cli::files::file_error;
use crate::cli::output;
use crate::config::Config;
use crate::db::{AdminDb, ExportItem, REDACTED_COLUMNS};
use crate::error::{CliError, CliErrorKind};
use crate::registry::administration;
use crate::registry::administration::tenants::{ExportError, ExportSink, ExportSummary};

/// The folder of an export while it is written. Files are created by the handles of its folders: the folder around it may belong to another
/// account, which could replace the export with a link.
struct ExportFolder {
    root: FolderHandle,
    tables_folder: FolderHandle,
    files_folder: FolderHandle,
    tables: BTreeMap<String, BufWriter<File>>,
}

impl ExportFolder {
    fn create(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let (Some(around), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        let root = FolderHandle::open_where_trusted(around)?.create_folder(name, 0o700)?;
        Ok(Self {
            tables_folder: root.create_folder("tables".as_ref(), 0o700)?,
            files_folder: root.create_folder("files".as_ref(), 0o700)?,
            root,
            tables: BTreeMap::new(),
        })
    }

    /// Writes `manifest.json`, the last file: a folder without it is incomplete.
    fn finish(self, slug: &str, summary: &ExportSummary) -> io::Result<()> {
        let manifest = json!({
            "tenant": slug,
            "exported_at": Timestamp::now(),
            "rows": summary.rows,
            "files": summary.files,
            "left_out": REDACTED_COLUMNS,
        });
        writeln!(create(&self.root, "manifest.json")?, "{manifest:#}")
    }
}

fn create(folder: &FolderHandle, name: &str) -> io::Result<File> {
    folder.create_new(Path::new(name), 0o600)
}

impl ExportSink for ExportFolder {
    fn write(&mut self, item: ExportItem<'_>) -> io::Result<()> {
        match item {
            ExportItem::Row { table, row } => {
                if !self.tables.contains_key(table) {
                    let file = create(&self.tables_folder, &format!("{table}.jsonl"))?;
                    self.tables.insert(table.to_owned(), BufWriter::new(file));
                }
                match self.tables.get_mut(table) {
                    Some(file) => writeln!(file, "{row}"),
                    // Inserted above.
                    None => Ok(()),
                }
            }
            ExportItem::File { name, bytes } => create(&self.files_folder, &name)?.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tables.values_mut().try_for_each(BufWriter::flush)
    }
}

pub(super) async fn export(config: &Config, db: &AdminDb, slug: &str, out: &Path) -> Result<(), CliError> {
    let write_error = |error: io::Error| file_error("cannot write", out, &error);
    let tenant = database::tenant(db, slug).await?;
    let mut folder = ExportFolder::create(out).map_err(write_error)?;
    let summary = administration::tenants::export(db, &database::operator(), &tenant, &mut folder)
        .await
        .map_err(|error| match error {
            ExportError::Sink(error) => write_error(error),
            ExportError::Tenant(error) => tenant_failure(error, slug),
        })?;
    folder.finish(slug, &summary).map_err(write_error)?;
    let (rows, files): (u64, u64) = (summary.rows.values().sum(), summary.files);
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
            format!("this erases everything of {slug} and cannot be undone; confirm with --confirm {slug}"),
        ));
    }
    let tenant = database::tenant(db, slug).await?;
    let rows = administration::tenants::erase(db, &database::operator(), &tenant)
        .await
        .map_err(|error| tenant_failure(error, slug))?;
    if config.json {
        return output::json(&json!({"tenant": slug, "id": tenant.id, "erased_rows": rows}));
    }
    let total: i64 = rows.values().sum();
    output::line(&format!(
        "Erased {total} rows of {slug}. Its audit log remains, as the tenant erased-{}.",
        tenant.id
    ))
}
