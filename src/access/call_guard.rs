//! What a running call over HTTP holds of the limits.

use crate::ids::{Digest, TenantId};
use crate::tenancy::{CallPermit, Share, ShareExceeded, ShareLimiter};

/// A call's share of the limits, released when it is dropped: once the answer is written or given up.
pub struct CallGuard {
    /// `None` for a list or completion, which is no call.
    pub(super) _rate: Option<CallPermit>,
    pub(super) _concurrency: Share,
    pub(super) key: Digest,
    pub(super) tenant: TenantId,
    pub(super) unread_bytes: ShareLimiter,
}

impl CallGuard {
    /// Takes a share for an answer of this many bytes, to be held until the client has read it.
    ///
    /// # Errors
    /// [`ShareExceeded`] if the client, its tenant or all together have too much to read already.
    pub fn take_bytes(&self, bytes: usize) -> Result<Share, ShareExceeded> {
        // A single answer is always sent, also if it is larger than the limit.
        let counted = bytes.min(self.unread_bytes.limits().per_key);
        self.unread_bytes.take(self.tenant, self.key, counted)
    }
}
