//! Which methods there are for whom.

use super::handler::{ONLY_NEW, ONLY_OLD, methods};

/// What the older revisions have for those alone who can be told something later.
const ONLY_CONNECTED: [&str; 1] = ["resources/subscribe"];

/// How a client speaks, which decides what methods there are for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// The older revisions, over a connection.
    Older,
    /// The older revisions, each request for itself.
    OlderAlone,
    /// Revision 2026-07-28.
    Newest,
}

impl Era {
    /// Every era.
    pub const ALL: [Self; 3] = [Self::Older, Self::OlderAlone, Self::Newest];

    /// The methods that the server knows for it.
    #[must_use]
    pub fn methods(self) -> Vec<&'static str> {
        let is_foreign = |method: &&str| match self {
            Self::Older => ONLY_NEW.contains(method),
            Self::OlderAlone => ONLY_NEW.contains(method) || ONLY_CONNECTED.contains(method),
            Self::Newest => ONLY_OLD.contains(method),
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
