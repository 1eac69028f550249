//! The usage event of a call.

use std::time::Instant;

use super::completion::Completion;
use super::event_metadata::{RequestMetadata, keep_search_text, mark_weak, shorten_search_text};
use super::request::RequestSummary;
use crate::db::ServerDb;
use crate::ids::EventId;
use crate::registry::usage::UsageEvent;
use crate::tenancy::Principal;

/// When a call came in. Its event's id holds the same time, which decides the event's partition.
pub(super) struct Started {
    id: EventId,
    at: Instant,
}

impl Started {
    /// Call it before a transaction is begun, see [`ServerDb::event_time`].
    pub(super) async fn now(db: &ServerDb) -> Self {
        let at = Instant::now();
        Self {
            id: EventId::at(db.event_time().await),
            at,
        }
    }
}

/// The event of a call that was answered with `completion`.
pub(super) fn usage_event<R>(
    summary: RequestSummary,
    metadata: RequestMetadata,
    completion: &Completion<R>,
    principal: &Principal,
    started: &Started,
) -> UsageEvent {
    let metadata = metadata.recordable();
    let mut arguments = summary.arguments;
    if completion.outcome.is_refused() {
        shorten_search_text(&mut arguments);
    }
    UsageEvent {
        id: started.id,
        api_key: principal.api_key,
        user: principal.user,
        tool: summary.name,
        subject: completion.subject,
        outcome: completion.outcome,
        error_code: completion.error_code,
        duration_us: i64::try_from(started.at.elapsed().as_micros()).unwrap_or(i64::MAX),
        transport: metadata.transport.as_str(),
        protocol_version: metadata.protocol_version,
        client_name: metadata.client_name,
        client_version: metadata.client_version,
        request_id: metadata.request_id,
        trace_id: metadata.trace_id,
        idempotency_key: summary.idempotency_key,
        arguments: mark_weak(keep_search_text(arguments, principal), completion.is_weak),
        result_count: completion.result_count,
        result_bytes: i64::try_from(completion.result_bytes).unwrap_or(i64::MAX),
    }
}
