//! Blocking work beside asynchronous calls.

use super::error::LocalInstallError;

/// Runs blocking work on a thread for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LocalInstallError> + Send + 'static,
) -> Result<T, LocalInstallError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(LocalInstallError::TaskFailed))
}
