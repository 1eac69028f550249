//! Versions of a skill: manifests, files and history.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::caller::Viewer;
use super::lifecycle::VersionState;
use super::skills::{digest, state};
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, SkillId, UserId, VersionId};
use crate::sql;
use crate::tenancy::mask_keys;

/// One entry of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the skill's folder, with `/` between its parts.
    pub path: String,
    pub digest: Digest,
    /// Bytes.
    pub size: i64,
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

/// A manifest entry with the bytes of its file.
#[derive(Debug, Clone)]
pub struct FileContents {
    pub entry: FileEntry,
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

/// One version in the history of a skill.
#[derive(Debug, Clone)]
pub struct VersionSummary {
    pub version: String,
    pub digest: Digest,
    pub file_count: i32,
    pub total_bytes: i64,
    pub state: VersionState,
    /// Whether the scanner's findings forbid to install it.
    pub quarantined: bool,
    /// What the author changed; may be empty.
    pub change_note: String,
    /// Set if the version was yanked.
    pub yank_reason: Option<String>,
    pub created_at: Timestamp,
    /// The email address of the author, unless the version was imported.
    pub author_email: Option<String>,
}

impl VersionSummary {
    #[must_use]
    pub fn is_yanked(&self) -> bool {
        self.state == VersionState::Yanked
    }
}

/// The newest `limit` versions of the skill with this slug that the viewer may read, newest first.
pub async fn list(
    tx: &TenantTx,
    slug: &str,
    limit: i64,
    viewer: Viewer,
) -> Result<Vec<VersionSummary>, DbError> {
    let rows = tx
        .query(
            sql!("versions/list.sql"),
            &[
                tx.tenant().as_uuid(),
                &slug,
                &limit,
                &viewer.user_uuid(),
                &viewer.sees_all,
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(VersionSummary {
                version: row.try_get("version")?,
                digest: digest(row, "digest")?,
                file_count: row.try_get("file_count")?,
                total_bytes: row.try_get("total_bytes")?,
                state: state(row, "status")?,
                quarantined: row.try_get("quarantined")?,
                change_note: row.try_get("change_note")?,
                yank_reason: row.try_get("yank_reason")?,
                created_at: row
                    .try_get::<_, Option<Timestamp>>("published_at")?
                    .map_or_else(|| row.try_get("created_at"), Ok)?,
                author_email: row.try_get("created_by_email")?,
            })
        })
        .collect()
}

/// The manifest of the skill with this slug, in the version with this label or in its latest version. Empty if there is none.
pub async fn files(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
    viewer: Viewer,
) -> Result<Vec<FileEntry>, DbError> {
    let rows = tx
        .query(
            sql!("versions/files.sql"),
            &[
                tx.tenant().as_uuid(),
                &slug,
                &version,
                &viewer.user_uuid(),
                &viewer.sees_all,
            ],
        )
        .await?;
    rows.iter().map(FileEntry::from_row).collect()
}

/// One file of the skill with this slug, in the version with this label or in its latest version.
pub async fn file(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
    path: &str,
    viewer: Viewer,
) -> Result<Option<FileContents>, DbError> {
    let row = tx
        .query_opt(
            sql!("versions/file.sql"),
            &[
                tx.tenant().as_uuid(),
                &slug,
                &version,
                &path,
                &viewer.user_uuid(),
                &viewer.sees_all,
            ],
        )
        .await?;
    row.as_ref().map(FileContents::from_row).transpose()
}

/// Text, if the bytes are UTF-8 without NUL and with few other control characters: JSON needs six bytes for each of
/// those, base64 less than two.
///
/// # Errors
/// The bytes, if they are no text.
pub fn text_or_bytes(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    let is_control = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t');
    if bytes.contains(&0) || bytes.iter().filter(is_control).count() > bytes.len() / 16 {
        return Err(bytes);
    }
    String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
}

/// The state of a version, as the rules of the lifecycle need it.
#[derive(Debug, Clone)]
pub struct VersionRow {
    pub id: VersionId,
    pub skill: SkillId,
    /// 1 for the first version of a skill, then increased by 1.
    pub ordinal: i32,
    pub version: String,
    pub digest: Digest,
    pub state: VersionState,
    pub quarantined: bool,
    /// The author; `None` for an imported version.
    pub author: Option<UserId>,
    pub yank_reason: Option<String>,
    /// Whether it is or was published.
    pub was_published: bool,
}

/// Every version of these skills, oldest first.
pub async fn states(tx: &TenantTx, skills: &[SkillId]) -> Result<Vec<VersionRow>, DbError> {
    let ids: Vec<Uuid> = skills.iter().map(|id| *id.as_uuid()).collect();
    let rows = tx
        .query(sql!("versions/states.sql"), &[tx.tenant().as_uuid(), &ids])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(VersionRow {
                id: VersionId::from_uuid(row.try_get("id")?),
                skill: SkillId::from_uuid(row.try_get("skill_id")?),
                ordinal: row.try_get("ordinal")?,
                version: row.try_get("version")?,
                digest: digest(row, "digest")?,
                state: state(row, "status")?,
                quarantined: row.try_get("quarantined")?,
                author: row
                    .try_get::<_, Option<Uuid>>("created_by")?
                    .map(UserId::from_uuid),
                yank_reason: row.try_get("yank_reason")?,
                was_published: row.try_get("was_published")?,
            })
        })
        .collect()
}

