//! The methods that a client can use, by the way it connects.

use super::methods::{ONLY_CURRENT, ONLY_LEGACY, all};

/// Legacy methods that need a connection over which notifications can be sent.
const ONLY_CONNECTED: [&str; 1] = ["resources/subscribe"];

/// Protocol version and connection of a client, which decide which methods it can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolProfile {
    /// Protocol versions before 2026-07-28 over a connection: stdio, HTTP+SSE.
    LegacyStateful,
    /// Protocol versions before 2026-07-28 over single HTTP requests.
    LegacyStateless,
    /// Protocol version 2026-07-28.
    Current,
}

impl ProtocolProfile {
    pub const ALL: [Self; 3] = [Self::LegacyStateful, Self::LegacyStateless, Self::Current];

    /// The methods of this profile.
    #[must_use]
    pub fn methods(self) -> Vec<&'static str> {
        let is_excluded = |method: &&str| match self {
            Self::LegacyStateful => ONLY_CURRENT.contains(method),
            Self::LegacyStateless => ONLY_CURRENT.contains(method) || ONLY_CONNECTED.contains(method),
            Self::Current => ONLY_LEGACY.contains(method),
        };
        all().into_iter().filter(|method| !is_excluded(method)).collect()
    }

    /// Methods of this profile that `other` lacks.
    #[must_use]
    pub fn methods_not_in(self, other: Self) -> Vec<&'static str> {
        let other_methods = other.methods();
        self.methods()
            .into_iter()
            .filter(|method| !other_methods.contains(method))
            .collect()
    }
}
