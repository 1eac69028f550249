//! The calls that may hold all files of a skill in memory: few at once, and none for a client that does not read its answers.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::access::AccessControl;
use crate::tenancy::{ApiKey, Share, ShareLimiter, ShareLimits};

/// Calls at once that may hold all files of a skill in memory. With the largest skill, of 16 MiB, each may need 100 MiB.
pub const LARGE_CALLS: ShareLimits = ShareLimits {
    per_key: 1,
    per_tenant: 2,
    total: 4,
};
/// What the answer of such a call may have.
const LARGE_ANSWER_BYTES: usize = 16 << 20;
/// How long a call waits for its place among them.
const LARGE_CALL_WAIT: Duration = Duration::from_secs(10);
/// How long a call waits until the client has read earlier answers. Less than its place takes, because a client that reads needs
/// milliseconds for it.
const UNREAD_WAIT: Duration = Duration::from_secs(2);

/// Places for large calls.
pub(super) struct LargeCalls(ShareLimiter);

impl Default for LargeCalls {
    fn default() -> Self {
        Self(ShareLimiter::new(LARGE_CALLS))
    }
}

impl LargeCalls {
    /// A place among the calls that hold all files of a skill in memory.
    ///
    /// # Errors
    /// The message for the caller if none is free within 10 seconds, or if the key has too many unread answers for 2 seconds.
    pub(super) async fn take(&self, access: &AccessControl, key: &ApiKey) -> Result<Share, &'static str> {
        let deadline = Instant::now() + LARGE_CALL_WAIT;
        loop {
            let may_answer = access.may_answer(key, LARGE_ANSWER_BYTES);
            tokio::time::timeout(UNREAD_WAIT, may_answer)
                .await
                .map_err(|_elapsed| {
                    "Your API key has too many answers that are not read yet. Read or close them, then try again."
                })?;
            let free = self.0.take_when_free(key.claimed_tenant(), key.hash(), 1);
            let share = tokio::time::timeout_at(deadline, free)
                .await
                .map_err(|_elapsed| "The registry is busy with other large skills. Try again in a moment.")?;
            // The call that had the place before may have left its answer unread.
            let may_answer = access.may_answer(key, LARGE_ANSWER_BYTES);
            if may_answer.now_or_never().is_some() {
                return Ok(share);
            }
        }
    }
}
