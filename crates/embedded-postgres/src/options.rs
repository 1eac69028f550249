use std::ffi::OsString;
use std::path::PathBuf;

/// How a client starts or joins the embedded database.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Your program's name, in lower-case ASCII letters, digits and `_`. The superuser is called `<app_name>_superuser`. All
    /// clients of a data folder must use the same name.
    pub app_name: String,
    /// An absolute path without control characters; created if missing.
    pub data_dir: PathBuf,
    /// The folder of `initdb` and `postgres`. `None` searches for them.
    pub pg_bin: Option<PathBuf>,
    /// The program that calls [`supervise`](crate::supervise), usually [`std::env::current_exe`].
    pub program: PathBuf,
    /// The arguments with which `program` calls [`supervise`](crate::supervise). `--data-dir DIR --pg-bin DIR` follow them.
    pub supervisor_args: Vec<OsString>,
    /// A list of folders in the format of `PATH`, which are searched for PostgreSQL too.
    pub search_path: Option<OsString>,
    /// The folder for the socket if the data folder's path is too long for a socket address (Linux: 107 bytes, macOS: 103), for
    /// example the value of `XDG_RUNTIME_DIR`. `None` uses `/tmp`.
    pub runtime_dir: Option<PathBuf>,
}

/// What the supervisor process is started with.
#[derive(Debug, Clone)]
pub struct SuperviseOptions {
    /// The same as [`EmbeddedOptions::app_name`].
    pub app_name: String,
    /// The value of `--data-dir`: a canonical path.
    pub data_dir: PathBuf,
    /// The value of `--pg-bin`: a canonical path.
    pub pg_bin: PathBuf,
    /// The roles that clients connect as, besides the superuser. The server admits no other.
    pub roles: Vec<String>,
}

/// How the server came to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// The cluster was created and the server started.
    Created,
    /// The cluster existed and the server was started.
    Started,
    /// The server was already running.
    Joined,
}

/// What leaving the database did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopOutcome {
    /// This was the last client; the server has stopped.
    Stopped,
    /// Other clients still use the server.
    LeftRunning,
}

/// The superuser's name, which `initdb` creates.
pub(super) fn superuser(app_name: &str) -> String {
    format!("{app_name}_superuser")
}
