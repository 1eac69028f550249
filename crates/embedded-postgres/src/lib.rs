#![doc = include_str!("../README.md")]
//!
//! # Processes and locks
//!
//! A **client** is a process that uses the database. The **supervisor** is the client's program, run again as the parent of
//! PostgreSQL. The **guardian** is a shell that stops PostgreSQL if the supervisor is killed. Four lock files in the data folder
//! coordinate them:
//!
//! - `start.lock`: held by a client while it joins, starts or leaves, so only one does so at a time.
//! - `clients.lock`: held shared by every client. The supervisor waits for the exclusive lock; once it has it, there is no client
//!   left and it stops the server.
//! - `supervisor.lock`: held by the supervisor. Every client waits for it in a thread: if the supervisor is killed, its guardian
//!   stops the server, and the first client to notice starts both again.
//! - `server.lock`: PostgreSQL's standard input, so it is held while any process of the server lives. It is the only proof that no
//!   process works on the files: process ids are reused, and zombies accept signals.
//!
//! Architecture invariant: this crate downloads nothing and reads no environment variable.

mod authentication;
mod binaries;
mod client;
mod cluster;
mod data_dir;
mod embedded;
mod error;
mod locks;
mod options;
mod os_account;
mod own_files;
mod server;
mod socket;
mod supervisor;

pub use data_dir::default_data_dir;
pub use embedded::Embedded;
pub use error::{EmbeddedError, RelatedOption};
pub use options::{EmbeddedOptions, StartOutcome, StopOutcome, SuperviseOptions};
pub use supervisor::supervise;
