//! What the marker file says beside the release.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use crate::error::{Error, ReleaseProblem};
use crate::flush::flush;
use crate::folder_name::FolderName;
use crate::marker::{MARKER_FILE, Marker, is_word};
use crate::own_names::{TEMPORARY, new_id};
use crate::plan::Options;
use crate::remove::installed;
use crate::skills_folder::SkillsFolder;
use crate::tree::Target;

/// What [`Plan::apply`](crate::Plan::apply) writes to the marker file beside the release.
#[derive(Debug, Clone, Copy)]
pub struct InstallRecord<'a> {
    /// A time in RFC 3339.
    pub installed_at: &'a str,
    /// Under which id the registry knows the install. `None`: it was not told.
    pub receipt: Option<&'a str>,
    /// Whether the user wants to keep the version. `None`: as before.
    pub pinned: Option<bool>,
}

impl<'a> InstallRecord<'a> {
    /// A record of the time alone.
    #[must_use]
    pub const fn at(installed_at: &'a str) -> Self {
        Self {
            installed_at,
            receipt: None,
            pinned: None,
        }
    }

    /// Checks that a marker with it could be read again.
    pub(crate) fn check(&self, name: &FolderName) -> Result<(), Error> {
        if !is_word(self.installed_at) {
            return Err(Error::BadTime {
                text: self.installed_at.chars().take(64).collect(),
            });
        }
        if self.receipt.is_some_and(|receipt| !is_word(receipt)) {
            return Err(Error::BadRelease {
                skill: name.to_string(),
                problem: ReleaseProblem::Receipt,
            });
        }
        Ok(())
    }

    /// Writes receipt and pin to a marker, where they are given.
    pub(crate) fn put(&self, marker: &mut Marker) {
        if let Some(receipt) = self.receipt {
            marker.receipt = Some(receipt.to_owned());
        }
        if let Some(pinned) = self.pinned {
            marker.pinned = pinned;
        }
    }
}

/// Records whether the user wants to keep the installed version.
///
/// # Errors
/// [`Error::NotInstalled`], [`Error::Unsafe`], [`Error::Busy`], [`Error::Io`].
pub fn set_pinned(
    folder: &SkillsFolder,
    name: &FolderName,
    is_pinned: bool,
    options: &Options,
) -> Result<(), Error> {
    let _lock = folder.lock(options.wait)?;
    let (target, marker) = installed(folder, name)?;
    change_marker(folder, &target, &marker, |marker| marker.pinned = is_pinned)
}

/// Replaces the marker file of a skill at once. The lock is held.
pub(crate) fn change_marker(
    folder: &SkillsFolder,
    target: &Target,
    before: &Marker,
    change: impl FnOnce(&mut Marker),
) -> Result<(), Error> {
    let mut marker = before.clone();
    change(&mut marker);
    if marker == *before {
        return Ok(());
    }
    let skills = &folder.folder;
    let temporary = OsString::from(format!("{TEMPORARY}{}", new_id()));
    let write = || {
        let written = skills.write_new(&temporary, Cow::Owned(marker.to_bytes()), 0o644)?;
        flush(&[written], &[])?;
        skills.replace(&temporary, &target.folder, OsStr::new(MARKER_FILE))?;
        target.folder.sync()
    };
    write().inspect_err(|_| {
        let _ = skills.remove_file(&temporary);
    })
}
