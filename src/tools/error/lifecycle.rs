//! Refusals of the tools that publish, review and change skills.

use super::{Refusal, ToolError};
use crate::ids::Slug;
use crate::registry::fork::ForkError;
use crate::registry::lifecycle::Action;
use crate::registry::management::ManageError;
use crate::registry::publish::PublishError;
use crate::registry::reviews::ReviewError;
use crate::shown_text::echoed;

/// What a tool refuses, with the message for the caller.
#[derive(Debug, thiserror::Error)]
pub(in crate::tools) enum LifecycleRefusal {
    /// The files are no skill. The text names the file, the rule, and how to mend it.
    #[error("The skill cannot be stored: {0}. Correct it and publish again.")]
    InvalidSkill(String),
    /// What publishing refuses, in its own words.
    #[error("The version cannot be stored: {0}.")]
    Publish(String),
    #[error(
        "This API key is limited to certain skills, and \"{0}\" is not one of them. Ask your administrator for another key."
    )]
    LimitedSlug(Slug),
    #[error(
        "You may not do this with \"{}\": {reason}. whoami shows your user and scopes; fork_skill gives you a copy of your own.",
        echoed(.slug)
    )]
    NotPermitted { slug: String, reason: String },
    /// What signing or the denylist refuses, in its own words.
    #[error("Nothing was changed: {0}.")]
    NotChanged(String),
    #[error("You own \"{0}\" and cannot rate it. Ratings are for other users.")]
    OwnRating(String),
    #[error(
        "\"{slug}\" cannot be changed like this: {reason}. Call get_skill to see its versions and their states."
    )]
    WrongState { slug: String, reason: String },
    #[error("The slug \"{0}\" is taken. Choose another one.")]
    SlugTaken(Slug),
    #[error("There is no skill \"{}\" that could be the successor. Call search_skills to find it.", echoed(.0))]
    NoSuccessor(String),
    #[error("The tenant has no active user {}. Check the address with your administrator.", echoed(.0))]
    NoUser(String),
    #[error("You are the author of this version of \"{0}\", and somebody else has to review it.")]
    OwnReview(String),
    #[error(
        "Version {version} of \"{slug}\" is quarantined by {count} findings. Call review_skill without a verdict to read them. To \
         approve it in spite of them, give the reason in `override_findings`."
    )]
    Quarantined {
        slug: String,
        version: String,
        count: usize,
    },
    #[error(
        "An assistant cannot override findings here. A person must decide; then call review_skill with `decided_by` set to `person`."
    )]
    AssistantOverride,
}