/// Moves a version from one state to another; `reason` is stored for a yanked version. Returns `false`, and changes nothing,
/// if it is in another state than `from`.
pub async fn set_state(
    tx: &TenantTx,
    version: VersionId,
    from: VersionState,
    to: VersionState,
    reason: Option<&str>,
) -> Result<bool, DbError> {
    let reason = reason.map(mask_keys);
    let changed = tx
        .execute(
            sql!("versions/set_state.sql"),
            &[
                tx.tenant().as_uuid(),
                version.as_uuid(),
                &from.as_str(),
                &to.as_str(),
                &reason,
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// The manifest of a version.
pub async fn manifest(tx: &TenantTx, version: VersionId) -> Result<Vec<FileEntry>, DbError> {
    let rows = tx
        .query(
            sql!("versions/manifest.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid()],
        )
        .await?;
    rows.iter().map(FileEntry::from_row).collect()
}

/// A part of a file that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceRange {
    pub path: String,
    /// Bytes of the file before the part.
    pub first_byte: u64,
    /// The most bytes to read.
    pub bytes: u64,
}

/// Reads these parts of a version's files; the result maps paths to bytes. A path that the version lacks is left out.
pub async fn pieces(
    tx: &TenantTx,
    version: VersionId,
    ranges: &[PieceRange],
) -> Result<BTreeMap<String, Vec<u8>>, DbError> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let paths: Vec<&str> = ranges.iter().map(|range| range.path.as_str()).collect();
    let first_bytes: Vec<i64> = ranges.iter().map(|range| number(range.first_byte)).collect();
    let lengths: Vec<i64> = ranges.iter().map(|range| number(range.bytes)).collect();
    let rows = tx
        .query(
            sql!("versions/pieces.sql"),
            &[
                tx.tenant().as_uuid(),
                version.as_uuid(),
                &paths,
                &first_bytes,
                &lengths,
            ],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("path")?, row.try_get("piece")?)))
        .collect()
}

/// The first `bytes` bytes of a file; empty if the version lacks it.
pub async fn beginning(
    tx: &TenantTx,
    version: VersionId,
    path: &str,
    bytes: u64,
) -> Result<Vec<u8>, DbError> {
    let range = PieceRange {
        path: path.to_owned(),
        first_byte: 0,
        bytes,
    };
    let mut pieces = pieces(tx, version, &[range]).await?;
    Ok(pieces.remove(path).unwrap_or_default())
}

/// Every file of a version with its bytes.
///
/// # Errors
/// [`DbError::Corrupt`] if the bytes of a file do not match its digest.
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
