//! What versions consist of.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::skills::digest;
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, VersionId};
use crate::sql;

/// One line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// The path inside the skill, with `/` between its parts.
    pub path: String,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// The file's size in bytes.
    pub size: i64,
    /// Whether it may be run.
    pub executable: bool,
}

impl FileEntry {
    pub(super) fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            path: row.try_get("path")?,
            digest: digest(row, "digest")?,
            size: row.try_get("size")?,
            executable: row.try_get::<_, &str>("mode")? == "executable",
        })
    }
}

/// A file with its bytes.
#[derive(Debug, Clone)]
pub struct FileContents {
    /// Its line in the manifest.
    pub entry: FileEntry,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl FileContents {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            entry: FileEntry::from_row(row)?,
            bytes: row.try_get("bytes")?,
        })
    }
}

/// One version in a skill's history.
#[derive(Debug, Clone)]
pub struct VersionLine {
    /// Its label.
    pub version: String,
    /// Its digest.
    pub digest: Digest,
    /// Files in it.
    pub file_count: i32,
    /// Bytes in it.
    pub total_bytes: i64,
    /// Whether it was yanked.
    pub yanked: bool,
    /// When it was published.
    pub created_at: Timestamp,
}

/// The newest versions of the skill of this slug, newest first, at most `limit`.
///
/// # Errors
/// When the database is away or refuses.
pub async fn list(tx: &TenantTx, slug: &str, limit: i64) -> Result<Vec<VersionLine>, DbError> {
    let rows = tx
        .query(sql!("versions/list.sql"), &[tx.tenant().as_uuid(), &slug, &limit])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(VersionLine {
                version: row.try_get("version")?,
                digest: digest(row, "digest")?,
                file_count: row.try_get("file_count")?,
                total_bytes: row.try_get("total_bytes")?,
                yanked: row.try_get::<_, &str>("status")? == "yanked",
                created_at: row.try_get("created_at")?,
            })
        })
        .collect()
}

/// The manifest of the skill of this slug, in the version of this label or in its latest.
///
/// # Errors
/// When the database is away or refuses.
pub async fn files(tx: &TenantTx, slug: &str, version: Option<&str>) -> Result<Vec<FileEntry>, DbError> {
    let rows = tx
        .query(
            sql!("versions/files.sql"),
            &[tx.tenant().as_uuid(), &slug, &version],
        )
        .await?;
    rows.iter().map(FileEntry::from_row).collect()
}

/// One file of it.
///
/// # Errors
/// When the database is away or refuses.
pub async fn file(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
    path: &str,
) -> Result<Option<FileContents>, DbError> {
    let row = tx
        .query_opt(
            sql!("versions/file.sql"),
            &[tx.tenant().as_uuid(), &slug, &version, &path],
        )
        .await?;
    row.as_ref().map(FileContents::from_row).transpose()
}

/// The manifest of a version.
///
/// # Errors
/// When the database is away or refuses.
pub async fn manifest(tx: &TenantTx, version: VersionId) -> Result<Vec<FileEntry>, DbError> {
    let rows = tx
        .query(
            sql!("versions/manifest.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid()],
        )
        .await?;
    rows.iter().map(FileEntry::from_row).collect()
}

/// Every file of a version with its bytes, each checked against its digest.
///
/// # Errors
/// When the database is away or refuses, or holds bytes that are not what their digest says.
pub async fn contents(tx: &TenantTx, version: VersionId) -> Result<Vec<FileContents>, DbError> {
    let rows = tx
        .query(
            sql!("versions/contents.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid()],
        )
        .await?;
    let files: Vec<FileContents> = rows
        .iter()
        .map(FileContents::from_row)
        .collect::<Result<_, _>>()?;
    match files
        .iter()
        .find(|file| Digest::of(&file.bytes) != file.entry.digest)
    {
        Some(file) => Err(DbError::Corrupt(format!(
            "the bytes of {} differ from their digest",
            file.entry.path
        ))),
        None => Ok(files),
    }
}
