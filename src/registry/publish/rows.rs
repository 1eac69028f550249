//! The statements of publishing.

use serde_json::Value;
use uuid::Uuid;

use super::{NewVersion, Placement};
use crate::db::{DbError, Sql, TenantTx};
use crate::ids::{SkillId, Slug, VersionId};
use crate::registry::display_metadata::{DisplayMetadata, without_nul};
use crate::registry::lifecycle::VersionState;
use crate::registry::versions::VersionRow;
use crate::sql;
use crate::tenancy::mask_keys;
use agent_skills::SkillFolder;

/// The statements that [`super::store`] sends in one round trip.
pub(super) const STATEMENTS: [Sql; 8] = [
    sql!("skills/insert.sql"),
    sql!("versions/insert.sql"),
    sql!("versions/insert_blobs.sql"),
    sql!("versions/insert_files.sql"),
    sql!("scans/upsert.sql"),
    sql!("skills/set_latest.sql"),
    sql!("signatures/insert.sql"),
    sql!("audit/insert.sql"),
];

pub(super) async fn insert_skill(
    tx: &TenantTx,
    skill: SkillId,
    slug: &Slug,
    new: &NewVersion<'_>,
    display: &DisplayMetadata,
    revision: i64,
) -> Result<(), DbError> {
    let (tenant, slug, metadata) = (tx.tenant(), slug.as_str(), &display.metadata);
    let (source_name, source) = match new.placement {
        Placement::Source(source) => (source.name, Some(source.path)),
        Placement::Slug(_) => ("", None),
    };
    let user = new.caller.user.map(|user| *user.as_uuid());
    let origin = new.origin.as_ref();
    let (origin_skill, origin_version, origin_digest) = (
        origin.map(|origin| *origin.skill.as_uuid()),
        origin.map(|origin| origin.version.as_str()),
        origin.map(|origin| origin.digest.as_bytes().to_vec()),
    );
    let sql = sql!("skills/insert.sql");
    let row = sql.row([
        ("tenant_id", tenant.as_uuid()),
        ("id", skill.as_uuid()),
        ("slug", &slug),
        ("name", &metadata.name),
        ("description", &metadata.description),
        ("category", &metadata.category),
        ("tags", &metadata.tags),
        ("author", &metadata.author),
        ("license", &metadata.license),
        ("conformant", &metadata.conformant),
        ("notes", &display.notes),
        ("source_name", &source_name),
        ("source", &source),
        ("revision", &revision),
        ("created_by", &user),
        ("owner_id", &user),
        ("origin_skill_id", &origin_skill),
        ("origin_version", &origin_version),
        ("origin_digest", &origin_digest),
    ]);
    tx.execute_one(sql, &row).await
}

pub(super) async fn insert_version(
    tx: &TenantTx,
    version: &VersionRow,
    new: &NewVersion<'_>,
) -> Result<(), DbError> {
    let tenant = tx.tenant();
    let file_count = i32::try_from(new.folder.files.len()).unwrap_or(i32::MAX);
    let total_bytes = i64::try_from(new.folder.total_bytes()).unwrap_or(i64::MAX);
    let front_matter = without_nul(&Value::Object(new.document.front_matter.clone()));
    let published_at = (version.state == VersionState::Published).then(jiff::Timestamp::now);
    let author = version.author.map(|user| *user.as_uuid());
    let digest = version.digest.as_bytes().as_slice();
    let state = version.state.as_str();
    let change_note = mask_keys(new.change_note);
    let sql = sql!("versions/insert.sql");
    let row = sql.row([
        ("tenant_id", tenant.as_uuid()),
        ("id", version.id.as_uuid()),
        ("skill_id", version.skill.as_uuid()),
        ("ordinal", &version.ordinal),
        ("version", &version.version),
        ("digest", &digest),
        ("front_matter", &front_matter),
        ("file_count", &file_count),
        ("total_bytes", &total_bytes),
        ("status", &state),
        ("published_at", &published_at),
        ("quarantined", &version.quarantined),
        ("change_note", &change_note),
        ("created_by", &author),
    ]);
    tx.execute_one(sql, &row).await
}

/// Sent before [`insert_files`], whose rows refer to the blobs.
pub(super) async fn insert_blobs(
    tx: &TenantTx,
    folder: &SkillFolder,
    digests: &[Vec<u8>],
) -> Result<(), DbError> {
    let tenant = tx.tenant();
    let bytes: Vec<&[u8]> = folder.files.iter().map(|file| file.bytes.as_slice()).collect();
    tx.execute(
        sql!("versions/insert_blobs.sql"),
        &[tenant.as_uuid(), &digests, &bytes],
    )
    .await?;
    Ok(())
}

pub(super) async fn insert_files(
    tx: &TenantTx,
    version: VersionId,
    folder: &SkillFolder,
    digests: &[Vec<u8>],
) -> Result<(), DbError> {
    let tenant = tx.tenant();
    let paths: Vec<&str> = folder.files.iter().map(|file| file.path.as_str()).collect();
    let sizes: Vec<i64> = folder.files.iter().map(|file| size(&file.bytes)).collect();
    let modes: Vec<&str> = folder
        .files
        .iter()
        .map(|file| if file.is_executable { "executable" } else { "file" })
        .collect();
    let inserted = tx
        .execute(
            sql!("versions/insert_files.sql"),
            &[
                tenant.as_uuid(),
                version.as_uuid() as &Uuid,
                &paths,
                &digests,
                &sizes,
                &modes,
            ],
        )
        .await?;
    let expected = u64::try_from(paths.len()).unwrap_or(u64::MAX);
    if inserted == expected {
        Ok(())
    } else {
        Err(DbError::RowCount {
            expected,
            actual: inserted,
        })
    }
}

/// The digest of each file, in the order of the files.
pub(super) fn digests(folder: &SkillFolder) -> Vec<Vec<u8>> {
    folder
        .files
        .iter()
        .map(|file| file.digest().as_bytes().to_vec())
        .collect()
}

fn size(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}
