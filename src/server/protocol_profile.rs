//! Which methods there are for whom.

use super::handler::{ONLY_NEW, ONLY_OLD, methods};

/// What the older revisions have for those alone who can be told something later.
const ONLY_CONNECTED: [&str; 1] = ["resources/subscribe"];

/// How a client speaks, which decides what methods there are for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolProfile {
    /// The older revisions, over a connection.
    LegacyStateful,
    /// The older revisions, each request for itself.
    LegacyStateless,
    /// Revision 2026-07-28.
    Current,
}

impl ProtocolProfile {
    /// Every protocol_profile.
    pub const ALL: [Self; 3] = [Self::LegacyStateful, Self::LegacyStateless, Self::Current];

    /// The methods that the server knows for it.
    #[must_use]
    pub fn methods(self) -> Vec<&'static str> {
        let is_foreign = |method: &&str| match self {
            Self::LegacyStateful => ONLY_NEW.contains(method),
            Self::LegacyStateless => ONLY_NEW.contains(method) || ONLY_CONNECTED.contains(method),
            Self::Current => ONLY_OLD.contains(method),
        };
        methods()
            .into_iter()
            .filter(|method| !is_foreign(method))
            .collect()
    }

    /// Those that the other has not.
    #[must_use]
    pub fn methods_beside(self, other: Self) -> Vec<&'static str> {
        let others = other.methods();
        self.methods()
            .into_iter()
            .filter(|method| !others.contains(method))
            .collect()
    }
}
