//! Creates, replaces and removes files in a folder, by its handle.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat, renameat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, linkat, symlinkat, unlinkat};
use rustix::fs::{RenameFlags, renameat_with};

use crate::{FolderHandle, SAFE, regular, resolve};

/// What [`FolderHandle::rename_to`] does with an entry that has the new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenameMode {
    Replace,
    /// Linux: `RENAME_NOREPLACE`; macOS: `RENAME_EXCL`.
    KeepExisting,
    /// Gives it the old name, in one step. Linux: `RENAME_EXCHANGE`; macOS: `RENAME_SWAP`.
    Exchange,
}

/// The permission bits of a file or folder.
#[allow(
    clippy::cast_possible_truncation,
    reason = "macOS has 16 bits, of which 12 are used"
)]
fn mode_bits(mode: u32) -> Mode {
    Mode::from_bits_truncate((mode & 0o7777) as nix::libc::mode_t)
}

impl FolderHandle {
    /// Writes a file, in place of one that is there, at once: readers see the old bytes or the new ones.
    ///
    /// # Errors
    /// If the folder cannot be written, or a file `.NAME.PID.new` is in the way.
    pub fn replace_file(&self, name: &OsStr, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}.new", std::process::id()));
        let mut file = self.create_new(Path::new(&temporary), mode)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // The error of the write says more than one of removing what it left.
            let _ = self.remove_file(&temporary);
            return Err(error);
        }
        self.rename(&temporary, name)?;
        self.sync()
    }

    /// Creates a file for writing that nobody had created before.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is anything of this name, also a link that leads nowhere.
    pub fn create_new(&self, path: &Path, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | SAFE;
        let fd = resolve::open(self.fd.as_fd(), self.relative(path)?, flags, mode_bits(mode))?;
        regular(fd)
    }

    /// Opens a file for reading and writing, and creates it if it is missing. With `append`, writes go to its end.
    ///
    /// The file must be this account's own, so that no other account made this process write into a file of its choice:
    /// a regular file with one name, which this account (or the owner of the folder, for root) owns, and which others
    /// cannot write.
    ///
    /// # Errors
    /// If it is anything else, with a text that says what.
    pub fn open_own(&self, path: &Path, mode: u32, append: bool) -> io::Result<File> {
        let relative = self.relative(path)?;
        let flags = OFlag::O_RDWR | SAFE | if append { OFlag::O_APPEND } else { OFlag::empty() };
        let open = |flags| resolve::open(self.fd.as_fd(), relative, flags, mode_bits(mode));
        let mut opened = open(flags);
        // Created by this process alone, or opened as it is: with O_CREAT alone, a name could be of either kind.
        for _ in 0..2 {
            let Err(error) = &opened else { break };
            let kind = error.kind();
            if kind == io::ErrorKind::NotFound {
                opened = open(flags | OFlag::O_CREAT | OFlag::O_EXCL);
            } else if kind == io::ErrorKind::AlreadyExists {
                opened = open(flags);
            } else {
                break;
            }
        }
        let file = regular(opened?)?;
        self.check_own(&file)?;
        Ok(file)
    }

    fn check_own(&self, file: &File) -> io::Result<()> {
        let found = file.metadata()?;
        let own = Uid::effective().as_raw();
        let is_own = found.uid() == own || (own == 0 && found.uid() == self.own_info()?.owner);
        let problem = if !is_own {
            format!("it belongs to the account with uid {}", found.uid())
        } else if found.nlink() != 1 {
            "it has more than one name (hard link)".to_owned()
        } else if found.mode() & 0o022 != 0 {
            "other accounts can write to it".to_owned()
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
    }

    /// Creates a folder.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is anything of this name, and [`io::ErrorKind::PermissionDenied`] if another account
    /// replaced the new folder at once.
    pub fn create_folder(&self, name: &OsStr, mode: u32) -> io::Result<Self> {
        let name = Path::new(name);
        resolve::check(name)?;
        mkdirat(&self.fd, name, mode_bits(mode))?;
        let created = self.subfolder(name)?;
        let found = created.own_info()?;
        // A file system that knows no owners, as of a container's host, may give it to another account than root.
        let own = Uid::effective();
        let is_own = found.owner == own.as_raw() || found.owner == self.own_info()?.owner && !own.is_root();
        let has_mode = found.mode & 0o777 & !mode == 0;
        if is_own && has_mode && created.entries(Path::new(""), 1)?.is_empty() {
            Ok(created)
        } else {
            Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "another account replaced the folder that was just created",
            ))
        }
    }

    /// Gives the folder to another account, which only root can.
    ///
    /// # Errors
    /// Those of `fchown`.
    pub fn give_to(&self, user: u32, group: u32) -> io::Result<()> {
        Ok(fchown(
            &self.fd,
            Some(Uid::from_raw(user)),
            Some(Gid::from_raw(group)),
        )?)
    }

    /// Renames an entry of this folder, and replaces what has the new name.
    ///
    /// # Errors
    /// Those of `renameat`.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        for name in [from, to] {
            resolve::check(Path::new(name))?;
        }
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Renames an entry of this folder to an entry of another folder of the same file system.
    ///
    /// # Errors
    /// Those of `renameat2`: [`io::ErrorKind::AlreadyExists`] for [`RenameMode::KeepExisting`] if there is anything of the
    /// new name. [`io::ErrorKind::Unsupported`] if the file system knows only [`RenameMode::Replace`].
    pub fn rename_to(&self, from: &OsStr, folder: &Self, to: &OsStr, mode: RenameMode) -> io::Result<()> {
        for name in [from, to] {
            resolve::check(Path::new(name))?;
        }
        let flags = match mode {
            RenameMode::Replace => RenameFlags::empty(),
            RenameMode::KeepExisting => RenameFlags::NOREPLACE,
            RenameMode::Exchange => RenameFlags::EXCHANGE,
        };
        // INVAL stands for a folder below itself too, but then a rename without flags fails as well.
        let unsupported = [
            rustix::io::Errno::INVAL,
            rustix::io::Errno::NOSYS,
            rustix::io::Errno::NOTSUP,
            rustix::io::Errno::OPNOTSUPP,
        ];
        match renameat_with(&self.fd, from, &folder.fd, to, flags) {
            Ok(()) => Ok(()),
            Err(error) if mode != RenameMode::Replace && unsupported.contains(&error) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file of this folder a second name (hard link) in another folder. A link is not followed.
    ///
    /// # Errors
    /// Those of `linkat`, and [`io::ErrorKind::AlreadyExists`] if there is anything of the new name.
    pub fn link_to(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        for name in [from, to] {
            resolve::check(Path::new(name))?;
        }
        Ok(linkat(&self.fd, from, &folder.fd, to, AtFlags::empty())?)
    }

    /// Creates a symbolic link with this text, which is not checked.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is anything of this name.
    pub fn create_link(&self, name: &OsStr, target: &Path) -> io::Result<()> {
        resolve::check(Path::new(name))?;
        Ok(symlinkat(target, &self.fd, name)?)
    }

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the entry is no link.
    pub fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        resolve::check(Path::new(name))?;
        Ok(readlinkat(&self.fd, name)?.into())
    }

    /// Removes an empty folder of this folder. One that does not exist is no error.
    ///
    /// # Errors
    /// [`io::ErrorKind::DirectoryNotEmpty`], and the others of `unlinkat`.
    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        resolve::check(Path::new(name))?;
        match unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the permission bits of the folder itself, without regard to the umask.
    ///
    /// # Errors
    /// Those of `fchmod`.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(&self.fd, mode_bits(mode))?)
    }

    /// Removes a file or link of this folder. One that does not exist is no error.
    ///
    /// # Errors
    /// Those of `unlinkat`.
    pub fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        resolve::check(Path::new(name))?;
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the names in the folder are on disk.
    ///
    /// # Errors
    /// Those of `fsync`.
    pub fn sync(&self) -> io::Result<()> {
        File::from(self.fd.try_clone()?).sync_all()
    }
}
