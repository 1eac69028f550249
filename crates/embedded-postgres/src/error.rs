//! Errors, in texts for the person who started the program.

use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded PostgreSQL does not run.
///
/// The texts name no option or environment variable, because each program has its own. [`EmbeddedError::related_option`] says
/// which one to mention.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error("PostgreSQL 15 or later was not found: {advice}")]
    NotInstalled {
        /// How to install it on this system.
        advice: &'static str,
    },
    #[error("PostgreSQL {found} in {bin} is too old, version 15 or later is required: {advice}", bin = bin.display())]
    TooOld {
        /// The newest major version found.
        found: u32,
        bin: PathBuf,
        /// How to install a newer one on this system.
        advice: &'static str,
    },
    /// [`EmbeddedOptions::pg_bin`](crate::EmbeddedOptions::pg_bin) has no programs that can be run.
    #[error("the PostgreSQL folder {bin} cannot be used: {reason}; choose the folder that contains `initdb` and `postgres`", bin = bin.display())]
    InvalidPgBin { bin: PathBuf, reason: String },
    /// The major version that created the cluster is not installed.
    #[error(
        "the data in {data} was created by PostgreSQL {required}, but only {found} were found: \
         install PostgreSQL {required} as well; then, to move the data to a newer version, use pg_dumpall",
        data = data.display()
    )]
    MajorNotInstalled {
        data: PathBuf,
        required: u32,
        /// The major versions found, as a list for the reader.
        found: String,
    },
    #[error(
        "{path} belongs to the account with uid {owner}, not to yours: run as that account, or choose another data folder",
        path = path.display()
    )]
    OtherOwner { path: PathBuf, owner: u32 },
    /// Every account of the system can write to the data folder, so its contents cannot be trusted.
    #[error(
        "every account of this system can write to {path}: run `chmod o-w` on it, or choose another data folder",
        path = path.display()
    )]
    WorldWritable { path: PathBuf },
    /// Another account can change what the path of the data folder leads to.
    #[error(
        "another account can replace the data folder {path}: {reason}; choose a data folder below folders that only root and you can change",
        path = path.display()
    )]
    Replaceable {
        path: PathBuf,
        /// Names the folder or link.
        reason: String,
    },
    /// PostgreSQL's own files cannot contain this path.
    #[error(
        "the data folder {path:?} is not an absolute path without control characters: choose another data folder"
    )]
    InvalidPath { path: PathBuf },
    #[error(
        "{data} is not a PostgreSQL data folder (its PG_VERSION is missing or unreadable): \
         move it away, or choose another data folder",
        data = data.display()
    )]
    NotACluster { data: PathBuf },
    /// Run as root, and the account that PostgreSQL runs as cannot reach the data folder.
    #[error(
        "PostgreSQL would run as the account {account}, which cannot reach {path}: \
         choose a data folder that {account} can reach, such as one below /var/lib",
        path = path.display()
    )]
    Unreachable { path: PathBuf, account: String },
    /// Run as root on a system without an account for PostgreSQL.
    #[error(
        "PostgreSQL refuses to run as root, and this system has no account `postgres` or `nobody`{owner}: \
         create one, or run as an account other than root"
    )]
    NoAccount {
        /// Names the unknown owner of an existing cluster, else empty.
        owner: String,
    },
    /// initdb and the authentication of local connections look the account's name up.
    #[error(
        "PostgreSQL cannot run as uid {uid}, which has no entry in the system's list of accounts (/etc/passwd): \
         add one, run as an account that has one, or use a database that runs elsewhere"
    )]
    UnnamedAccount { uid: u32 },
    /// initdb failed. Its files were removed.
    #[error("PostgreSQL could not create its database in {data}: {reason}", data = data.display())]
    Create {
        data: PathBuf,
        /// From initdb's output.
        reason: String,
    },
    #[error("PostgreSQL did not start: {reason} (see {log})", log = log.display())]
    Start {
        /// From the server's log.
        reason: String,
        log: PathBuf,
    },
    /// The supervisor could not start the server. The text is that of another error of this type.
    #[error("{0}")]
    Supervisor(String),
    /// The supervisor ended 3 times without a report.
    #[error("the PostgreSQL supervisor was killed while it started: try again, and see {log} if it happens again", log = log.display())]
    SupervisorLost { log: PathBuf },
    #[error("another process is still starting or stopping the database in {path} after {seconds} s: try again, or end that process", path = path.display())]
    Busy {
        /// The data folder.
        path: PathBuf,
        /// How long this process waited.
        seconds: u64,
    },
    #[error("could not {action} {path}: {source}{hint}", path = path.display(), hint = hint(source))]
    Io {
        /// A verb, such as "open".
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// An option of [`EmbeddedOptions`](crate::EmbeddedOptions) that can solve an error if it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelatedOption {
    DataDir,
    PgBin,
}

