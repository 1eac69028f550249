//! Which copies of skills exist, for administrators. A place is a user, a machine, an assistant, a folder and a skill; its
//! newest install counts.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use crate::db::{DbError, TenantTx};
use crate::ids::VersionId;
use crate::sql;

/// Hexadecimal digits that are shown of a hashed machine.
const SHOWN_BYTES: usize = 6;

/// Which copies to list. `None` for all.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyFilter<'a> {
    /// Slug.
    pub skill: Option<&'a str>,
    /// Email address.
    pub user: Option<&'a str>,
    /// Label.
    pub version: Option<&'a str>,
}

/// The newest install in a place.
#[derive(Debug, Clone, Serialize)]
pub struct InstalledCopy {
    pub skill: String,
    pub version: String,
    /// Email address.
    pub user: String,
    /// The machine's name, or `#` and the first digits of its hash. `None` if it was not reported.
    pub machine: Option<String>,
    pub assistant: String,
    /// Relative to the project root, or to the home directory with `~/`.
    pub folder: String,
    /// `offered`, or what a machine reported: `live`, `stale`, `shadowed`, `drifted`, `removed`.
    pub state: String,
    pub installed_at: Timestamp,
    /// The last report. `None` if there was none.
    pub last_seen_at: Option<Timestamp>,
    /// Whether the version was withdrawn, or findings or the denylist forbid to use it.
    pub forbidden: bool,
}

impl InstalledCopy {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let device_state: Option<String> = row.try_get("device_state")?;
        Ok(Self {
            skill: row.try_get("slug")?,
            version: row.try_get("version")?,
            user: row.try_get("email")?,
            machine: machine(row)?,
            assistant: row.try_get("assistant")?,
            folder: row.try_get("target")?,
            state: match device_state {
                Some(state) => state,
                None => reported_state(row.try_get("state")?).to_owned(),
            },
            installed_at: row.try_get("created_at")?,
            last_seen_at: row.try_get("seen_at")?,
            forbidden: row.try_get::<_, bool>("yanked")? || row.try_get("quarantined")?,
        })
    }
}

/// The state of an install from before machines reported one.
fn reported_state(state: &str) -> &str {
    match state {
        "confirmed" => "live",
        "mismatched" => "drifted",
        other => other,
    }
}

fn machine(row: &Row) -> Result<Option<String>, DbError> {
    let bytes: Option<&[u8]> = row.try_get("machine")?;
    let is_name: bool = row.try_get("machine_named")?;
    Ok(bytes.map(|bytes| {
        if is_name {
            return String::from_utf8_lossy(bytes).into_owned();
        }
        let digits = bytes.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}"));
        std::iter::once("#".to_owned()).chain(digits).collect()
    }))
}

/// The copies that a filter names, last seen first, at most `limit`.
pub async fn copies(
    tx: &TenantTx,
    filter: &CopyFilter<'_>,
    limit: i64,
) -> Result<Vec<InstalledCopy>, DbError> {
    let rows = tx
        .query(
            sql!("installs/current.sql"),
            &[
                tx.tenant().as_uuid(),
                &filter.skill,
                &filter.user,
                &filter.version,
                &limit,
            ],
        )
        .await?;
    rows.iter().map(InstalledCopy::from_row).collect()
}

/// Numbers of a version, of one assistant or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Affected {
    pub users: i64,
    /// Machines that reported. Those without a report are not counted.
    pub machines: i64,
    /// Copies on disk, as far as they were reported.
    pub copies: i64,
    /// Of these, unchanged and used.
    pub live: i64,
    /// Handed out, without a report.
    pub offered: i64,
}

/// The numbers of one assistant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AffectedAssistant {
    pub assistant: String,
    #[serde(flatten)]
    pub numbers: Affected,
}

/// Who has a version: in total, and by assistant.
pub async fn affected(
    tx: &TenantTx,
    version: VersionId,
) -> Result<(Affected, Vec<AffectedAssistant>), DbError> {
    let rows = tx
        .query(
            sql!("installs/affected.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid()],
        )
        .await?;
    let (mut total, mut assistants) = (Affected::default(), Vec::new());
    for row in &rows {
        let numbers = Affected {
            users: row.try_get("users")?,
            machines: row.try_get("machines")?,
            copies: row.try_get("copies")?,
            live: row.try_get("live")?,
            offered: row.try_get("offered")?,
        };
        match row.try_get::<_, Option<String>>("assistant")? {
            Some(assistant) => assistants.push(AffectedAssistant { assistant, numbers }),
            None => total = numbers,
        }
    }
    Ok((total, assistants))
}
