//! The checkpoint that `audit verify` and `audit check` compare with, and the public key that it must be signed with.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::files::file_error;
use crate::error::{CliError, CliErrorKind};
use crate::registry::audit::{CheckpointError, SignedCheckpoint};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CheckpointKey {
    /// The public key that must have signed the checkpoint
    ///
    /// `skillkeep audit keygen` and `export` print it.
    #[arg(long, value_name = "KEY")]
    pub(super) public_key: Option<String>,
    /// Trust the public key that the checkpoint names
    ///
    /// Detects damage, but not forgery.
    #[arg(long, conflicts_with = "public_key")]
    pub(super) trust_key_in_checkpoint: bool,
}

/// A checkpoint and the public key that it must be signed with.
pub(super) struct TrustedCheckpoint {
    pub(super) checkpoint: SignedCheckpoint,
    pub(super) public_key: String,
}

impl TrustedCheckpoint {
    /// Reads the checkpoint if there is one; a key without a checkpoint is a usage error.
    pub(super) fn read_optional(path: Option<&Path>, key: &CheckpointKey) -> Result<Option<Self>, CliError> {
        match path {
            Some(path) => Self::read(path, key).map(Some),
            None if key.public_key.is_some() || key.trust_key_in_checkpoint => Err(CliError::new(
                CliErrorKind::Usage,
                "the key needs a checkpoint to verify; give it with --checkpoint",
            )),
            None => Ok(None),
        }
    }

    pub(super) fn read(path: &Path, key: &CheckpointKey) -> Result<Self, CliError> {
        let text = fs::read_to_string(path).map_err(|error| file_error("cannot read", path, &error))?;
        let checkpoint: SignedCheckpoint = serde_json::from_str(&text).map_err(|error| {
            CliError::new(
                CliErrorKind::Usage,
                format!("{} is not a checkpoint: {error}", path.display()),
            )
        })?;
        let public_key = match &key.public_key {
            Some(key) => key.clone(),
            None if key.trust_key_in_checkpoint => checkpoint.public_key.clone(),
            None => {
                return Err(CliError::new(
                    CliErrorKind::Usage,
                    "the public key is missing; give the key that `skillkeep audit keygen` printed with --public-key, \
                     or use --trust-key-in-checkpoint, which detects damage but not forgery",
                ));
            }
        };
        Ok(Self {
            checkpoint,
            public_key,
        })
    }

    pub(super) fn verify_signature(&self) -> Result<(), CheckpointError> {
        self.checkpoint.check(&self.public_key)
    }
}

/// Where `export` writes the checkpoint of a file.
pub(super) fn checkpoint_path(file: &Path) -> PathBuf {
    let mut name: OsString = file.as_os_str().to_owned();
    name.push(".checkpoint.json");
    PathBuf::from(name)
}
