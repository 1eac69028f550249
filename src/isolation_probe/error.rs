//! Errors of the isolation probe.

use crate::db::DbError;

/// Why the isolation probe could not finish.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Db(#[from] DbError),
    /// The server did not respond as the protocol requires, or the test tenants could not be created.
    #[error("the isolation probe could not finish: {0}")]
    Broken(String),
    #[error("the isolation probe could not finish: {0}")]
    Client(#[from] ClientError),
}

/// A request that got no response.
#[derive(Debug, thiserror::Error)]
#[error("{method} got no response: {reason}")]
pub struct ClientError {
    pub method: String,
    pub reason: String,
}

impl ClientError {
    #[must_use]
    pub fn new(method: &str, reason: impl std::fmt::Display) -> Self {
        Self {
            method: method.to_owned(),
            reason: reason.to_string(),
        }
    }
}
