//! The HTTP status of a recorded request outside of the protocol.

use axum::http::StatusCode;

use crate::registry::usage::CallOutcome;

/// The status for an outcome and its error code.
pub(super) fn call_status(outcome: CallOutcome, error_code: Option<&'static str>) -> StatusCode {
    match (outcome, error_code) {
        (_, Some("invalid_key")) => StatusCode::UNAUTHORIZED,
        (_, Some("archive_too_large")) => StatusCode::PAYLOAD_TOO_LARGE,
        (_, Some("upload_timed_out")) => StatusCode::REQUEST_TIMEOUT,
        (_, Some("unsupported_encoding")) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        (CallOutcome::Ok, _) => StatusCode::OK,
        (CallOutcome::ToolError, Some("not_found" | "no_such_file")) => StatusCode::NOT_FOUND,
        (CallOutcome::ToolError, Some("yanked")) => StatusCode::GONE,
        (CallOutcome::ToolError, Some("invalid_skill")) => StatusCode::UNPROCESSABLE_ENTITY,
        (CallOutcome::ToolError, Some("not_permitted" | "limited_key")) => StatusCode::FORBIDDEN,
        (CallOutcome::ToolError, _) => StatusCode::CONFLICT,
        (CallOutcome::InvalidArguments, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (CallOutcome::MissingScope, _) => StatusCode::FORBIDDEN,
        (CallOutcome::OverLimit, _) => StatusCode::TOO_MANY_REQUESTS,
        (CallOutcome::TimedOut, _) => StatusCode::SERVICE_UNAVAILABLE,
        (
            CallOutcome::ClientGone
            | CallOutcome::Cancelled
            | CallOutcome::Malformed
            | CallOutcome::UnknownTool,
            _,
        ) => StatusCode::BAD_REQUEST,
        (CallOutcome::Panicked | CallOutcome::InternalError, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
