//! Why publishing fails.

use agent_skills::VersionError;

use crate::db::DbError;
use crate::ids::Slug;
use crate::registry::denylist::Denial;
use crate::registry::signing::SigningError;

/// Why a version was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Every slug that can be derived from the name is taken.
    #[error("too many skills are named \"{0}\"; rename the skill")]
    NoSlug(Slug),
    #[error(
        "the name \"{0}\" is taken by a skill that is not yours; choose another name, or fork that skill"
    )]
    Taken(String),
    #[error("the skill \"{0}\" is archived; restore it before you publish a version")]
    Archived(String),
    #[error(
        "this tenant lets only certain users publish; ask an administrator to add you to the setting publish.users"
    )]
    NotAllowed,
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error(
        "version {version} of \"{slug}\" already exists with other files; raise the version (`metadata.version` in SKILL.md, or the `version` argument)"
    )]
    VersionTaken { slug: String, version: String },
    #[error(
        "the tenant's storage is full; ask an administrator to purge skills or to raise the setting storage.max_mib"
    )]
    StorageFull,
    #[error("{0}")]
    Denied(Denial),
    #[error(transparent)]
    Signing(SigningError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<SigningError> for PublishError {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Db(error) => Self::Db(error),
            error @ SigningError::NoPrivateKey { .. } => Self::Signing(error),
        }
    }
}
