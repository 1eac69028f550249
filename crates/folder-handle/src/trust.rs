//! Whether another account can change what a path leads to.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

/// As many links as Linux follows in one path.
const MAX_LINKS: u32 = 40;

/// Why a path can lead elsewhere tomorrow.
#[derive(Debug)]
pub enum Untrusted {
    /// The folder or link belongs to another account, which can replace it or what is in it.
    OtherOwner {
        path: PathBuf,
        owner: u32,
    },
    /// Group or others can write to the folder, and it has no sticky bit.
    Writable {
        path: PathBuf,
        mode: u32,
    },
    Unreadable {
        path: PathBuf,
        source: io::Error,
    },
}

/// The part of a path that no other account can change, and the rest.
#[derive(Debug)]
pub struct TrustedPrefix {
    /// Exists, and has no links: those of trusted accounts were followed.
    pub trusted: PathBuf,
    /// Relative to [`Self::trusted`]: what does not exist, or is not trusted. To be opened without following links.
    pub rest: PathBuf,
    /// Why the rest is not trusted. `None` if it does not exist.
    pub problem: Option<Untrusted>,
}

/// Follows an absolute path from the root down for as long as each folder and link belongs to root, to this account or to
/// `also_trusted`, and each folder can be written by its owner only, or is sticky. A group of this account alone may write,
/// because many systems give each user such a group and a umask of 002.
///
/// # Errors
/// [`Untrusted::Unreadable`] if a folder cannot be examined, for a relative path, and for links in a circle.
pub fn trusted_prefix(path: &Path, also_trusted: Option<u32>) -> Result<TrustedPrefix, Untrusted> {
    let own = Uid::effective().as_raw();
    let is_trusted = |owner: u32| owner == 0 || owner == own || Some(owner) == also_trusted;
    if !path.is_absolute() {
        return Err(unreadable(path, io::ErrorKind::InvalidInput.into()));
    }
    let mut at = PathBuf::from("/");
    // The next component last.
    let mut left = names(path);
    let mut links = 0;
    let mut problem = None;
    while let Some(name) = left.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let found = match fs::symlink_metadata(&next) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                left.push(name);
                break;
            }
            Err(error) => return Err(unreadable(&next, error)),
        };
        if !is_trusted(found.uid()) {
            problem = Some(Untrusted::OtherOwner {
                path: next,
                owner: found.uid(),
            });
            left.push(name);
            break;
        }
        if found.is_symlink() {
            links += 1;
            let target = fs::read_link(&next).map_err(|error| unreadable(&next, error))?;
            if links > MAX_LINKS {
                return Err(unreadable(&next, io::Error::other("too many links")));
            }
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            left.extend(names(&target));
            continue;
        }
        at = next;
        if found.is_dir() && is_writable_by_others(found.mode(), found.gid()) {
            problem = Some(Untrusted::Writable {
                path: at.clone(),
                mode: found.mode() & 0o7777,
            });
            break;
        }
    }
    Ok(TrustedPrefix {
        trusted: at,
        rest: left.iter().rev().collect(),
        problem,
    })
}

/// Checks that no other account can change what an absolute path leads to. A part that does not exist is no error: check again
/// after it was created.
///
/// # Errors
/// As [`trusted_prefix`], and the first folder or link that is not trusted.
pub fn check_trusted_path(path: &Path, also_trusted: Option<u32>) -> Result<(), Untrusted> {
    match trusted_prefix(path, also_trusted)?.problem {
        None => Ok(()),
        Some(problem) => Err(problem),
    }
}

/// The names in a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = named.collect();
    names.reverse();
    names
}

fn unreadable(path: &Path, source: io::Error) -> Untrusted {
    Untrusted::Unreadable {
        path: path.to_path_buf(),
        source,
    }
}

/// The effective user id of this process.
#[must_use]
pub fn own_user() -> u32 {
    Uid::effective().as_raw()
}

/// Whether another account than the owner and root can replace what is in a folder with this mode and group.
#[must_use]
pub fn is_writable_by_others(mode: u32, group: u32) -> bool {
    let own = Uid::effective().as_raw();
    let is_sticky = mode & 0o1000 != 0;
    let by_all = mode & 0o002 != 0;
    let by_group = mode & 0o020 != 0 && !is_private_group(group, own);
    (by_all || by_group) && !is_sticky
}

/// Whether nobody but root and this account is in a group: root's group, or the one that is named after this account.
fn is_private_group(group: u32, own: u32) -> bool {
    let Ok(Some(found)) = Group::from_gid(Gid::from_raw(group)) else {
        return false;
    };
    let user = User::from_uid(Uid::from_raw(own)).ok().flatten();
    let name = user.as_ref().map(|user| user.name.as_str());
    let is_named_so = group == 0 || name == Some(found.name.as_str());
    is_named_so
        && found
            .mem
            .iter()
            .all(|member| member == "root" || Some(member.as_str()) == name)
}
