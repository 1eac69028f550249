//! Limits of access over HTTP.

use std::time::Duration;

use crate::tenancy::ShareLimits;

/// Limits of access over HTTP.
#[derive(Debug, Clone, Copy)]
pub struct AccessLimits {
    /// Calls that may run at once.
    pub calls: ShareLimits,
    /// Bytes of answers that their clients have not read yet.
    pub unread_bytes: ShareLimits,
    /// How long an address is throttled after 20 invalid keys.
    pub failed_key_window: Duration,
}

impl Default for AccessLimits {
    fn default() -> Self {
        Self {
            calls: ShareLimits::of_tenant(64),
            unread_bytes: ShareLimits {
                per_key: 48 << 20,
                per_tenant: 96 << 20,
                total: 192 << 20,
            },
            failed_key_window: Duration::from_secs(60),
        }
    }
}
