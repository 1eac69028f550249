//! Somebody else's file: read whole, replaced whole, with a copy of what it was.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The longest configuration that is read, in bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Why a file cannot be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} is not UTF-8 text")]
    NotText(PathBuf),
    #[error("{0} is larger than 64 MiB, which no configuration is")]
    TooLarge(PathBuf),
    #[error("{0} was changed by another program just now; run the command again")]
    Changed(PathBuf),
}

/// A configuration file as it was found.
#[derive(Debug)]
pub struct ConfigFile {
    /// Where it is, behind links.
    path: PathBuf,
    before: Option<String>,
}

const MARK: &str = "\u{feff}";

impl ConfigFile {
    /// Reads the file; one that does not exist is empty.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let io = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        // A link is followed, so that it stays a link to the changed file; one that leads nowhere is an error.
        let real = match fs::symlink_metadata(path) {
            Ok(_) => fs::canonicalize(path).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(io(error)),
        };
        let before = read(&real)?;
        Ok(Self { path: real, before })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a file.
    pub fn exists(&self) -> bool {
        self.before.is_some()
    }

    /// Its text without the byte order mark that some editors put first.
    pub fn text(&self) -> &str {
        let text = self.before.as_deref().unwrap_or_default();
        text.strip_prefix(MARK).unwrap_or(text)
    }

    /// Puts this text in its place at once, and answers with the copy of what was there before.
    /// A file that is new, or that now holds a secret, can be read by its owner only.
    pub fn replace(&self, text: &str, secret: bool) -> Result<Option<PathBuf>, FileError> {
        let io = |source| FileError::Io {
            path: self.path.clone(),
            source,
        };
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(io)?;
        let marked = self.before.as_deref().is_some_and(|text| text.starts_with(MARK));
        let mark = if marked { MARK } else { "" };
        let there = match &self.before {
            Some(_) => Some(fs::metadata(&self.path).map_err(io)?),
            None => None,
        };
        let mode = there
            .as_ref()
            .map_or(0o600, |there| there.permissions().mode() & 0o777);
        let mode = if secret { mode & 0o600 } else { mode };
        let next = beside(&self.path, &format!("skillkeep-new-{}", std::process::id()));
        let written = write_new(&next, format!("{mark}{text}").as_bytes(), mode).and_then(|()| {
            match &there {
                // Root who works for somebody else leaves the file to its owner.
                Some(there) if fs::metadata(&next)?.uid() != there.uid() => {
                    std::os::unix::fs::chown(&next, Some(there.uid()), Some(there.gid()))
                }
                Some(_) | None => Ok(()),
            }
        });
        let outcome = written.map_err(io).and_then(|()| self.swap(&next, mode));
        if outcome.is_err() {
            // What failed is told; a left-over would only confuse.
            drop(fs::remove_file(&next));
        }
        outcome
    }

    fn swap(&self, next: &Path, mode: u32) -> Result<Option<PathBuf>, FileError> {
        let io = |source| FileError::Io {
            path: self.path.clone(),
            source,
        };
        if read(&self.path)? != self.before {
            return Err(FileError::Changed(self.path.clone()));
        }
        let backup = match &self.before {
            Some(before) => Some(back_up(&self.path, before, mode).map_err(io)?),
            None => None,
        };
        fs::rename(next, &self.path).map_err(io)?;
        Ok(backup)
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
        Ok(found) if found.len() > LONGEST => return Err(FileError::TooLarge(path.to_owned())),
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(io)?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| FileError::NotText(path.to_owned()))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(format!(".{ending}"));
    path.with_file_name(name)
}

/// A copy with a name of its own: an older copy may be the only good one.
fn back_up(path: &Path, text: &str, mode: u32) -> io::Result<PathBuf> {
    let moment = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut copy = beside(path, &format!("skillkeep-backup-{moment}"));
    let mut number = 1;
    loop {
        match write_new(&copy, text.as_bytes(), mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {
                number += 1;
                copy = beside(path, &format!("skillkeep-backup-{moment}-{number}"));
            }
            outcome => return outcome.map(|()| copy),
        }
    }
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
