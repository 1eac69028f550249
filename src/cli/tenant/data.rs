//! `skillkeep tenant export` and `erase`: data portability and erasure (GDPR, articles 20 and 17).

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use super::tenant_failure;
use crate::cli::database;
use crate::cli::files::{create_private, file_error};
use crate::cli::output;
use crate::config::Config;
use crate::db::{AdminDb, ExportItem, REDACTED_COLUMNS};
use crate::error::{CliError, CliErrorKind};
use crate::registry::administration;
use crate::registry::administration::tenants::{ExportError, ExportSink, ExportSummary};

/// The folder of an export while it is written.
struct ExportFolder {
    path: PathBuf,
    tables: BTreeMap<String, BufWriter<File>>,
}

impl ExportFolder {
    fn create(path: &Path) -> io::Result<Self> {
        let create = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        create(path)?;
        create(&path.join("tables"))?;
        create(&path.join("files"))?;
        Ok(Self {
            path: path.to_path_buf(),
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
        writeln!(create_private(&self.path.join("manifest.json"))?, "{manifest:#}")
    }
}

impl ExportSink for ExportFolder {
    fn write(&mut self, item: ExportItem<'_>) -> io::Result<()> {
        match item {
            ExportItem::Row { table, row } => {
                if !self.tables.contains_key(table) {
                    let file = create_private(&self.path.join("tables").join(format!("{table}.jsonl")))?;
                    self.tables.insert(table.to_owned(), BufWriter::new(file));
                }
                match self.tables.get_mut(table) {
                    Some(file) => writeln!(file, "{row}"),
                    // Inserted above.
                    None => Ok(()),
                }
            }
            ExportItem::File { name, bytes } => {
                create_private(&self.path.join("files").join(name))?.write_all(bytes)
            }
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
