//! Files in the data folder. Root's data folder may belong to PostgreSQL's account, which must not make root write elsewhere.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use folder_handle::FolderHandle;

use super::error::EmbeddedError;

/// Opens a file of the data folder for reading and writing, and creates it if it is missing. With `append`, writes go to its end.
pub(super) fn open_own(base: &Path, name: &str, append: bool) -> Result<File, EmbeddedError> {
    FolderHandle::open(base)
        .and_then(|folder| folder.open_own(Path::new(name), 0o600, append))
        .map_err(EmbeddedError::io("open", &base.join(name)))
}

/// The beginning of a regular file below the data folder, at most `max_bytes`.
pub(super) fn read_start(base: &Path, path: &Path, max_bytes: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    FolderHandle::open(base)?
        .open_file(path)?
        .take(max_bytes)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Replaces a file of the data folder that PostgreSQL's account may read.
pub(super) fn replace(base: &Path, name: &str, text: &str) -> Result<(), EmbeddedError> {
    let write = || -> io::Result<()> {
        let folder = FolderHandle::open(base)?;
        let new = format!("{name}.new");
        folder.remove_file(new.as_ref())?;
        let mut file = folder.create_new(Path::new(&new), 0o600)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        folder.rename(new.as_ref(), name.as_ref())
    };
    write().map_err(EmbeddedError::io("write", &base.join(name)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn planted_link_is_neither_written_nor_read() {
        let base = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("target");
        fs::write(&target, "theirs").unwrap();
        for name in ["postgres.log", "pg_hba.conf", "pg_hba.conf.new"] {
            symlink(&target, base.path().join(name)).unwrap();
        }
        assert!(open_own(base.path(), "postgres.log", true).is_err());
        assert!(read_start(base.path(), Path::new("postgres.log"), 10).is_err());
        replace(base.path(), "pg_hba.conf", "ours").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
        assert_eq!(
            fs::read_to_string(base.path().join("pg_hba.conf")).unwrap(),
            "ours"
        );
        assert!(
            base.path()
                .join("pg_hba.conf")
                .symlink_metadata()
                .unwrap()
                .is_file()
        );
    }
}
