//! Files that commands read and write.

use std::fs::File;
use std::io;
use std::path::Path;

use folder_handle::FolderHandle;

use crate::error::{CliError, CliErrorKind};

/// Creates a file that only its owner can read. An existing file is an error, so nothing is overwritten, and so is a link in the path
/// that another account could have made.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let path = std::path::absolute(path)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    FolderHandle::open_where_trusted(folder)?.create_new(Path::new(name), 0o600)
}

/// `action` is for example `cannot read`.
pub(super) fn file_error(action: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::new(
        CliErrorKind::Refused,
        format!("{action} {}: {error}", path.display()),
    )
}
