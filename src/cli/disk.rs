//! The commands that install skills on this machine: `add`, `remove`, `list`, `update`, `outdated`, `verify`, `sync`, `why`,
//! `rollback`, `pin`.

mod add;
mod client;
mod list;
mod outdated;
mod pin;
mod progress;
mod removal;
mod rollback;
mod scope;
mod state_files;
mod sync;
mod trust;
mod update;
mod verify;
mod wanted;
mod why;

pub(super) use add::AddArgs;
pub(super) use list::ListArgs;
pub(super) use outdated::OutdatedArgs;
pub(super) use pin::PinArgs;
pub(super) use removal::RemoveArgs;
pub(super) use rollback::RollbackArgs;
pub(super) use sync::SyncArgs;
pub(super) use trust::TrustArgs;
pub(super) use update::UpdateArgs;
pub(super) use verify::VerifyArgs;
pub(super) use why::WhyArgs;

pub(super) use add::run as add;
pub(super) use list::run as list;
pub(super) use outdated::run as outdated;
pub(super) use pin::run as pin;
pub(super) use removal::run as remove;
pub(super) use rollback::run as rollback;
pub(super) use sync::run as sync;
pub(super) use trust::run as trust;
pub(super) use update::run as update;
pub(super) use verify::run as verify;
pub(super) use why::run as why;

use crate::error::{CliError, CliErrorKind};
use crate::local_install::{LocalInstallError, ToolCallError};

/// An error of installing as an error of the command line.
fn failed(error: LocalInstallError) -> CliError {
    let kind = match &error {
        LocalInstallError::Registry(ToolCallError::Refused { code, .. }) => match code.as_str() {
            "not_found" => CliErrorKind::NotFound,
            "invalid_arguments" => CliErrorKind::Usage,
            _ => CliErrorKind::Refused,
        },
        LocalInstallError::Registry(ToolCallError::Failed(_)) => CliErrorKind::Unavailable,
        LocalInstallError::NoFolder { .. } | LocalInstallError::NoHome | LocalInstallError::NoProject => {
            CliErrorKind::Usage
        }
        LocalInstallError::Answer(_)
        | LocalInstallError::Archive(_)
        | LocalInstallError::Signer(_)
        | LocalInstallError::Installer(_) => CliErrorKind::Refused,
        LocalInstallError::TaskFailed => CliErrorKind::Internal,
    };
    CliError::new(kind, error.to_string())
}

fn installer_failed(error: skill_installer::Error) -> CliError {
    failed(error.into())
}

fn usage(message: impl Into<String>) -> CliError {
    CliError::new(CliErrorKind::Usage, message)
}
