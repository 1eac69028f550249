//! A configuration file of another program: read whole, replaced atomically, with a backup.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The largest configuration file that is read: 64 MiB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The byte order mark that some editors write at the start of a file.
const BOM: &str = "\u{feff}";

/// Backups of one file in one second; after this many, the next one is an error.
const MAX_BACKUPS_PER_SECOND: u32 = 1000;

/// Why a file cannot be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} is not UTF-8 text")]
    NotUtf8(PathBuf),
    #[error("{0} is larger than 64 MiB, so it is not a configuration file")]
    TooLarge(PathBuf),
    #[error("another program has just changed {0}; run the command again")]
    Changed(PathBuf),
}

/// A configuration file and its content at the time when it was opened.
#[derive(Debug)]
pub struct ConfigFile {
    /// The path after following links.
    path: PathBuf,
    /// The name of the program that edits the file.
    editor: &'static str,
    content: Option<String>,
}

impl ConfigFile {
    /// Reads the file; it need not exist. `editor` is the name of the calling program, which becomes part of the names of
    /// the temporary file and of the backup.
    ///
    /// # Errors
    /// If the file cannot be read, is larger than 64 MiB, or is not UTF-8, or if `path` is a link to a missing file.
    pub fn open(path: &Path, editor: &'static str) -> Result<Self, FileError> {
        let io = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        // Follow a link, so that the link stays and its target is changed. A dangling link is an error.
        let path = match fs::symlink_metadata(path) {
            Ok(_) => fs::canonicalize(path).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(io(error)),
        };
        let content = read(&path)?;
        Ok(Self {
            path,
            editor,
            content,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn exists(&self) -> bool {
        self.content.is_some()
    }

    /// The text without its byte order mark; empty if the file does not exist.
    pub fn text(&self) -> &str {
        let text = self.content.as_deref().unwrap_or_default();
        text.strip_prefix(BOM).unwrap_or(text)
    }

    /// Replaces the file by this text atomically, and returns the path of the backup of the previous content.
    ///
    /// A new file gets mode 0600. An existing file keeps its mode, without the bits of group and others if
    /// `contains_secret`.
    ///
    /// # Errors
    /// [`FileError::Changed`] if another program changed the file since [`Self::open`]; [`FileError::Io`] otherwise. The
    /// file is then unchanged.
    pub fn replace(&self, text: &str, contains_secret: bool) -> Result<Option<PathBuf>, FileError> {
        let io = |source| self.io_error(source);
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(io)?;
        let existing = match &self.content {
            Some(_) => Some(fs::metadata(&self.path).map_err(io)?),
            None => None,
        };
        let mode = existing
            .as_ref()
            .map_or(0o600, |metadata| metadata.permissions().mode() & 0o777);
        let mode = if contains_secret { mode & 0o600 } else { mode };
        let has_bom = self.content.as_deref().is_some_and(|text| text.starts_with(BOM));
        let bom = if has_bom { BOM } else { "" };
        let temporary = with_suffix(&self.path, &format!("{}-new-{}", self.editor, std::process::id()));
        let outcome = write_new(&temporary, format!("{bom}{text}").as_bytes(), mode)
            .and_then(|()| keep_owner(&temporary, existing.as_ref()))
            .map_err(io)
            .and_then(|()| self.swap(&temporary, mode));
        if outcome.is_err() {
            // The first error is the one to report.
            drop(fs::remove_file(&temporary));
        }
        outcome
    }

    fn swap(&self, temporary: &Path, mode: u32) -> Result<Option<PathBuf>, FileError> {
        if read(&self.path)? != self.content {
            return Err(FileError::Changed(self.path.clone()));
        }
        let io = |source| self.io_error(source);
        let backup = match &self.content {
            Some(content) => Some(self.back_up(content, mode).map_err(io)?),
            None => None,
        };
        fs::rename(temporary, &self.path).map_err(io)?;
        Ok(backup)
    }

    /// Writes a backup under a name that is not in use, because an older backup may be the only good one.
    fn back_up(&self, content: &str, mode: u32) -> io::Result<PathBuf> {
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let suffix = format!("{}-backup-{time}", self.editor);
        let mut backup = with_suffix(&self.path, &suffix);
        let mut number = 1;
        loop {
            match write_new(&backup, content.as_bytes(), mode) {
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_BACKUPS_PER_SECOND =>
                {
                    number += 1;
                    backup = with_suffix(&self.path, &format!("{suffix}-{number}"));
                }
                outcome => return outcome.map(|()| backup),
            }
        }
    }

    fn io_error(&self, source: io::Error) -> FileError {
        FileError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, FileError> {
    let io = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
        Ok(metadata) if metadata.len() > MAX_BYTES => return Err(FileError::TooLarge(path.to_owned())),
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(io)?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| FileError::NotUtf8(path.to_owned()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(format!(".{suffix}"));
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Gives the new file to the owner of the existing one, in case root edits another user's file.
fn keep_owner(path: &Path, existing: Option<&fs::Metadata>) -> io::Result<()> {
    match existing {
        Some(existing) if fs::metadata(path)?.uid() != existing.uid() => {
            std::os::unix::fs::chown(path, Some(existing.uid()), Some(existing.gid()))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_file_keeps_its_byte_order_mark_and_a_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        fs::write(&path, format!("{BOM}old")).unwrap();
        let file = ConfigFile::open(&path, "example").unwrap();
        assert_eq!(file.text(), "old");
        let backup = file.replace("new", false).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{BOM}new"));
        assert_eq!(fs::read_to_string(&backup).unwrap(), format!("{BOM}old"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn file_changed_by_another_program_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        let file = ConfigFile::open(&path, "example").unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(matches!(file.replace("ours", false), Err(FileError::Changed(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
