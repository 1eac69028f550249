//! Usage events: one row for each call.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, Digest, EventId, SkillId, UserId, VersionId};
use crate::sql;

/// Outcome of a call, as stored in its usage event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    Ok,
    /// The tool returned an error that the caller can act on.
    ToolError,
    /// The arguments do not match the tool's schema.
    InvalidArguments,
    UnknownTool,
    /// Not a tool call: the name is missing or the arguments are not an object.
    Malformed,
    /// The API key lacks the tool's scope or may not call the tool.
    MissingScope,
    /// A rate limit of the API key or the tenant was reached.
    OverLimit,
    /// The tool panicked (a bug in skillkeep).
    Panicked,
    /// The call exceeded the call timeout.
    TimedOut,
    /// The client cancelled the request.
    Cancelled,
    /// The client disconnected before the response.
    ClientGone,
    /// The database rejected a statement of the tool (a bug in skillkeep).
    InternalError,
}

impl CallOutcome {
    /// Whether the call was answered without running a tool, so that anyone with a key can cause as many as they like.
    #[must_use]
    pub const fn is_refused(self) -> bool {
        match self {
            Self::InvalidArguments
            | Self::UnknownTool
            | Self::Malformed
            | Self::MissingScope
            | Self::OverLimit => true,
            Self::Ok
            | Self::ToolError
            | Self::Panicked
            | Self::TimedOut
            | Self::Cancelled
            | Self::ClientGone
            | Self::InternalError => false,
        }
    }

    /// The spelling in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::InvalidArguments => "invalid_arguments",
            Self::UnknownTool => "unknown_tool",
            Self::Malformed => "malformed",
            Self::MissingScope => "missing_scope",
            Self::OverLimit => "over_limit",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::ClientGone => "client_gone",
            Self::InternalError => "internal_error",
        }
    }
}

/// The skill and version that a call was about, if any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject {
    pub skill: Option<SkillId>,
    pub version: Option<VersionId>,
    /// Digest of the version.
    pub digest: Option<Digest>,
}

/// Usage event of a call. Contains no contents and no secrets. PRIVACY.md lists the columns.
#[derive(Debug, Clone)]
pub struct UsageEvent {
    /// Created when the call arrives; its time part selects the partition, see [`crate::db::ServerDb::event_time`].
    pub id: EventId,
    pub api_key: ApiKeyId,
    /// The owner of the API key.
    pub user: UserId,
    /// The tool or MCP method, as the caller named it.
    pub tool: String,
    pub subject: Subject,
    pub outcome: CallOutcome,
    /// Stable identifier of the error.
    pub error_code: Option<&'static str>,
    /// Microseconds from the arrival of the call to this event.
    pub duration_us: i64,
    /// `stdio`, `http` or `sse`.
    pub transport: &'static str,
    /// MCP protocol version.
    pub protocol_version: Option<String>,
    /// Client program, as it identifies itself.
    pub client_name: Option<String>,
    pub client_version: Option<String>,
    /// Id of the JSON-RPC request.
    pub request_id: Option<String>,
    /// W3C trace id, if the caller sent one.
    pub trace_id: Option<String>,
    pub idempotency_key: Option<String>,
    /// Names and sizes of the arguments, and the search text as far as the tenant's setting permits.
    pub arguments: Value,
    /// Number of hits of a search.
    pub result_count: Option<i32>,
    /// Size of the response.
    pub result_bytes: i64,
}

