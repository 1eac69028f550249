//! The scanner's results, stored by the digest of the files that they are about.

use serde_json::{Value, json};
use skill_scanner::{Finding, ScanFile, ScanOptions, ScanReport, Severity};
use tokio_postgres::Row;

use super::audit::{self, Entry};
use super::caller::Caller;
use super::settings::Settings;
use super::versions::FileContents;
use super::{denylist, latest, skills};
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, SkillId};
use crate::sql;
use crate::tenancy::mask_keys;
use agent_skills::SkillFolder;

/// Scans the files of a skill. Takes up to a second of CPU time for the largest skills: call it outside of async code.
#[must_use]
pub fn scan_folder(folder: &SkillFolder) -> ScanReport {
    let files: Vec<ScanFile<'_>> = folder
        .files
        .iter()
        .map(|file| ScanFile {
            path: file.path.as_str(),
            bytes: &file.bytes,
            is_executable: file.is_executable,
        })
        .collect();
    skill_scanner::scan(&files, &ScanOptions::default())
}

/// Scans the stored files of a version.
#[must_use]
pub fn scan_contents(files: &[FileContents]) -> ScanReport {
    let files: Vec<ScanFile<'_>> = files
        .iter()
        .map(|file| ScanFile {
            path: &file.entry.path,
            bytes: &file.bytes,
            is_executable: file.entry.executable,
        })
        .collect();
    skill_scanner::scan(&files, &ScanOptions::default())
}

/// The stored result for the files with a digest.
#[derive(Debug, Clone)]
pub struct StoredScan {
    pub ruleset: String,
    pub findings: Vec<Finding>,
    /// The reason of the reviewer who allowed the files in spite of the findings.
    pub override_reason: Option<String>,
}

impl StoredScan {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let findings: Value = row.try_get("findings")?;
        Ok(Self {
            ruleset: row.try_get("ruleset")?,
            findings: serde_json::from_value(findings)
                .map_err(|error| DbError::Corrupt(format!("findings of the scanner: {error}")))?,
            override_reason: row.try_get("override_reason")?,
        })
    }
}

/// The findings that count for a tenant: those that are not in its baseline.
#[must_use]
pub fn counted<'a>(findings: &'a [Finding], settings: &Settings) -> Vec<&'a Finding> {
    findings
        .iter()
        .filter(|finding| !settings.scan_baseline.contains(&finding.fingerprint))
        .collect()
}

/// Whether the findings quarantine a version, unless a reviewer overrides them.
#[must_use]
pub fn quarantines(findings: &[Finding], settings: &Settings) -> bool {
    let worst = counted(findings, settings)
        .iter()
        .map(|finding| finding.severity)
        .max();
    match (worst, settings.quarantine_at) {
        (Some(worst), Some(threshold)) => worst >= threshold,
        (None, _) | (_, None) => false,
    }
}

/// The result for the files with this digest.
pub async fn find(tx: &TenantTx, digest: Digest) -> Result<Option<StoredScan>, DbError> {
    let row = tx
        .query_opt(
            sql!("scans/find.sql"),
            &[tx.tenant().as_uuid(), &digest.as_bytes().as_slice()],
        )
        .await?;
    row.as_ref().map(StoredScan::from_row).transpose()
}

/// Stores the result for the files with this digest; replaces an older result.
pub(super) async fn store(tx: &TenantTx, digest: Digest, report: &ScanReport) -> Result<(), DbError> {
    let findings = serde_json::to_value(&report.findings)
        .map_err(|error| DbError::Corrupt(format!("findings of the scanner: {error}")))?;
    let worst = report.worst.map(|severity: Severity| severity.to_string());
    tx.execute_one(
        sql!("scans/upsert.sql"),
        &[
            tx.tenant().as_uuid(),
            &digest.as_bytes().as_slice(),
            &report.ruleset,
            &worst,
            &super::display_metadata::without_nul(&findings),
        ],
    )
    .await
}

