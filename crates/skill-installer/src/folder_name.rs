//! Names of the folders of installed skills.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use agent_skills::SkillPath;
use serde::Serialize;

use crate::error::Error;
use crate::own_names::is_own_name;

/// The name of a skill's folder in a skills folder: one component that names the same folder on Linux, macOS and Windows,
/// not hidden, at most 180 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct FolderName(String);

impl FolderName {
    /// Maximum length in bytes. Names of temporary folders contain it and must fit into 255 bytes.
    pub const MAX_LEN: usize = 180;

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn as_os_str(&self) -> &OsStr {
        OsStr::new(&self.0)
    }
}

impl FromStr for FolderName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let reason = if text.contains('/') {
            "it must be one name, without \"/\"".to_owned()
        } else if text.starts_with('.') {
            "assistants do not look into hidden folders, and \"..\" leads out".to_owned()
        } else if is_own_name(text) {
            "skillkeep uses this name itself".to_owned()
        } else if text.len() > Self::MAX_LEN {
            format!("it has more than {} bytes", Self::MAX_LEN)
        } else {
            match SkillPath::parse(text) {
                Ok(_) => return Ok(Self(text.to_owned())),
                Err(error) => error.to_string(),
            }
        };
        Err(Error::BadName {
            name: text.chars().take(64).collect(),
            reason,
        })
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
