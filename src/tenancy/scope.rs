//! What a key may do.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// One right that a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Search and read skills.
    SkillsRead,
    /// Install skills.
    SkillsInstall,
    /// Publish, fork and yank skills.
    SkillsPublish,
    /// Review skills.
    SkillsReview,
    /// Report usage and rate.
    UsageWrite,
    /// Read who uses what.
    UsageRead,
    /// Administer the tenant.
    Admin,
}

impl Scope {
    /// Every scope, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::SkillsRead,
        Self::SkillsInstall,
        Self::SkillsPublish,
        Self::SkillsReview,
        Self::UsageWrite,
        Self::UsageRead,
        Self::Admin,
    ];

    /// The scope's name, as keys, errors and the database spell it.
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

/// A text that names no scope.
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

/// The scopes of one key: each at most once, in the order of [`Scope::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The set of these scopes.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// Reads scope names.
    ///
    /// # Errors
    /// At the first text that names no scope.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownScope> {
        names
            .into_iter()
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>()
            .map(Self::new)
    }

    /// Whether the key may do this. `admin` is a right of its own, not all of them.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.as_str()).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_reads_back_its_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>(), Ok(scope));
        }
    }

    #[test]
    fn an_unknown_scope_is_refused_and_named() {
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
