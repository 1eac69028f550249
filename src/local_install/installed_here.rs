//! An installed skill of this machine.

use skill_installer::Installed;

use super::machine::LocalFolder;

/// An installed skill and the skills folder that it is in.
#[derive(Debug, Clone)]
pub struct InstalledHere {
    pub place: LocalFolder,
    pub installed: Installed,
    /// Why the assistants do not use this copy; `None` if they do.
    pub shadowed: Option<String>,
}
