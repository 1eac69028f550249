//! The options of a process that installs skills for its assistant.

use std::path::PathBuf;

use crate::error::{CliError, CliErrorKind};
use crate::local_install::{LocalTools, ProjectFolders};

#[derive(Debug, clap::Args)]
pub(super) struct LocalToolArgs {
    /// Let install_skill write below this project folder
    ///
    /// Default: only the skills folders below your home folder, and project folders that the assistant names. Example:
    /// --allow-project ~/shop
    #[arg(long, value_name = "FOLDER")]
    allow_project: Option<PathBuf>,
}

impl LocalToolArgs {
    /// The tools that may write to this machine.
    pub(super) fn tools(&self) -> Result<LocalTools, CliError> {
        let project = self.allow_project.as_ref().map(|folder| {
            let found = folder.canonicalize().map_err(|error| {
                let message = format!("the project folder {} cannot be used: {error}", folder.display());
                CliError::new(CliErrorKind::Usage, message)
            })?;
            if found.is_dir() {
                Ok(found)
            } else {
                let message = format!("{} is not a folder", folder.display());
                Err(CliError::new(CliErrorKind::Usage, message))
            }
        });
        let projects = project.transpose()?.into_iter().collect();
        Ok(LocalTools::new(ProjectFolders(projects)))
    }
}
