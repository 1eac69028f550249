//! Every access to the disk: folders by their handles, and errors that name paths relative to the skills folder.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use folder_handle::{EntryInfo, EntryKind, FolderHandle, RenameMode};

use crate::error::Error;

/// An open folder, in or below a skills folder.
#[derive(Debug)]
pub(crate) struct Folder {
    handle: FolderHandle,
    /// Relative to the skills folder.
    shown: PathBuf,
}

/// A file that was written, and may not be on the disk yet.
#[derive(Debug)]
pub(crate) struct Unflushed<'a> {
    pub(crate) file: File,
    /// What was written.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// Relative to the skills folder.
    pub(crate) shown: PathBuf,
}

/// Comes before every change of the disk, so that tests can stop there.
pub(crate) fn step() -> io::Result<()> {
    #[cfg(feature = "test-util")]
    crate::fault::step()?;
    Ok(())
}

/// Tells tests in which order the disk was waited for and entries were renamed.
#[cfg(feature = "test-util")]
pub(crate) use crate::fault::event;

#[cfg(not(feature = "test-util"))]
pub(crate) fn event(_what: &str, _path: &Path) {}

fn can_exchange() -> bool {
    #[cfg(feature = "test-util")]
    return crate::fault::can_exchange();
    #[cfg(not(feature = "test-util"))]
    true
}

impl Folder {
    pub(crate) fn new(handle: FolderHandle, shown: PathBuf) -> Self {
        Self { handle, shown }
    }

    /// The same folder, whose entries are shown without a path before them.
    pub(crate) fn into_root(self) -> Self {
        Self {
            shown: PathBuf::new(),
            ..self
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.handle.path()
    }

    /// The path of an entry, as errors name it.
    pub(crate) fn shown(&self, name: &OsStr) -> PathBuf {
        self.shown.join(name)
    }

    /// The folder's own path, as errors name it.
    pub(crate) fn shown_path(&self) -> &Path {
        &self.shown
    }

    fn error(&self, action: &'static str, name: &OsStr) -> impl Fn(io::Error) -> Error {
        let path = self.shown(name);
        move |source| Error::Io {
            action,
            path: path.clone(),
            source,
        }
    }

    pub(crate) fn subfolder(&self, path: &Path) -> Result<Self, Error> {
        let handle = self
            .handle
            .subfolder(path)
            .map_err(self.error("opened", path.as_os_str()))?;
        let shown = self.shown.join(path);
        Ok(Self { handle, shown })
    }

    /// What an entry is; `None` if there is nothing of this name.
    pub(crate) fn info(&self, name: &OsStr) -> Result<Option<EntryInfo>, Error> {
        match self.handle.info(Path::new(name)) {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error("examined", name)(error)),
        }
    }

    pub(crate) fn own_info(&self) -> Result<EntryInfo, Error> {
        self.handle
            .own_info()
            .map_err(self.error("examined", OsStr::new("")))
    }

    pub(crate) fn entries(&self, limit: usize) -> Result<Vec<(OsString, EntryKind)>, Error> {
        self.handle
            .entries(Path::new(""), limit)
            .map_err(self.error("listed", OsStr::new("")))
    }

    pub(crate) fn open_file(&self, path: &Path) -> Result<File, Error> {
        self.handle
            .open_file(path)
            .map_err(self.error("read", path.as_os_str()))
    }

