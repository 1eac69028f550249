//! The folders in which a user's programs keep their configuration.

use std::ffi::OsString;
use std::path::PathBuf;

/// The configuration folders of one user.
#[derive(Debug)]
pub struct ConfigDirs {
    pub home: PathBuf,
    /// `XDG_CONFIG_HOME`; default: `.config` in the home folder.
    pub config: PathBuf,
    /// `CLAUDE_CONFIG_DIR`
    pub claude: Option<PathBuf>,
    /// `CODEX_HOME`
    pub codex: Option<PathBuf>,
}

impl ConfigDirs {
    /// Reads the folders from environment variables, which `variable` looks up. Returns `None` if `HOME` is not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let folder = |name: &str| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        let home = folder("HOME")?;
        // XDG Base Directory Specification: "If an implementation encounters a relative path […] it should […] ignore it."
        let config = folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        Some(Self {
            config: config.unwrap_or_else(|| home.join(".config")),
            claude: folder("CLAUDE_CONFIG_DIR"),
            codex: folder("CODEX_HOME"),
            home,
        })
    }

    /// The folder in which desktop applications keep their settings.
    pub(crate) fn applications(&self) -> PathBuf {
        if cfg!(target_os = "macos") {
            self.home.join("Library/Application Support")
        } else {
            self.config.clone()
        }
    }
}