/// Whether a reviewer allowed the files with this digest in spite of critical findings.
pub(super) async fn is_overridden(tx: &TenantTx, digest: Digest) -> Result<bool, DbError> {
    let row = tx
        .query_opt(
            sql!("scans/is_overridden.sql"),
            &[tx.tenant().as_uuid(), &digest.as_bytes().as_slice()],
        )
        .await?;
    Ok(row.is_some())
}

/// Allows the files with this digest in spite of their findings, and releases the versions that have them. Entry:
/// `scan.override`. The caller must have checked the permission.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn override_findings(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    digest: Digest,
    reason: &str,
) -> Result<(), DbError> {
    let reviewer = caller.user.map(|user| *user.as_uuid());
    tx.execute(
        sql!("scans/insert_override.sql"),
        &[
            tx.tenant().as_uuid(),
            &digest.as_bytes().as_slice(),
            &reviewer,
            &mask_keys(reason),
        ],
    )
    .await?;
    set_quarantined(tx, digest, false).await?;
    let entry = Entry {
        actor: &caller.actor,
        action: "scan.override",
        subject: slug,
        details: json!({"after": {"digest": digest, "reason": reason}}),
        source: caller.source,
    };
    audit::write(tx, &entry).await
}

/// Quarantines or releases every version with this digest, unless it is denied, and updates the latest version of their skills. Returns the number
/// of versions that changed.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn set_quarantined(tx: &TenantTx, digest: Digest, quarantined: bool) -> Result<usize, DbError> {
    // Neither a reviewer nor a new scan releases what an administrator denied.
    let quarantined = quarantined || denylist::of_manifest(tx, digest).await?.is_some();
    let rows = tx
        .query(
            sql!("versions/set_quarantined.sql"),
            &[tx.tenant().as_uuid(), &digest.as_bytes().as_slice(), &quarantined],
        )
        .await?;
    let mut changed: Vec<SkillId> = Vec::new();
    for row in &rows {
        changed.push(SkillId::from_uuid(row.try_get("skill_id")?));
    }
    let count = changed.len();
    changed.sort_unstable();
    changed.dedup();
    for skill in changed {
        latest::refresh(tx, skill).await?;
    }
    Ok(count)
}

/// Files whose scan is missing or was made with other rules.
#[derive(Debug, Clone)]
pub struct Unscanned {
    pub version: crate::ids::VersionId,
    pub digest: Digest,
    pub slug: String,
    /// Label of one of the versions with these files.
    pub label: String,
}

/// The first `limit` digests whose scan is missing or was not made with the current rules.
pub async fn unscanned(tx: &TenantTx, limit: i64) -> Result<Vec<Unscanned>, DbError> {
    let ruleset = skill_scanner::ruleset_version();
    let rows = tx
        .query(
            sql!("versions/unscanned.sql"),
            &[tx.tenant().as_uuid(), &ruleset, &limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Unscanned {
                version: crate::ids::VersionId::from_uuid(row.try_get("id")?),
                digest: skills::digest(row, "digest")?,
                slug: row.try_get("slug")?,
                label: row.try_get("version")?,
            })
        })
        .collect()
}

/// Stores a new result for files that were scanned before, and quarantines or releases their versions. Entry:
/// `scan.quarantine` or `scan.release`, if that changed.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn rescan(
    tx: &TenantTx,
    caller: &Caller,
    files: &Unscanned,
    report: &ScanReport,
    settings: &Settings,
) -> Result<bool, DbError> {
    super::revision::next_revision(tx).await?;
    store(tx, files.digest, report).await?;
    let has_findings = quarantines(&report.findings, settings) && !is_overridden(tx, files.digest).await?;
    let quarantined = has_findings || denylist::of_manifest(tx, files.digest).await?.is_some();
    if set_quarantined(tx, files.digest, quarantined).await? > 0 {
        let entry = Entry {
            actor: &caller.actor,
            action: if quarantined {
                "scan.quarantine"
            } else {
                "scan.release"
            },
            subject: &files.slug,
            details: json!({"after": {"version": files.label, "digest": files.digest, "ruleset": report.ruleset}}),
            source: caller.source,
        };
        audit::write(tx, &entry).await?;
    }
    Ok(quarantined)
}
