//! Who changes the registry: a user with an API key, or an administrator at the command line.

use super::audit::Actor;
use super::private_keys::SigningKeys;
use crate::ids::UserId;
use crate::tenancy::{Principal, Scope};

/// The origin of a change, for permissions and the audit log.
#[derive(Debug, Clone)]
pub struct Caller {
    /// `None` for an administrator at the command line.
    pub user: Option<UserId>,
    /// The user's email address. Never written to the audit log.
    pub email: Option<String>,
    pub actor: Actor,
    /// `cli` or the transport.
    pub source: &'static str,
    /// With which versions are signed that the caller publishes.
    pub(super) signing_keys: SigningKeys,
    is_reviewer: bool,
    is_admin: bool,
}

impl Caller {
    /// The caller of a request. `source` is the transport.
    #[must_use]
    pub fn of_request(principal: &Principal, source: &'static str) -> Self {
        Self {
            user: Some(principal.user),
            email: Some(principal.email.clone()),
            actor: Actor::Key(principal.api_key.to_string()),
            source,
            signing_keys: SigningKeys::none(),
            is_reviewer: principal.scopes.allow(Scope::SkillsReview),
            is_admin: principal.scopes.allow(Scope::Admin),
        }
    }

    /// An administrator at the command line, who may do everything.
    #[must_use]
    pub const fn administrator(actor: Actor) -> Self {
        Self {
            user: None,
            email: None,
            actor,
            source: "cli",
            signing_keys: SigningKeys::none(),
            is_reviewer: true,
            is_admin: true,
        }
    }

    /// The same caller, whose versions this process signs with these keys.
    #[must_use]
    pub fn with_signing_keys(self, signing_keys: SigningKeys) -> Self {
        Self { signing_keys, ..self }
    }

    #[must_use]
    pub const fn is_reviewer(&self) -> bool {
        self.is_reviewer
    }

    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// Whether this is the user with the id. An administrator at the command line is no user.
    #[must_use]
    pub fn is_user(&self, user: Option<UserId>) -> bool {
        self.user.is_some() && self.user == user
    }

    /// Which versions the caller may read.
    #[must_use]
    pub const fn viewer(&self) -> Viewer {
        Viewer {
            user: self.user,
            sees_all: self.is_reviewer || self.is_admin,
        }
    }
}

/// Which versions a caller may read, besides the published ones that are not quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer {
    /// The user whose own skills and versions may be read in every state.
    pub user: Option<UserId>,
    /// Whether all versions may be read: for reviewers and administrators.
    pub sees_all: bool,
}

impl Viewer {
    /// For answers that are the same for every caller: published versions only.
    pub const PUBLISHED: Self = Self {
        user: None,
        sees_all: false,
    };

    /// The user as a parameter of a query.
    pub(super) fn user_uuid(&self) -> Option<uuid::Uuid> {
        self.user.map(|user| *user.as_uuid())
    }
}
