//! What is known of each AI assistant, and how one entry of its configuration file is changed safely.
//!
//! Architecture invariant: nothing here knows the server or a database, and nothing reads an environment variable.

pub mod assistant;
pub mod config_edit;
pub mod config_file;
pub mod entry;

pub use assistant::{Assistant, ConfigDirs, ConnectVia};
pub use config_file::ConfigFile;
pub use entry::{Endpoint, Entry};
