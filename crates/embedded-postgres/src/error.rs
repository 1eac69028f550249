//! What can keep the embedded database from running, in words for the person who started skillkeep.

use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded PostgreSQL does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No usable PostgreSQL was found; the advice is one sentence that fits this system.
    #[error("{advice}")]
    NotInstalled {
        /// How to install it here.
        advice: String,
    },
    /// The only PostgreSQL that was found is older than the oldest supported major.
    #[error("PostgreSQL {found} in {bin} is too old, skillkeep needs 15 or later. {advice}", bin = bin.display())]
    TooOld {
        /// The newest major that was found.
        found: u32,
        /// Where it was found.
        bin: PathBuf,
        /// How to install a newer one here.
        advice: String,
    },
    /// `SKILLKEEP_PG_BIN` does not name a folder of PostgreSQL programs that can be run.
    #[error("SKILLKEEP_PG_BIN is {bin}, but {reason}: set it to the folder that holds `initdb` and `postgres`, or unset it", bin = bin.display())]
    ChosenBinaries {
        /// The folder as given.
        bin: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data folder belongs to a major version that is not installed.
    #[error(
        "the database in {data} was made by PostgreSQL {wanted}, but here is only {found}. \
         Install PostgreSQL {wanted} as well and skillkeep uses it. To move the data after that: while skillkeep runs, \
         `pg_dumpall -h SOCKET_FOLDER -U skillkeep_superuser > all.sql` (`skillkeep doctor` names the folder), stop skillkeep, \
         rename {data}, set SKILLKEEP_PG_BIN to the newer version's programs, start skillkeep again and \
         `psql -h SOCKET_FOLDER -U skillkeep_superuser -d postgres -f all.sql`",
        data = data.display()
    )]
    OtherVersion {
        /// The cluster's folder.
        data: PathBuf,
        /// The major that made it.
        wanted: u32,
        /// The majors that were found, for reading.
        found: String,
    },
    /// The data folder belongs to another account.
    #[error(
        "{path} belongs to the account with uid {owner}, not to yours: start skillkeep as that account, \
         or set SKILLKEEP_DATA_DIR to a folder of your own",
        path = path.display()
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// The account that owns it.
        owner: u32,
    },
    /// The data folder can be changed by every account of the system.
    #[error(
        "every account of this system may write to {path}, so its database could not be trusted: \
         run `chmod o-w` on it, or set SKILLKEEP_DATA_DIR to another folder",
        path = path.display()
    )]
    OpenToAll {
        /// The folder.
        path: PathBuf,
    },
    /// The path cannot be written into PostgreSQL's own files.
    #[error(
        "the data folder must be an absolute path without line breaks, set SKILLKEEP_DATA_DIR to another one than {path:?}"
    )]
    Path {
        /// The path as given.
        path: PathBuf,
    },
    /// Something other than a PostgreSQL cluster is in the cluster's place.
    #[error(
        "{data} is not a PostgreSQL data folder (its PG_VERSION is missing or unreadable): \
         move it away, or set SKILLKEEP_DATA_DIR to another folder",
        data = data.display()
    )]
    NotACluster {
        /// The folder.
        data: PathBuf,
    },
    /// Started as root, and the account that PostgreSQL runs as cannot reach the data folder.
    #[error(
        "skillkeep runs as root and PostgreSQL as {account}, who cannot reach {path}: \
         set SKILLKEEP_DATA_DIR to a folder that {account} can reach, such as /var/lib/skillkeep",
        path = path.display()
    )]
    Unreachable {
        /// The folder.
        path: PathBuf,
        /// The account's name.
        account: String,
    },
    /// Started as root on a system without an account for PostgreSQL.
    #[error(
        "PostgreSQL refuses to run as root, and this system has neither an account `postgres` nor `nobody`{owner}: \
         create one, or start skillkeep as an ordinary user"
    )]
    NoAccount {
        /// Names the unknown owner of an existing cluster, else empty.
        owner: String,
    },
    /// initdb failed; nothing of its work is left.
    #[error("PostgreSQL could not create its database in {data}: {reason}", data = data.display())]
    Create {
        /// The cluster's folder.
        data: PathBuf,
        /// The line of initdb's output that says why.
        reason: String,
    },
    /// The server did not start.
    #[error("PostgreSQL did not start: {reason} (more in {log})", log = log.display())]
    Start {
        /// The line of the server's log that says why.
        reason: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The watcher could not bring the database up; the words are those of one of the kinds above.
    #[error("{0}")]
    Supervisor(String),
    /// The watcher ended without saying why, more than once.
    #[error("the process that watches over PostgreSQL was ended while it started: start again, and see {log} if it happens again", log = log.display())]
    WatcherLost {
        /// The server's log.
        log: PathBuf,
    },
    /// Another process holds the right to start or stop the database for too long.
    #[error("another skillkeep process is still starting or stopping the database in {path} after {seconds} s: try again, or end that process", path = path.display())]
    Busy {
        /// The data folder.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// The operating system refused something.
    #[error("could not {action} {path}: {source}{hint}", path = path.display(), hint = hint(source))]
    Io {
        /// What was tried, as a verb and what follows it.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl EmbeddedError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

fn hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::StorageFull {
        "; free some space on that disk and start again"
    } else if source.kind() == io::ErrorKind::PermissionDenied {
        "; make it accessible to your account, or set SKILLKEEP_DATA_DIR to a folder of your own"
    } else if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
        "; set SKILLKEEP_DATA_DIR to a folder on a disk that can be written to"
    } else {
        ""
    }
}

/// The line of PostgreSQL's output that tells a reader most, shortened, with what to do when that is known.
pub(super) fn telling_line(output: &str) -> String {
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
        return "it ended without a word".to_owned();
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
    fn the_first_fatal_line_is_the_telling_one() {
        let output = "2026-11-23 10:00:00.000 UTC [7] LOG:  starting\n\
                      2026-11-23 10:00:00.000 UTC [7] FATAL:  could not map anonymous shared memory\n\
                      2026-11-23 10:00:00.000 UTC [7] LOG:  database system is shut down\n";
        assert_eq!(telling_line(output), "could not map anonymous shared memory");
    }

    #[test]
    fn a_full_disk_comes_with_advice() {
        let output = "creating subdirectories ... initdb: error: could not create directory \"/d/pg_wal\": No space left on device\n\
                      initdb: removing contents of data directory\n";
        assert_eq!(
            telling_line(output),
            "could not create directory \"/d/pg_wal\": No space left on device; free some space on that disk and start again"
        );
    }

    #[test]
    fn silence_is_reported_too() {
        assert_eq!(telling_line(" \n"), "it ended without a word");
    }

    #[test]
    fn a_refused_folder_says_which_and_what_to_do() {
        let error =
            EmbeddedError::io("open", Path::new("/data/start.lock"))(io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            "could not open /data/start.lock: permission denied; make it accessible to your account, \
             or set SKILLKEEP_DATA_DIR to a folder of your own"
        );
    }
}
