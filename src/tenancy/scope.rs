//! Scopes: the permissions of an API key.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// One permission of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Search and read skills.
    SkillsRead,
    /// Install skills and confirm installs.
    SkillsInstall,
    /// Reserved: no tool needs it yet.
    SkillsPublish,
    /// Reserved: no tool needs it yet.
    SkillsReview,
    /// Report whether a skill helped.
    UsageWrite,
    /// Read the usage report.
    UsageRead,
    /// Reserved: no tool needs it yet.
    Admin,
}

impl Scope {
    /// Every scope, in display order.
    pub const ALL: [Self; 7] = [
        Self::SkillsRead,
        Self::SkillsInstall,
        Self::SkillsPublish,
        Self::SkillsReview,
        Self::UsageWrite,
        Self::UsageRead,
        Self::Admin,
    ];

    /// The spelling in the database, in errors and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SkillsRead => "skills:read",
            Self::SkillsInstall => "skills:install",
            Self::SkillsPublish => "skills:publish",
            Self::SkillsReview => "skills:review",
            Self::UsageWrite => "usage:write",
            Self::UsageRead => "usage:read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a scope; the scopes are skills:read, skills:install, skills:publish, skills:review, usage:write, usage:read and admin"
)]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The scopes of one API key: each at most once, in the order of [`Scope::ALL`].
///
/// # Examples
///
/// ```
/// use skillkeep::tenancy::{Scope, Scopes};
///
/// let scopes = Scopes::parse(["usage:write", "skills:read"])?;
/// assert_eq!(scopes.names(), ["skills:read", "usage:write"]);
/// assert!(!scopes.allow(Scope::Admin));
/// # Ok::<(), skillkeep::tenancy::UnknownScope>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// Parses scope names such as `skills:read`.
    ///
    /// # Errors
    /// [`UnknownScope`] with the first name that is not a scope.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownScope> {
        names
            .into_iter()
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>()
            .map(Self::new)
    }

    /// Whether the set contains the scope. [`Scope::Admin`] does not imply the other scopes.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.as_str()).collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_name_round_trips() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>(), Ok(scope));
        }
    }

    #[test]
    fn unknown_scope_is_rejected_by_name() {
        let error = Scopes::parse(["skills:read", "skills:delete"]).unwrap_err();
        assert!(
            error.to_string().starts_with("\"skills:delete\" is not a scope"),
            "{error}"
        );
    }

    #[test]
    fn admin_does_not_include_the_other_scopes() {
        assert!(!Scopes::new([Scope::Admin]).allow(Scope::SkillsRead));
    }
}