impl LifecycleRefusal {
    const fn code(&self) -> &'static str {
        match self {
            Self::InvalidSkill(_) => "invalid_skill",
            Self::Publish(_) => "not_published",
            Self::LimitedSlug(_) => "limited_key",
            Self::NotPermitted { .. } => "not_permitted",
            Self::NotChanged(_) => "not_changed",
            Self::OwnRating(_) => "own_skill",
            Self::WrongState { .. } => "wrong_state",
            Self::SlugTaken(_) => "slug_taken",
            Self::NoSuccessor(_) | Self::NoUser(_) => "not_found",
            Self::OwnReview(_) => "own_version",
            Self::Quarantined { .. } => "quarantined",
            Self::AssistantOverride => "not_permitted",
        }
    }

    pub(in crate::tools) fn publish(error: PublishError) -> ToolError {
        match error {
            PublishError::Db(error) => ToolError::Db(error),
            PublishError::NoSlug(_)
            | PublishError::Taken(_)
            | PublishError::Archived(_)
            | PublishError::NotAllowed
            | PublishError::StorageFull
            | PublishError::Denied(_)
            | PublishError::Signing(_)
            | PublishError::Version(_)
            | PublishError::VersionTaken { .. } => Self::Publish(error.to_string()).into(),
        }
    }

    pub(in crate::tools) fn manage(error: ManageError, slug: &str) -> ToolError {
        let slug = slug.to_owned();
        match error {
            ManageError::Db(error) => ToolError::Db(error),
            ManageError::UnknownSkill => {
                let near = Vec::new();
                Refusal::UnknownSkill { slug, near }.into()
            }
            ManageError::UnknownVersion(version) => Refusal::UnknownVersion {
                slug,
                version,
                versions: Vec::new(),
            }
            .into(),
            ManageError::Signing(error) => Self::NotChanged(error.to_string()).into(),
            ManageError::Denied(denial) => Self::NotChanged(denial.to_string()).into(),
            ManageError::NotPermitted(Action::Rate) => Self::OwnRating(slug).into(),
            ManageError::NotPermitted(_) => Self::NotPermitted {
                slug,
                reason: error.to_string(),
            }
            .into(),
            ManageError::WrongState { .. } => Self::WrongState {
                slug,
                reason: error.to_string(),
            }
            .into(),
            ManageError::Taken(slug) => Self::SlugTaken(slug).into(),
            ManageError::UnknownSuccessor(slug) => Self::NoSuccessor(slug).into(),
            ManageError::UnknownUser(email) => Self::NoUser(email).into(),
        }
    }

    pub(in crate::tools) fn review(error: ReviewError, slug: &str) -> ToolError {
        match error {
            // The tool needs the scope of a reviewer, so only the owner gets here.
            ReviewError::Manage(ManageError::NotPermitted(Action::Review)) | ReviewError::OwnVersion => {
                Self::OwnReview(slug.to_owned()).into()
            }
            ReviewError::Manage(error) => Self::manage(error, slug),
            ReviewError::Quarantined { version, count } => Self::Quarantined {
                slug: slug.to_owned(),
                version,
                count,
            }
            .into(),
            ReviewError::AssistantOverride => Self::AssistantOverride.into(),
        }
    }

    pub(in crate::tools) fn fork(error: ForkError, slug: &str) -> ToolError {
        match error {
            ForkError::Manage(error) => Self::manage(error, slug),
            ForkError::Publish(error) => Self::publish(error),
            ForkError::Document(reason) => Self::InvalidSkill(reason).into(),
        }
    }
}

impl From<LifecycleRefusal> for ToolError {
    fn from(refusal: LifecycleRefusal) -> Self {
        Self::Refused {
            code: refusal.code(),
            message: refusal.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::*;
    use crate::registry::private_keys::KeyProblem;
    use crate::registry::signing::SigningError;

    fn refusals() -> Vec<LifecycleRefusal> {
        let slug = || "fill-pdf".to_owned();
        vec![
            LifecycleRefusal::InvalidSkill("fill-pdf has no SKILL.md".to_owned()),
            LifecycleRefusal::Publish(PublishError::Taken(slug()).to_string()),
            LifecycleRefusal::LimitedSlug("fill-pdf".parse().unwrap()),
            LifecycleRefusal::NotPermitted {
                slug: slug(),
                reason: ManageError::NotPermitted(Action::Yank).to_string(),
            },
            LifecycleRefusal::NotChanged(
                SigningError::NoPrivateKey {
                    key_id: "0123456789abcdef".parse().unwrap(),
                    problem: KeyProblem::NotConfigured,
                }
                .to_string(),
            ),
            LifecycleRefusal::OwnRating(slug()),
            LifecycleRefusal::WrongState {
                slug: slug(),
                reason: ManageError::WrongState {
                    version: "1.0".to_owned(),
                    state: crate::registry::lifecycle::VersionState::Yanked,
                    needed: "not yanked yet",
                }
                .to_string(),
            },
            LifecycleRefusal::SlugTaken("fill-pdf".parse().unwrap()),
            LifecycleRefusal::NoSuccessor(slug()),
            LifecycleRefusal::NoUser("ada@example.com".to_owned()),
            LifecycleRefusal::OwnReview(slug()),
            LifecycleRefusal::Quarantined {
                slug: slug(),
                version: "1.0".to_owned(),
                count: 2,
            },
            LifecycleRefusal::AssistantOverride,
        ]
    }

    #[test]
    fn every_lifecycle_refusal_has_a_snapshot() {
        let refusals = refusals();
        let variants = refusals.iter().map(discriminant).collect::<HashSet<_>>().len();
        let lines: Vec<String> = refusals
            .iter()
            .map(|refusal| format!("{}: {refusal}", refusal.code()))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
        let source = include_str!("lifecycle.rs").split("#[cfg(test)]").next().unwrap();
        assert_eq!(source.matches("#[error(").count(), variants);
    }
}