impl EmbeddedError {
    /// Returns the option to change, so that the program can tell its user how: by a flag or an environment variable.
    #[must_use]
    pub fn related_option(&self) -> Option<RelatedOption> {
        match self {
            Self::NotInstalled { .. }
            | Self::TooOld { .. }
            | Self::InvalidPgBin { .. }
            | Self::MajorNotInstalled { .. } => Some(RelatedOption::PgBin),
            Self::OtherOwner { .. }
            | Self::WorldWritable { .. }
            | Self::Replaceable { .. }
            | Self::InvalidPath { .. }
            | Self::NotACluster { .. }
            | Self::Unreachable { .. } => Some(RelatedOption::DataDir),
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            )
            .then_some(RelatedOption::DataDir),
            Self::NoAccount { .. }
            | Self::UnnamedAccount { .. }
            | Self::Create { .. }
            | Self::Start { .. }
            | Self::Supervisor(_)
            | Self::SupervisorLost { .. }
            | Self::Busy { .. } => None,
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

fn hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::StorageFull {
        "; free some space on that disk and start again"
    } else if source.kind() == io::ErrorKind::PermissionDenied {
        "; make it accessible to your account, or choose another data folder"
    } else if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
        "; choose a data folder on a disk that can be written to"
    } else {
        ""
    }
}

/// Reduces PostgreSQL's output to its first fatal line, or else its last line, with at most 300 characters, and adds advice for
/// known causes.
pub(super) fn summarize_output(output: &str) -> String {
    let mut last = "";
    let mut fatal = None;
    for line in output.lines().map(str::trim).filter(|line| !line.is_empty()) {
        last = line;
        let marked = ["FATAL:", "PANIC:", "error:"]
            .into_iter()
            .find_map(|mark| Some((line.find(mark)?, mark)));
        if let Some((at, mark)) = marked
            && fatal.is_none()
        {
            fatal = line.get(at + mark.len()..).map(str::trim);
        }
    }
    let line: String = fatal.unwrap_or(last).chars().take(300).collect();
    if line.is_empty() {
        return "it ended without any output".to_owned();
    }
    let advice = if output.contains("No space left on device") || output.contains("Disk quota exceeded") {
        "; free some space on that disk and start again"
    } else if output.contains("Permission denied") {
        "; check the owner and mode of that path"
    } else {
        ""
    };
    format!("{line}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_fatal_line_is_the_summary() {
        let output = "2026-11-23 10:00:00.000 UTC [7] LOG:  starting\n\
                      2026-11-23 10:00:00.000 UTC [7] FATAL:  could not map anonymous shared memory\n\
                      2026-11-23 10:00:00.000 UTC [7] LOG:  database system is shut down\n";
        assert_eq!(summarize_output(output), "could not map anonymous shared memory");
    }

    #[test]
    fn full_disk_adds_advice() {
        let output = "creating subdirectories ... initdb: error: could not create directory \"/d/pg_wal\": No space left on device\n\
                      initdb: removing contents of data directory\n";
        assert_eq!(
            summarize_output(output),
            "could not create directory \"/d/pg_wal\": No space left on device; free some space on that disk and start again"
        );
    }

    #[test]
    fn empty_output_is_reported() {
        assert_eq!(summarize_output(" \n"), "it ended without any output");
    }

    #[test]
    fn permission_error_names_the_path_and_the_solution() {
        let error =
            EmbeddedError::io("open", Path::new("/data/start.lock"))(io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            "could not open /data/start.lock: permission denied; make it accessible to your account, \
             or choose another data folder"
        );
        assert_eq!(error.related_option(), Some(RelatedOption::DataDir));
    }
}
