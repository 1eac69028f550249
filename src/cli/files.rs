//! Files that commands read and write.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::{CliError, CliErrorKind};

/// Creates a file that only its owner can read. An existing file is an error, so nothing is overwritten.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// `action` is for example `cannot read`.
pub(super) fn file_error(action: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::new(
        CliErrorKind::Refused,
        format!("{action} {}: {error}", path.display()),
    )
}
