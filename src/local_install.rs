//! Installs skills on the machine of the caller: the same for `skillkeep stdio`, the bridge and the command line.
//!
//! The registry is reached through [`RegistryClient`], so this module knows neither transport nor database. Files are written by
//! the crate `skill-installer`, which trusts neither the registry nor the target folder.

mod blocking;
mod check;
mod confirm;
mod error;
mod fetch;
mod flow;
mod install;
mod installed_here;
mod known_installs;
mod machine;
mod notices;
mod overlaps;
mod registry_client;
mod removal;
mod roots;
mod signers;
mod tool_answers;

pub use check::{CheckedSkill, DistributedSkill, check, check_with_distributions, scan};
pub use error::{LocalInstallError, SignerError};
pub use fetch::{Offer, fetch};
pub use flow::{Destination, InstallReport, finish, install};
pub use install::{InstallOptions, Written, write};
pub use installed_here::InstalledHere;
pub use machine::{LocalFolder, Machine, ProjectFolders};
pub use overlaps::overlaps;
pub use registry_client::{RegistryClient, ToolAnswer, ToolCallError};
pub use removal::{RemovedCopy, remove_copy, remove_links};
pub use roots::{ROOTS_TIMEOUT, root_folders};
pub use signers::{Signed, Signers, stated_keys};
pub use tool_answers::{LocalTools, PreparedCheck, PreparedInstall};
