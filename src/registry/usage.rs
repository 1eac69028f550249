//! The record of each call.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::db::{AdminDb, DbError, Param, TenantTx};
use crate::ids::{ApiKeyId, Digest, EventId, SkillId, UserId, VersionId};
use crate::sql;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// It did what it was asked to.
    Ok,
    /// The tool said no, in words that the caller can act on.
    ToolError,
    /// The arguments broke the tool's rules.
    InvalidArguments,
    /// There is no such tool.
    UnknownTool,
    /// The message was not a tool call at all: no name, or arguments that are no object.
    Malformed,
    /// The key lacks the tool's scope.
    MissingScope,
    /// The key or its tenant has made as many calls as it may.
    OverLimit,
    /// Our own fault: the tool panicked.
    Panicked,
    /// It took longer than a call may.
    TimedOut,
    /// The caller took it back.
    Cancelled,
    /// The caller was gone before the answer.
    ClientGone,
    /// Our own fault: the database refused a statement of the tool.
    InternalError,
}

impl CallOutcome {
    /// As the database spells it.
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

/// What a call was about, for its record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject {
    /// The skill.
    pub skill: Option<SkillId>,
    /// Its version.
    pub version: Option<VersionId>,
    /// The version's digest.
    pub digest: Option<Digest>,
}

/// Everything that is recorded of a call. No contents, no secrets: [`Self::arguments`] holds names and sizes.
#[derive(Debug, Clone)]
pub struct UsageEvent {
    /// The event's id, made when the call came in.
    pub id: EventId,
    /// The key that it came with.
    pub api_key: ApiKeyId,
    /// The key's user.
    pub user: UserId,
    /// The tool as the caller named it.
    pub tool: String,
    /// What it was about.
    pub subject: Subject,
    /// How it ended.
    pub outcome: CallOutcome,
    /// A stable word for the error.
    pub error_code: Option<&'static str>,
    /// Microseconds from the call's arrival to its record.
    pub duration_us: i64,
    /// `stdio`, `http` or `sse`.
    pub transport: &'static str,
    /// The protocol revision that the caller speaks.
    pub protocol_version: Option<String>,
    /// The caller's program.
    pub client_name: Option<String>,
    /// Its version.
    pub client_version: Option<String>,
    /// The id of the JSON-RPC request.
    pub request_id: Option<String>,
    /// The W3C trace id, where the caller sent one.
    pub trace_id: Option<String>,
    /// The caller's idempotency key.
    pub idempotency_key: Option<String>,
    /// Names and sizes of the arguments, and the text searched for.
    pub arguments: Value,
    /// Rows that a search found.
    pub result_count: Option<i32>,
    /// Bytes of the answer.
    pub result_bytes: i64,
}

/// Commits a call's transaction with its record as the last row.
///
/// # Errors
/// When the record is not written or the commit not confirmed; then nothing of the call stands.
pub async fn commit_with_event(tx: TenantTx, event: &UsageEvent) -> Result<(), DbError> {
    let tenant = tx.tenant();
    let digest = event.subject.digest.map(|digest| digest.as_bytes().to_vec());
    let params: [Param<'_>; 21] = [
        tenant.as_uuid(),
        event.id.as_uuid(),
        event.api_key.as_uuid(),
        event.user.as_uuid(),
        &event.tool,
        &event.subject.skill.map(|id| *id.as_uuid()),
        &event.subject.version.map(|id| *id.as_uuid()),
        &digest,
        &event.outcome.as_str(),
        &event.error_code,
        &event.duration_us,
        &event.transport,
        &event.protocol_version,
        &event.client_name,
        &event.client_version,
        &event.request_id,
        &event.trace_id,
        &event.idempotency_key,
        &event.arguments,
        &event.result_count,
        &event.result_bytes,
    ];
    tx.commit_with(sql!("usage/insert_event.sql"), &params).await
}

/// An event as the operator sees it.
#[derive(Debug, Clone, Serialize)]
pub struct RecentEvent {
    /// Its id.
    pub id: EventId,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// The tool.
    pub tool: String,
    /// How the call ended.
    pub outcome: String,
    /// The error's stable word.
    pub error_code: Option<String>,
    /// The user's address.
    pub email: Option<String>,
    /// The skill's slug.
    pub skill: Option<String>,
    /// How long it took, in microseconds.
    pub duration_us: i64,
    /// The transport.
    pub transport: String,
    /// The protocol revision.
    pub protocol_version: Option<String>,
    /// The caller's program.
    pub client_name: Option<String>,
    /// Its version.
    pub client_version: Option<String>,
    /// Names and sizes of the arguments, and the text searched for.
    pub arguments: Value,
    /// Bytes of the answer.
    pub result_bytes: i64,
}

/// The newest events, newest first.
///
/// # Errors
/// When the database is away or refuses.
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

/// Drops the records of months that ended before a day, of every tenant, and writes into each one's log what of it went; answers
/// the names of what was dropped.
///
/// # Errors
/// When the database is away or refuses, as it does for a day after the beginning of the current month.
pub async fn prune(
    db: &AdminDb,
    keep_from: jiff::civil::Date,
    pruned_by: &str,
) -> Result<Vec<String>, DbError> {
    let connection = db.system_connection().await?;
    let rows = connection
        .query(sql!("usage/prune.sql").text(), &[&keep_from, &pruned_by])
        .await?;
    rows.iter().map(|row| Ok(row.try_get("partition")?)).collect()
}
