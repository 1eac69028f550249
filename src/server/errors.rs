//! JSON-RPC errors of the server. Their codes are outside the range that JSON-RPC 2.0, section 5.1, reserves.

use rmcp::ErrorData;
use rmcp::model::ErrorCode;

use crate::db::DbError;
use crate::tenancy::AuthError;

/// The API key is invalid.
pub(super) const INVALID_KEY: ErrorCode = ErrorCode(-31_001);
/// The API key lacks a permission.
pub const FORBIDDEN: ErrorCode = ErrorCode(-31_003);
/// The API key or its tenant reached a limit of calls.
pub const OVER_LIMIT: ErrorCode = ErrorCode(-31_029);

/// The caller's key is invalid, or could not be checked.
pub(super) fn not_authenticated(error: &AuthError) -> ErrorData {
    match error {
        AuthError::Invalid(_) => ErrorData::new(INVALID_KEY, error.to_string(), None),
        AuthError::Db(error) => unavailable(error),
    }
}

/// The database did not answer before anything was done.
pub(super) fn unavailable(error: &DbError) -> ErrorData {
    tracing::error!(%error, "the database did not answer");
    let message = if matches!(error, DbError::Busy) {
        "The registry is busy with other calls, most of them your organisation's. Nothing was done. Try again in a moment."
    } else {
        "The registry's database is not available. Nothing was done. Try again in a moment."
    };
    ErrorData::internal_error(message, None)
}

/// The call could not be recorded. After a lost connection it is unknown whether the commit happened; the effects and
/// the record are in one transaction, so both happened or neither.
pub(super) fn not_recorded(error: &DbError) -> ErrorData {
    let message = if error.may_have_committed() {
        "The registry lost its database during the call, so it is unknown whether the call was done. Check before you try again."
    } else {
        "The registry could not record the call, so nothing was done. Try again; if it happens again, tell your administrator."
    };
    ErrorData::internal_error(message, None)
}

/// The effects of a call were lost with its transaction, and the call is recorded without them.
pub(super) fn not_committed() -> ErrorData {
    ErrorData::internal_error(
        "The registry's database failed at the end of the call, so nothing was done. Try again; if it happens again, tell your administrator.",
        None,
    )
}

/// The call's task ended without a reply.
pub(super) fn not_finished() -> ErrorData {
    ErrorData::internal_error("The registry could not finish the call. Nothing was done.", None)
}
