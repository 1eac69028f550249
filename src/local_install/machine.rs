//! The folders of this machine that skills may be written to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use assistants::skill_targets::{Dirs, Level, SkillAssistant, SkillsFolder};

use super::error::LocalInstallError;

/// The folders of a user and, if there is one, of a project.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    pub home: Option<PathBuf>,
    pub project: Option<PathBuf>,
}

/// Which projects a process may write to.
#[derive(Debug, Clone, Default)]
pub struct ProjectFolders(pub Vec<PathBuf>);

/// A skills folder as the installer opens it: a folder that exists, and a path below it that is created without following links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFolder {
    pub base: PathBuf,
    pub relative: PathBuf,
}

impl LocalFolder {
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.base.join(&self.relative)
    }

    /// Files of this folder as people see them, see [`Machine::shown`].
    pub(super) fn shown_files(&self, machine: &Machine, files: Vec<String>) -> Vec<String> {
        let shown = |file| machine.shown(&self.path().join(file));
        files.into_iter().map(shown).collect()
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

impl Machine {
    /// The machine of this process: the home folder of the environment, and a project.
    #[must_use]
    pub fn of_environment(project: Option<PathBuf>) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        Self {
            home: home.filter(|home| home.is_absolute()),
            project,
        }
    }

    /// The folders, as the table of assistants takes them.
    ///
    /// # Errors
    /// [`LocalInstallError::NoHome`].
    pub fn dirs(&self) -> Result<Dirs<'_>, LocalInstallError> {
        Ok(Dirs {
            home: self.home.as_deref().ok_or(LocalInstallError::NoHome)?,
            project: self.project.as_deref(),
            variable: &variable,
        })
    }

    /// Where this program keeps the user's own settings: `$XDG_CONFIG_HOME/skillkeep`, else `~/.config/skillkeep`.
    ///
    /// # Errors
    /// [`LocalInstallError::NoHome`].
    pub fn config_folder(&self) -> Result<PathBuf, LocalInstallError> {
        let configured = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let folder = match configured.filter(|folder| folder.is_absolute()) {
            Some(folder) => folder,
            None => self
                .home
                .as_ref()
                .ok_or(LocalInstallError::NoHome)?
                .join(".config"),
        };
        Ok(folder.join("skillkeep"))
    }

    /// Where the installer opens a skills folder of an assistant.
    ///
    /// # Errors
    /// If there is no home folder, or no project for a project's folder.
    pub fn local_folder(&self, folder: SkillsFolder) -> Result<LocalFolder, LocalInstallError> {
        let path = folder.path(&self.dirs()?).ok_or(LocalInstallError::NoProject)?;
        self.split(&path).ok_or(LocalInstallError::NoProject)
    }

    /// Splits a path into the folder that exists and the rest: below the project or home folder, or, for a folder that an
    /// environment variable moved, its parent.
    fn split(&self, path: &Path) -> Option<LocalFolder> {
        let known = [self.project.as_deref(), self.home.as_deref()];
        for base in known.into_iter().flatten() {
            if let Ok(relative) = path.strip_prefix(base) {
                return Some(LocalFolder {
                    base: base.to_owned(),
                    relative: relative.to_owned(),
                });
            }
        }
        Some(LocalFolder {
            base: path.parent()?.to_owned(),
            relative: PathBuf::from(path.file_name()?),
        })
    }

    /// Every skills folder that some assistant reads, once: those of the user, and of the project if there is one.
    ///
    /// # Errors
    /// [`LocalInstallError::NoHome`].
    pub fn all_folders(&self) -> Result<Vec<LocalFolder>, LocalInstallError> {
        let dirs = self.dirs()?;
        let mut folders = Vec::new();
        for assistant in SkillAssistant::ALL {
            for level in [Level::Project, Level::User] {
                let paths = assistant.folders(level).filter_map(|folder| folder.path(&dirs));
                for folder in paths.filter_map(|path| self.split(&path)) {
                    if !folders.contains(&folder) {
                        folders.push(folder);
                    }
                }
            }
        }
        Ok(folders)
    }

    /// A path as it is shown: relative to the project, or with `~/`.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        let below = |base: Option<&Path>| path.strip_prefix(base?).ok().map(Path::to_path_buf);
        match (below(self.project.as_deref()), below(self.home.as_deref())) {
            (Some(rest), _) => rest.display().to_string(),
            (None, Some(rest)) => format!("~/{}", rest.display()),
            (None, None) => path.display().to_string(),
        }
    }
}

/// The name of this machine, for the registry's list of installs; it keeps only a hash of it unless the organisation wants names.
#[must_use]
pub(super) fn machine_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    let name = name.trim().to_owned();
    (!name.is_empty() && name.len() <= 255).then_some(name)
}
