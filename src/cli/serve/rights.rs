//! Gives up root's rights after the server has bound its port and connected to the database.

#[cfg(not(target_vendor = "apple"))]
use std::ffi::CString;

use nix::unistd::{Uid, User, setgid, setuid};

use crate::error::{CliError, CliErrorKind};

/// Used without `--run-as`, if the system has this account.
const SERVICE_ACCOUNT: &str = "skillkeep";

/// The account to continue as, or `None` to keep the current one.
///
/// # Errors
/// [`CliErrorKind::Usage`] if `name` was given and cannot be used.
pub(super) fn choose_account(name: Option<&str>, is_embedded: bool) -> Result<Option<User>, CliError> {
    let refused = |why: String| CliError::new(CliErrorKind::Usage, format!("--run-as: {why}"));
    let find = |name: &str| {
        User::from_name(name)
            .map_err(|error| refused(format!("cannot read the accounts of this system: {error}")))
    };
    let is_root = Uid::effective().is_root();
    match name {
        None if is_root && !is_embedded => find(SERVICE_ACCOUNT),
        None => Ok(None),
        Some(_) if !is_root => Err(refused("only root can become another account".to_owned())),
        Some(_) if is_embedded => Err(refused(
            "the embedded PostgreSQL needs root to start and stop it; set DATABASE_URL, or start skillkeep as the account itself".to_owned(),
        )),
        Some(name) => match find(name)? {
            Some(user) if !user.uid.is_root() => Ok(Some(user)),
            Some(_) => Err(refused(format!("{name} has root's rights"))),
            None => Err(refused(format!("this system has no account {name}"))),
        },
    }
}

/// Changes the user, the group and the supplementary groups of every thread of this process. It cannot be undone.
///
/// # Errors
/// [`CliErrorKind::Internal`] if the system refuses. The process must then end.
pub(super) fn become_account(user: &User) -> Result<(), CliError> {
    let changed = set_groups(user)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid));
    let failed = |why: &dyn std::fmt::Display| {
        CliError::new(
            CliErrorKind::Internal,
            format!("cannot give up root's rights for {}: {why}", user.name),
        )
    };
    changed.map_err(|error| failed(&error))?;
    if setuid(Uid::from_raw(0)).is_ok() {
        return Err(failed(&"the system lets this process have them back"));
    }
    Ok(())
}

#[cfg(not(target_vendor = "apple"))]
fn set_groups(user: &User) -> nix::Result<()> {
    let name = CString::new(user.name.as_str()).map_err(|_| nix::errno::Errno::EINVAL)?;
    nix::unistd::initgroups(&name, user.gid)
}

/// macOS keeps at most 16 groups and has no safe call to set them: launchd's `UserName` starts a service as its account.
#[cfg(target_vendor = "apple")]
fn set_groups(_user: &User) -> nix::Result<()> {
    Err(nix::errno::Errno::ENOTSUP)
}