    /// The bytes of a file; `None` if it has more than `limit`.
    pub(crate) fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let file = self.open_file(path)?;
        // With room for the whole file, two reads are enough.
        let size = file.metadata().map_or(0, |info| info.len().min(limit));
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(self.error("read", path.as_os_str()))?;
        let fits = u64::try_from(bytes.len()).is_ok_and(|len| len <= limit);
        Ok(fits.then_some(bytes))
    }

    pub(crate) fn read_link(&self, name: &OsStr) -> Result<PathBuf, Error> {
        self.handle.read_link(name).map_err(self.error("read", name))
    }

    pub(crate) fn open_lock(&self, name: &OsStr) -> Result<File, Error> {
        step()
            .and_then(|()| self.handle.open_own(Path::new(name), 0o600, false))
            .map_err(self.error("used as the lock", name))
    }

    pub(crate) fn create_folder(&self, name: &OsStr, mode: u32) -> Result<Self, Error> {
        let handle = step()
            .and_then(|()| self.handle.create_folder(name, mode))
            .map_err(self.error("created", name))?;
        let shown = self.shown(name);
        Ok(Self { handle, shown })
    }

    /// Opens a folder of this one, or creates it.
    pub(crate) fn ensure_folder(&self, name: &OsStr, mode: u32) -> Result<Self, Error> {
        match self.info(name)? {
            Some(_) => self.subfolder(Path::new(name)),
            None => self.create_folder(name, mode),
        }
    }

    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Error> {
        step()
            .and_then(|()| self.handle.set_mode(mode))
            .map_err(self.error("changed in its mode", OsStr::new("")))
    }

    /// Writes a file that did not exist. It is on the disk only after [`flush`](crate::flush::flush).
    pub(crate) fn write_new<'a>(
        &self,
        name: &OsStr,
        bytes: Cow<'a, [u8]>,
        mode: u32,
    ) -> Result<Unflushed<'a>, Error> {
        let write = || -> io::Result<File> {
            step()?;
            let mut file = self.handle.create_new(Path::new(name), mode)?;
            // In two parts, so that tests can stop in the middle of a file.
            let (start, rest) = bytes.split_at(bytes.len() / 2);
            for part in [start, rest] {
                step()?;
                file.write_all(part)?;
            }
            Ok(file)
        };
        let file = write().map_err(self.error("written", name))?;
        Ok(Unflushed {
            file,
            bytes,
            shown: self.shown(name),
        })
    }

    /// Copies a file into another folder, with its rights except those to change identity and those of others to write.
    pub(crate) fn copy_to(&self, name: &OsStr, target: &Self, mode: u32) -> Result<(), Error> {
        let mut from = self.open_file(Path::new(name))?;
        let mut copy = || -> io::Result<()> {
            step()?;
            let mut file = target.handle.create_new(Path::new(name), 0o600)?;
            step()?;
            io::copy(&mut from, &mut file)?;
            step()?;
            file.set_permissions(Permissions::from_mode(mode & 0o775))?;
            step()?;
            file.sync_all()
        };
        copy().map_err(target.error("written", name))
    }

    /// Gives a file a second name in another folder.
    pub(crate) fn link_to(&self, name: &OsStr, target: &Self) -> io::Result<()> {
        step()?;
        self.handle.link_to(name, &target.handle, name)
    }

    pub(crate) fn create_link(&self, name: &OsStr, target: &Path) -> Result<(), Error> {
        step()
            .and_then(|()| self.handle.create_link(name, target))
            .map_err(self.error("created", name))
    }

    /// Renames an entry, and replaces what has the new name, but no folder with content.
    pub(crate) fn replace(&self, from: &OsStr, folder: &Self, to: &OsStr) -> Result<(), Error> {
        event("rename", &folder.shown(to));
        step()
            .and_then(|()| {
                self.handle
                    .rename_to(from, &folder.handle, to, RenameMode::Replace)
            })
            .map_err(folder.error("replaced", to))
    }

    /// Renames an entry. Returns false if there is anything of the new name.
    pub(crate) fn rename_new(&self, from: &OsStr, folder: &Self, to: &OsStr) -> Result<bool, Error> {
        event("rename", &folder.shown(to));
        let rename = |mode| self.handle.rename_to(from, &folder.handle, to, mode);
        let mut renamed = step().and_then(|()| rename(RenameMode::KeepExisting));
        if renamed
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::Unsupported)
        {
            if folder.info(to)?.is_some() {
                return Ok(false);
            }
            renamed = rename(RenameMode::Replace);
        }
        match renamed {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(folder.error("created", to)(error)),
        }
    }

    /// Exchanges two entries. Returns false if the file system cannot.
    pub(crate) fn exchange(&self, a: &OsStr, b: &OsStr) -> Result<bool, Error> {
        if !can_exchange() {
            return Ok(false);
        }
        match step().and_then(|()| self.handle.rename_to(a, &self.handle, b, RenameMode::Exchange)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(self.error("replaced", b)(error)),
        }
    }

    pub(crate) fn remove_file(&self, name: &OsStr) -> Result<(), Error> {
        step()
            .and_then(|()| self.handle.remove_file(name))
            .map_err(self.error("removed", name))
    }

    pub(crate) fn remove_folder(&self, name: &OsStr) -> Result<(), Error> {
        step()
            .and_then(|()| self.handle.remove_folder(name))
            .map_err(self.error("removed", name))
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        event("flush", &self.shown);
        step()
            .and_then(|()| self.wait())
            .map_err(|source| self.sync_error(source))
    }

    /// Waits until the names in the folder are on the disk; is no change that tests count.
    pub(crate) fn wait(&self) -> io::Result<()> {
        self.handle.sync()
    }

    pub(crate) fn sync_error(&self, source: io::Error) -> Error {
        self.error("written to the disk", OsStr::new(""))(source)
    }
}

impl Unflushed<'_> {
    pub(crate) fn error(&self, source: io::Error) -> Error {
        Error::Io {
            action: "written",
            path: self.shown.clone(),
            source,
        }
    }

    /// Waits until the file is on the disk, and reads it back.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let mut file = &self.file;
        file.sync_all()?;
        file.rewind()?;
        let mut written = Vec::with_capacity(self.bytes.len());
        file.read_to_end(&mut written)?;
        if written == *self.bytes {
            Ok(())
        } else {
            Err(io::Error::other(
                "the disk returned other bytes than were written",
            ))
        }
    }
}
