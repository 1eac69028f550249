//! Resolves a relative path from a handle without following links.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::{FOLDER, SAFE};

/// Flags for a folder on the way. On Linux, the right to search it is enough.
#[cfg(target_os = "linux")]
const STEP: OFlag = FOLDER.union(SAFE).union(OFlag::O_PATH);
#[cfg(not(target_os = "linux"))]
const STEP: OFlag = FOLDER.union(SAFE);

/// Rejects a path that could lead out by its text: absolute, or with `..`.
pub(crate) fn check(relative: &Path) -> io::Result<()> {
    let stays_below = relative
        .components()
        .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
    if stays_below {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path leads out of its folder",
        ))
    }
}

/// Opens a path that [`check`] accepts. An empty one opens the folder again.
pub(crate) fn open(folder: BorrowedFd<'_>, relative: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
    let relative = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        relative
    };
    #[cfg(target_os = "linux")]
    match by_openat2(folder, relative, flags, mode) {
        // ENOSYS: before Linux 5.6. EPERM: a filter of system calls that does not know openat2, as in old containers.
        Err(Errno::ENOSYS | Errno::EPERM) => {}
        opened => return Ok(opened?),
    }
    Ok(by_steps(folder, relative, flags, mode)?)
}

/// Opens a folder by its canonical path, which has no links unless something was replaced just now.
#[cfg(target_os = "linux")]
pub(crate) fn open_canonical(path: &Path) -> io::Result<OwnedFd> {
    let root = std::fs::File::open("/")?;
    let below = path.strip_prefix("/").unwrap_or(path);
    open(root.as_fd(), below, FOLDER | SAFE, Mode::empty())
}

/// Opens a folder by its canonical path. Only the last folder is checked for a link: opening each folder on the way needs the right to
/// read it here, which accounts do not have for the folders around their home.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open_canonical(path: &Path) -> io::Result<OwnedFd> {
    Ok(nix::fcntl::open(path, FOLDER | SAFE, Mode::empty())?)
}

/// One system call that refuses links and paths that lead out.
#[cfg(target_os = "linux")]
fn by_openat2(folder: BorrowedFd<'_>, relative: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    use nix::fcntl::{OpenHow, ResolveFlag, openat2};

    /// The kernel answers EAGAIN if something was renamed meanwhile and it cannot tell whether the path stayed below.
    const ATTEMPTS: u32 = 100;
    // The kernel rejects a mode without O_CREAT.
    let mode = if flags.contains(OFlag::O_CREAT) {
        mode
    } else {
        Mode::empty()
    };
    let how = OpenHow::new()
        .flags(flags)
        .mode(mode)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let mut opened = openat2(folder, relative, how);
    for _ in 1..ATTEMPTS {
        if !matches!(opened, Err(Errno::EAGAIN)) {
            break;
        }
        opened = openat2(folder, relative, how);
    }
    opened
}

/// One `openat` for each folder of the path, each from the handle of the folder before, none through a link.
pub(crate) fn by_steps(
    folder: BorrowedFd<'_>,
    relative: &Path,
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let mut reached: Option<OwnedFd> = None;
    let mut names = relative.iter().peekable();
    while let Some(name) = names.next() {
        let from = reached.as_ref().map_or(folder, OwnedFd::as_fd);
        let opened = if names.peek().is_some() {
            openat(from, name, STEP, Mode::empty())?
        } else {
            openat(from, name, flags | OFlag::O_NOFOLLOW, mode)?
        };
        reached = Some(opened);
    }
    reached.ok_or(Errno::EINVAL)
}
