//! Why a skill was not installed, checked or removed on this machine.

use std::path::PathBuf;

use agent_skills::ArchiveError;

use super::registry_client::ToolCallError;

/// Nothing was written, unless the text says so.
#[derive(Debug, thiserror::Error)]
pub enum LocalInstallError {
    #[error(transparent)]
    Registry(#[from] ToolCallError),
    #[error(
        "the registry's answer lacks `{0}`; nothing was written. Is this a skillkeep registry of the same version?"
    )]
    Answer(&'static str),
    #[error("the archive that the registry sent is not readable: {0}; nothing was written")]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Installer(#[from] skill_installer::Error),
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error("{assistant} has no skills folder {level}; choose another assistant or level")]
    NoFolder {
        assistant: String,
        /// `in a project` or `of a user`.
        level: &'static str,
    },
    #[error("the home folder is not known: set HOME")]
    NoHome,
    #[error(
        "there is no project folder here; name it with --project-dir, or install for the user with --user"
    )]
    NoProject,
    #[error("the task that writes the files failed; run `skillkeep verify`")]
    TaskFailed,
}

impl LocalInstallError {
    /// Stable identifier, for programs.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Registry(ToolCallError::Refused { code, .. }) => code.clone(),
            Self::Registry(ToolCallError::Failed(_)) => "no_answer".to_owned(),
            Self::Answer(_) => "not_a_registry".to_owned(),
            Self::Archive(_) => "invalid_archive".to_owned(),
            Self::Installer(error) => error.code().to_owned(),
            Self::Signer(error) => error.code().to_owned(),
            Self::NoFolder { .. } => "no_folder".to_owned(),
            Self::NoHome => "no_home".to_owned(),
            Self::NoProject => "no_project".to_owned(),
            Self::TaskFailed => "internal_error".to_owned(),
        }
    }
}

/// Why a version is not accepted as signed by its registry. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error(
        "the registry {registry} signed with the key {key_id}, which you have not accepted; ask your administrator whether it is \
         theirs, then run `skillkeep trust`"
    )]
    Changed { registry: String, key_id: String },
    #[error(
        "{skill} {version} is not signed, but its registry signs; ask your administrator to run `skillkeep signing-key sign-missing`"
    )]
    Unsigned { skill: String, version: String },
    #[error(
        "the signature of {skill} {version} is not valid: it is not what the registry published. Tell your administrator"
    )]
    Invalid { skill: String, version: String },
    #[error("{} cannot be used: {reason}", .path.display())]
    File { path: PathBuf, reason: String },
}

impl SignerError {
    /// Stable identifier, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "signer_changed",
            Self::Unsigned { .. } => "unsigned",
            Self::Invalid { .. } => "invalid_signature",
            Self::File { .. } => "signers_file",
        }
    }
}