/// Inserts the usage event as the last statement of the call's transaction and commits, in one round trip.
///
/// # Errors
/// When the event is not written or the commit not confirmed; then no change of the call is committed.
pub async fn commit_with_event(tx: TenantTx, event: &UsageEvent) -> Result<(), DbError> {
    let tenant = tx.tenant();
    let digest = event.subject.digest.map(|digest| digest.as_bytes().to_vec());
    let skill = event.subject.skill.map(|id| *id.as_uuid());
    let version = event.subject.version.map(|id| *id.as_uuid());
    let outcome = event.outcome.as_str();
    let sql = sql!("usage/insert_event.sql");
    let row = sql.row([
        ("tenant_id", tenant.as_uuid()),
        ("id", event.id.as_uuid()),
        ("api_key_id", event.api_key.as_uuid()),
        ("user_id", event.user.as_uuid()),
        ("tool", &event.tool),
        ("skill_id", &skill),
        ("version_id", &version),
        ("digest", &digest),
        ("outcome", &outcome),
        ("error_code", &event.error_code),
        ("duration_us", &event.duration_us),
        ("transport", &event.transport),
        ("protocol_version", &event.protocol_version),
        ("client_name", &event.client_name),
        ("client_version", &event.client_version),
        ("request_id", &event.request_id),
        ("trace_id", &event.trace_id),
        ("idempotency_key", &event.idempotency_key),
        ("arguments", &event.arguments),
        ("result_count", &event.result_count),
        ("result_bytes", &event.result_bytes),
    ]);
    tx.commit_with(sql, &row).await
}

/// A stored usage event, as `skillkeep usage events` shows it. See [`UsageEvent`].
#[derive(Debug, Clone, Serialize)]
pub struct RecentEvent {
    pub id: EventId,
    pub created_at: Timestamp,
    pub tool: String,
    pub outcome: String,
    pub error_code: Option<String>,
    /// The user's email address.
    pub email: Option<String>,
    /// The skill's slug.
    pub skill: Option<String>,
    pub duration_us: i64,
    pub transport: String,
    pub protocol_version: Option<String>,
    pub client_name: Option<String>,
    pub client_version: Option<String>,
    pub arguments: Value,
    pub result_bytes: i64,
}

impl RecentEvent {
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_us.unsigned_abs())
    }
}

/// The newest events, newest first.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn recent(tx: &TenantTx, count: i64) -> Result<Vec<RecentEvent>, DbError> {
    let rows = tx
        .query(sql!("usage/recent.sql"), &[tx.tenant().as_uuid(), &count])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(RecentEvent {
                id: EventId::from_uuid(row.try_get("id")?),
                created_at: row.try_get("created_at")?,
                tool: row.try_get("tool")?,
                outcome: row.try_get("outcome")?,
                error_code: row.try_get("error_code")?,
                email: row.try_get("email")?,
                skill: row.try_get("skill")?,
                duration_us: row.try_get("duration_us")?,
                transport: row.try_get("transport")?,
                protocol_version: row.try_get("protocol_version")?,
                client_name: row.try_get("client_name")?,
                client_version: row.try_get("client_version")?,
                arguments: row.try_get("arguments")?,
                result_bytes: row.try_get("result_bytes")?,
            })
        })
        .collect()
}

/// How much a skill is used, and with what result.
#[derive(Debug, Clone, Copy, Default)]
pub struct SkillNumbers {
    /// Confirmed installs.
    pub installs: i64,
    /// Number of reports with the outcome `helped`.
    pub helped: i64,
    /// Number of reports with the outcome `failed`.
    pub failed: i64,
    /// Number of ratings.
    pub ratings: i64,
    /// Mean rating, 1 to 5.
    pub stars: Option<f64>,
    /// Whether a reviewer approved the latest version.
    pub is_reviewed: bool,
}

/// The numbers of these skills. Skills that do not exist or belong to another tenant have no entry.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn of_skills(tx: &TenantTx, ids: &[SkillId]) -> Result<HashMap<SkillId, SkillNumbers>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
    let rows = tx
        .query(sql!("usage/of_skills.sql"), &[tx.tenant().as_uuid(), &ids])
        .await?;
    rows.iter()
        .map(|row| {
            let numbers = SkillNumbers {
                installs: row.try_get("installs")?,
                helped: row.try_get("helped")?,
                failed: row.try_get("failed")?,
                ratings: row.try_get("ratings")?,
                stars: row.try_get("stars")?,
                is_reviewed: row.try_get("reviewed")?,
            };
            Ok((SkillId::from_uuid(row.try_get("skill_id")?), numbers))
        })
        .collect()
}
