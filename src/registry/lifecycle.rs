//! The states of versions, and who may do what with a skill.

use std::fmt;

use super::caller::Caller;
use crate::ids::UserId;

/// The state of a version. Its files never change, in any state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// Stored, and visible to its author, reviewers and administrators.
    Draft,
    /// Submitted, and waits for a review.
    InReview,
    Published,
    /// Withdrawn: can be read by its version, but not found or installed.
    Yanked,
}

impl VersionState {
    /// Every state, in the order of a version's life.
    pub const ALL: [Self; 4] = [Self::Draft, Self::InReview, Self::Published, Self::Yanked];

    /// The spelling in the database and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::InReview => "in_review",
            Self::Published => "published",
            Self::Yanked => "yanked",
        }
    }
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for VersionState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("\"{text}\" is not a state of a version"))
    }
}

/// Something that callers do with a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish a version of an existing skill, or submit a draft.
    Publish,
    /// Read drafts, versions in review and quarantined versions.
    ReadUnpublished,
    /// Approve a version or request changes.
    Review,
    /// Allow a quarantined version to be used.
    OverrideFindings,
    Yank,
    /// Archive and restore.
    Archive,
    Deprecate,
    Rename,
    Transfer,
    Fork,
    Rate,
    /// Delete a skill with its bytes.
    Purge,
}

impl Action {
    /// Every action, in the order of the table in `docs/lifecycle.md`.
    pub const ALL: [Self; 12] = [
        Self::Publish,
        Self::ReadUnpublished,
        Self::Review,
        Self::OverrideFindings,
        Self::Yank,
        Self::Archive,
        Self::Deprecate,
        Self::Rename,
        Self::Transfer,
        Self::Fork,
        Self::Rate,
        Self::Purge,
    ];

    /// What the action does, as errors and documents say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish a version",
            Self::ReadUnpublished => "read unpublished versions",
            Self::Review => "review a version",
            Self::OverrideFindings => "override findings",
            Self::Yank => "yank a version",
            Self::Archive => "archive or restore",
            Self::Deprecate => "deprecate",
            Self::Rename => "rename",
            Self::Transfer => "transfer",
            Self::Fork => "fork",
            Self::Rate => "rate",
            Self::Purge => "purge",
        }
    }
}

/// How a caller relates to a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Owns the skill, or is the author of the version in question.
    Owner,
    /// Has the scope `skills:review`, and is not the owner.
    Reviewer,
    /// Has the scope `admin`, and is not the owner.
    Administrator,
    /// Another user of the tenant.
    User,
    /// At the command line of the database.
    CommandLine,
}

impl Relation {
    /// Every relation, in the order of the table in `docs/lifecycle.md`.
    pub const ALL: [Self; 5] = [
        Self::Owner,
        Self::Reviewer,
        Self::Administrator,
        Self::User,
        Self::CommandLine,
    ];

    /// The caller's relations to a skill of `owner`. A reviewer may be an administrator too.
    pub fn of(caller: &Caller, owner: Option<UserId>) -> impl Iterator<Item = Self> + use<> {
        let is_owner = caller.is_user(owner);
        let relations = if caller.user.is_none() {
            [Some(Self::CommandLine), None]
        } else if is_owner {
            [Some(Self::Owner), None]
        } else {
            let reviewer = caller.is_reviewer().then_some(Self::Reviewer);
            let administrator = caller.is_admin().then_some(Self::Administrator);
            [reviewer.or(Some(Self::User)), administrator]
        };
        relations.into_iter().flatten()
    }
}

/// Who may do what. A tool also needs its scope; the table in `docs/lifecycle.md` shows both.
#[must_use]
pub const fn permits(relation: Relation, action: Action) -> bool {
    match (action, relation) {
        (
            Action::Publish
            | Action::Yank
            | Action::Archive
            | Action::Deprecate
            | Action::Rename
            | Action::Transfer,
            Relation::Owner | Relation::Administrator | Relation::CommandLine,
        ) => true,
        (Action::Yank, Relation::Reviewer) => true,
        (
            Action::ReadUnpublished,
            Relation::Owner | Relation::Reviewer | Relation::Administrator | Relation::CommandLine,
        ) => true,
        // Nobody approves their own work.
        (Action::Review | Action::OverrideFindings, Relation::Reviewer | Relation::CommandLine) => true,
        (
            Action::Fork,
            Relation::Owner
            | Relation::Reviewer
            | Relation::Administrator
            | Relation::User
            | Relation::CommandLine,
        ) => true,
        // A rating belongs to a user, and owners do not rate their own skills.
        (Action::Rate, Relation::Reviewer | Relation::Administrator | Relation::User) => true,
        (Action::Purge, Relation::CommandLine) => true,
        (
            Action::Publish
            | Action::Yank
            | Action::Archive
            | Action::Deprecate
            | Action::Rename
            | Action::Transfer
            | Action::ReadUnpublished,
            Relation::Reviewer | Relation::User,
        )
        | (
            Action::Review | Action::OverrideFindings,
            Relation::Owner | Relation::Administrator | Relation::User,
        )
        | (Action::Rate, Relation::Owner | Relation::CommandLine)
        | (Action::Purge, Relation::Owner | Relation::Reviewer | Relation::Administrator | Relation::User) => {
            false
        }
    }
}

/// Whether the caller may do this with a skill of `owner`.
#[must_use]
pub fn may(caller: &Caller, action: Action, owner: Option<UserId>) -> bool {
    Relation::of(caller, owner).any(|relation| permits(relation, action))
}
