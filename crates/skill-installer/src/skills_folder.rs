//! A folder in which an assistant looks for skills.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use folder_handle::FolderHandle;

use crate::disk::Folder;
use crate::error::{Error, FileProblem};
use crate::own_names::{BACKUP, LOCK};
use crate::recover::{Recovered, recover_locked};
use crate::trust::check_folder;

const MAX_COMPONENTS: usize = 32;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A folder in which an assistant looks for skills, such as `~/.claude/skills`, opened by its handle.
#[derive(Debug)]
pub struct SkillsFolder {
    pub(crate) base: FolderHandle,
    pub(crate) relative: PathBuf,
    pub(crate) folder: Folder,
}

/// The lock of a skills folder. The operating system releases it when the file is closed, however the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Held until it is dropped.
    _file: File,
    pub(crate) recovered: Recovered,
}

impl SkillsFolder {
    /// Opens a folder below `base`, and creates what is missing of `relative` with mode 0755 and less where the umask says so.
    ///
    /// Links in the path of `base` are followed, once; it must exist. No link is followed below it.
    ///
    /// # Errors
    /// [`Error::Unsafe`] if a component of `relative` is a link or no folder, belongs to another account than this one or root, or
    /// can be written by other accounts; [`Error::NoBase`]; [`Error::BadFolderPath`].
    pub fn open(base: &Path, relative: &Path) -> Result<Self, Error> {
        match Self::open_or_create(base, relative, true)? {
            Some(folder) => Ok(folder),
            None => Err(Error::BadFolderPath {
                path: relative.to_path_buf(),
            }),
        }
    }

    /// Opens a folder as [`Self::open`], but creates nothing. `None` if it does not exist.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_existing(base: &Path, relative: &Path) -> Result<Option<Self>, Error> {
        Self::open_or_create(base, relative, false)
    }

    fn open_or_create(base: &Path, relative: &Path, creates: bool) -> Result<Option<Self>, Error> {
        let names = components(relative)?;
        let handle = FolderHandle::open(base).map_err(|source| Error::NoBase {
            path: base.to_path_buf(),
            source,
        })?;
        let root = handle.subfolder(Path::new("")).map_err(|source| Error::NoBase {
            path: base.to_path_buf(),
            source,
        })?;
        let mut folder = Folder::new(root, PathBuf::new());
        for name in &names {
            let mut info = folder.info(name)?;
            if info.is_none() {
                if !creates {
                    return Ok(None);
                }
                // Another process may create it at the same time.
                let created = folder.create_folder(name, 0o755);
                info = folder.info(name)?;
                if info.is_none() {
                    created?;
                }
            }
            let problem = match &info {
                Some(info) => check_folder(info).err(),
                None => Some(FileProblem::NotAFolder),
            };
            if let Some(problem) = problem {
                let path = folder.shown(name);
                return Err(Error::Unsafe { path, problem });
            }
            let opened = folder.subfolder(Path::new(name))?;
            // What was opened, in case it was exchanged meanwhile.
            check_folder(&opened.own_info()?).map_err(|problem| Error::Unsafe {
                path: folder.shown(name),
                problem,
            })?;
            folder = opened;
        }
        let relative = names.iter().collect();
        let folder = folder.into_root();
        Ok(Some(Self {
            base: handle,
            relative,
            folder,
        }))
    }

    /// The path, without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Mends what a crashed run left. Every change does this first, so it need not be called.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process holds the lock for longer than `wait`, and [`Error::Io`].
    pub fn recover(&self, wait: Duration) -> Result<Recovered, Error> {
        Ok(self.lock(wait)?.recovered)
    }

    /// Waits for the lock, and mends what a crashed run left.
    pub(crate) fn lock(&self, wait: Duration) -> Result<Lock, Error> {
        let file = self.folder.open_lock(OsStr::new(LOCK))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if start.elapsed() < wait => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy {
                        path: self.path().to_path_buf(),
                    });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Io {
                        action: "locked",
                        path: LOCK.into(),
                        source,
                    });
                }
            }
        }
        self.check_backup()?;
        let recovered = recover_locked(&self.folder)?;
        Ok(Lock {
            _file: file,
            recovered,
        })
    }

    /// Found before anything changes, not when the backup is needed.
    fn check_backup(&self) -> Result<(), Error> {
        match self.folder.info(OsStr::new(BACKUP))? {
            Some(info) => check_folder(&info).map_err(|problem| Error::Unsafe {
                path: BACKUP.into(),
                problem,
            }),
            None => Ok(()),
        }
    }
}

fn components(relative: &Path) -> Result<Vec<&OsStr>, Error> {
    let bad = || Error::BadFolderPath {
        path: relative.to_path_buf(),
    };
    let names: Vec<&OsStr> = relative
        .components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| match component {
            Component::Normal(name) => Some(name),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(bad)?;
    if names.is_empty() || names.len() > MAX_COMPONENTS {
        return Err(bad());
    }
    Ok(names)
}
