#![doc = include_str!("../README.md")]

mod create;
mod entry;
mod resolve;
mod trust;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, fstat, fstatat};

pub use create::RenameMode;
pub use entry::{EntryInfo, EntryKind};
pub use trust::{
    TrustedPrefix, Untrusted, check_trusted_path, is_writable_by_others, own_user, trusted_prefix,
};

/// Flags with which a folder is opened.
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY);
/// Flags that every file is opened with: without following a link, and without waiting for the other end of a pipe.
const SAFE: OFlag = OFlag::O_NOFOLLOW
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NOCTTY);

/// An open folder. Paths below it are resolved from its handle and without following links.
///
/// A path is relative, or absolute and below [`Self::path`]; `..` is an error. A link in it is an error too, with the
/// operating system's text for ELOOP or ENOTDIR.
#[derive(Debug)]
pub struct FolderHandle {
    path: PathBuf,
    fd: OwnedFd,
}

impl FolderHandle {
    /// Opens a folder. Links in `path` are followed once, here; [`Self::path`] is without links.
    ///
    /// # Errors
    /// If the path leads to no folder, or if a folder in it is replaced with a link at the same time.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let fd = resolve::open_canonical(&path)?;
        Ok(Self { path, fd })
    }

    /// Opens a folder whose path another account may be able to change: links are followed for as long as it cannot, see
    /// [`trusted_prefix`]. After that a link is an error.
    ///
    /// # Errors
    /// As [`Self::open`]; and for a link that another account made, or could have made.
    pub fn open_where_trusted(path: &Path) -> io::Result<Self> {
        let prefix = trusted_prefix(&std::path::absolute(path)?, None).map_err(|problem| match problem {
            Untrusted::Unreadable { source, .. } => source,
            Untrusted::OtherOwner { .. } | Untrusted::Writable { .. } => {
                io::ErrorKind::PermissionDenied.into()
            }
        })?;
        let trusted = Self::open(&prefix.trusted)?;
        if prefix.rest.as_os_str().is_empty() {
            Ok(trusted)
        } else {
            trusted.subfolder(&prefix.rest)
        }
    }

    /// The path with which the folder was opened, without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder below this one.
    ///
    /// # Errors
    /// If there is no folder, or a link in the path.
    pub fn subfolder(&self, path: &Path) -> io::Result<Self> {
        let relative = self.relative(path)?;
        Ok(Self {
            path: self.path.join(relative),
            fd: resolve::open(self.fd.as_fd(), relative, FOLDER | SAFE, Mode::empty())?,
        })
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// If there is no regular file, or a link in the path. A pipe or device has [`io::ErrorKind::InvalidInput`]; it is
    /// opened without blocking and closed again.
    pub fn open_file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | SAFE;
        let fd = resolve::open(self.fd.as_fd(), self.relative(path)?, flags, Mode::empty())?;
        regular(fd)
    }

    /// What is at a path. A link is not followed.
    ///
    /// # Errors
    /// If there is nothing, or a link in the path to it.
    pub fn info(&self, path: &Path) -> io::Result<EntryInfo> {
        let relative = self.relative(path)?;
        let (parent, name) = match (relative.parent(), relative.file_name()) {
            (Some(parent), Some(name)) => (parent, name),
            _ => return self.own_info(),
        };
        if parent.as_os_str().is_empty() {
            return info_of(self.fd.as_fd(), name);
        }
        let parent = resolve::open(self.fd.as_fd(), parent, FOLDER | SAFE, Mode::empty())?;
        info_of(parent.as_fd(), name)
    }

    /// The folder's own metadata, by its handle.
    ///
    /// # Errors
    /// If the operating system does not tell.
    pub fn own_info(&self) -> io::Result<EntryInfo> {
        Ok(EntryInfo::from(&fstat(&self.fd)?))
    }

    /// Names and kinds of the first `limit` entries of a folder, in no order, without `.` and `..`. The path of this
    /// folder, or an empty one, lists the folder itself.
    ///
    /// # Errors
    /// If there is no folder, or a link in the path.
    pub fn entries(&self, path: &Path, limit: usize) -> io::Result<Vec<(OsString, EntryKind)>> {
        let folder = resolve::open(
            self.fd.as_fd(),
            self.relative(path)?,
            FOLDER | SAFE,
            Mode::empty(),
        )?;
        let examined = folder.try_clone()?;
        let mut listed = Dir::from_fd(folder)?;
        let mut entries = Vec::new();
        for entry in listed.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() >= limit {
                break;
            }
            let kind = match entry.file_type() {
                Some(kind) => EntryKind::from(kind),
                // Some file systems do not tell the kind in the listing.
                None => info_of(examined.as_fd(), name)?.kind,
            };
            entries.push((name.to_owned(), kind));
        }
        Ok(entries)
    }

    fn relative<'a>(&self, path: &'a Path) -> io::Result<&'a Path> {
        let relative = if path.is_absolute() {
            path.strip_prefix(&self.path).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("it is not below {}", self.path.display()),
                )
            })?
        } else {
            path
        };
        resolve::check(relative)?;
        Ok(relative)
    }
}

fn info_of(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<EntryInfo> {
    let found = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(EntryInfo::from(&found))
}

/// The file, if it is a regular one.
fn regular(fd: OwnedFd) -> io::Result<File> {
    let file = File::from(fd);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ))
    }
}

#[cfg(test)]
mod tests;
