//! The watcher: the parent of PostgreSQL, in a session of its own, alive for as long as there are users.
//!
//! It ends the server within a moment after the last user has gone, however that one went, and starts it again when
//! the server dies while there are users. Should the watcher itself be killed, the guardian stops the server, and
//! a user starts another watcher.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::setsid;

use super::error::EmbeddedError;
use super::locks::{Lock, lock_within};
use super::os_account::OsAccount;
use super::server::{self, PidFile, Server, ServerState};
use super::{cluster, socket};

/// A predecessor ends in milliseconds; starters look at the lock for even less.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(10);
/// An orphaned server writes its last checkpoint, and an orphaned backend ends its statement.
const ORPHAN_LIMIT: Duration = Duration::from_secs(60);
const FAST_SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);
const IMMEDIATE_SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// A server that was ready is wanted back: only one that cannot even start is given longer pauses.
const AFTER_DEATH: Duration = Duration::from_millis(200);
/// A server that ran this long was well, so its death is not counted as one more failure in a row.
const WELL_AFTER: Duration = Duration::from_secs(2);
const LOG_CHECK_EVERY: Duration = Duration::from_secs(600);

/// What the hidden subcommand `postgres-watch` is told.
#[derive(Debug, Clone)]
pub struct SuperviseOptions {
    /// The data folder, as a real path.
    pub data_dir: PathBuf,
    /// The folder of PostgreSQL's programs.
    pub pg_bin: PathBuf,
}

enum Event {
    ServerGone,
    NoUsers,
}

/// The body of the hidden subcommand `postgres-watch`: runs PostgreSQL until nobody uses it.
///
/// Writes one line to standard output, `started`, `created` or `failed` with a reason, for the process that started it.
/// Call it first in `main`, without a runtime: it closes every inherited file but the three standard ones.
pub fn supervise(options: &SuperviseOptions) -> ExitCode {
    // Ctrl-C in the terminal of the first user must reach neither this process nor the server. It fails only for the
    // leader of a process group, as when a person runs the subcommand by hand, and then Ctrl-C is wanted.
    let _ = setsid();
    close_inherited_files();
    match Supervisor::begin(options) {
        Ok((watcher, server, created)) => {
            report(if created { "created" } else { "started" });
            watcher.supervise(server);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&format!("failed {}", error.to_string().replace('\n', " ")));
            ExitCode::FAILURE
        }
    }
}

/// Closes what careless ancestors left open: whoever waits for the end of such a pipe would wait for the database's.
fn close_inherited_files() {
    // The folder's own file is closed again before the first of the listed ones is.
    let listed: Vec<i32> = fs::read_dir("/dev/fd")
        .map(|files| {
            files
                .flatten()
                .filter_map(|file| file.file_name().to_str()?.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    for file in listed.into_iter().filter(|file| *file > 2) {
        let _ = nix::unistd::close(file);
    }
}

/// The starter may have been killed meanwhile: nobody to tell is no reason to stop.
fn report(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

struct Supervisor {
    base: PathBuf,
    bin: PathBuf,
    account: OsAccount,
    lock: File,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

impl Supervisor {
    fn begin(options: &SuperviseOptions) -> Result<(Self, Server, bool), EmbeddedError> {
        let base = options.data_dir.clone();
        let lock = Lock::Supervisor.take(&base, PREDECESSOR_LIMIT)?;
        let account = OsAccount::for_cluster(&cluster::data_path(&base))?;
        let (sender, events) = mpsc::channel();
        let mut watcher = Self {
            base,
            bin: options.pg_bin.clone(),
            account,
            lock,
            events,
            sender,
        };
        watcher.publish(&ServerState::Unknown);
        let server_lock = watcher.take_server_lock()?;
        let created = cluster::major(&watcher.base)?.is_none();
        if created {
            cluster::create(&watcher.base, &watcher.bin, &watcher.account, &server_lock)?;
        }
        let server = watcher.start(server_lock)?;
        watcher.announce_the_last_user();
        Ok((watcher, server, created))
    }

    /// Waits for what a killed predecessor left running, and tells an orphaned server to stop.
    fn take_server_lock(&self) -> Result<File, EmbeddedError> {
        let file = Lock::Server.open(&self.base)?;
        let lock = |limit| lock_within(&file, limit).map_err(EmbeddedError::io("lock", &self.base));
        if lock(Duration::ZERO)? {
            return Ok(file);
        }
        if let Some((pid, _)) = server::pid_file(&self.base)
            && server::named(&self.base, pid) == PidFile::Server
        {
            server::signal(pid, Signal::SIGINT);
        }
        if lock(ORPHAN_LIMIT)? {
            return Ok(file);
        }
        Err(EmbeddedError::Start {
            reason: format!(
                "processes of an earlier server are still at work after {} s",
                ORPHAN_LIMIT.as_secs()
            ),
            log: cluster::log_path(&self.base),
        })
    }

    fn start(&mut self, server_lock: File) -> Result<Server, EmbeddedError> {
        let _ = cluster::keep_log_small(&self.base);
        let socket_dir = socket::prepare(&self.base, &self.account, None)?;
        server::clear_stale_files(&self.base)?;
        let log_start = server::open_log(&self.base)?
            .metadata()
            .map_or(0, |log| log.len());
        let mut server = Server::spawn(&self.base, &self.bin, &self.account, &socket_dir, server_lock)?;
        match server.wait_ready(&self.base, log_start) {
            Ok(pid) => {
                self.publish(&ServerState::Ready(pid));
                self.announce_the_end();
                Ok(server)
            }
            Err(error) => {
                server.signal(Signal::SIGQUIT);
                server.reap();
                Err(error)
            }
        }
    }

    /// The lock comes free when the last process of the server has ended, a backend that outlived its parent included.
    fn announce_the_end(&self) {
        let (base, sender) = (self.base.clone(), self.sender.clone());
        thread::spawn(move || {
            if let Ok(file) = Lock::Server.open(&base) {
                let _ = file.lock();
            }
            let _ = sender.send(Event::ServerGone);
        });
    }

    /// The lock is kept until this process ends: who comes meanwhile waits, and then starts anew.
    fn announce_the_last_user(&self) {
        let (base, sender) = (self.base.clone(), self.sender.clone());
        thread::spawn(move || {
            let Ok(file) = Lock::Clients.open(&base) else {
                return;
            };
            if file.lock().is_ok() && sender.send(Event::NoUsers).is_ok() {
                loop {
                    thread::park();
                }
            }
        });
    }

    fn supervise(mut self, first: Server) {
        let mut running = Some((first, Instant::now()));
        let mut delay = Duration::ZERO;
        loop {
            let patience = if running.is_some() { LOG_CHECK_EVERY } else { delay };
            match (self.events.recv_timeout(patience), running.take()) {
                (Ok(Event::NoUsers), server) => {
                    if let Some((server, _)) = server {
                        self.shut_down(server);
                    }
                    return;
                }
                (Ok(Event::ServerGone), Some((server, since))) => {
                    self.publish(&ServerState::Unknown);
                    self.say(&format!(
                        "the server ended ({}), starting it again",
                        server.reap()
                    ));
                    delay = if since.elapsed() > WELL_AFTER {
                        Duration::ZERO
                    } else {
                        longer(delay).min(AFTER_DEATH)
                    };
                }
                (Ok(Event::ServerGone), None) => {}
                (Err(RecvTimeoutError::Timeout), Some(still_running)) => {
                    let _ = cluster::keep_log_small(&self.base);
                    running = Some(still_running);
                }
                (Err(RecvTimeoutError::Timeout), None) => {
                    match self.take_server_lock().and_then(|lock| self.start(lock)) {
                        Ok(server) => running = Some((server, Instant::now())),
                        Err(error) => {
                            self.say(&error.to_string());
                            self.publish(&ServerState::Failed(error.to_string()));
                            delay = longer(delay);
                        }
                    }
                }
                // The sender lives in `self`, so the channel stays open; ending is right if that ever changes.
                (Err(RecvTimeoutError::Disconnected), _) => return,
            }
        }
    }

    fn shut_down(&mut self, server: Server) {
        self.publish(&ServerState::Unknown);
        server.signal(Signal::SIGINT);
        if !self.gone_within(FAST_SHUTDOWN_LIMIT) {
            server.signal(Signal::SIGQUIT);
            if !self.gone_within(IMMEDIATE_SHUTDOWN_LIMIT) {
                server.signal(Signal::SIGKILL);
            }
        }
        server.reap();
    }

    fn gone_within(&self, limit: Duration) -> bool {
        matches!(self.events.recv_timeout(limit), Ok(Event::ServerGone))
    }

    fn publish(&mut self, state: &ServerState) {
        if let Err(error) = server::publish(&mut self.lock, state) {
            self.say(&format!("could not say which server is ready: {error}"));
        }
    }

    fn say(&self, what: &str) {
        if let Ok(mut log) = server::open_log(&self.base) {
            let _ = writeln!(log, "skillkeep's watcher: {what}");
        }
    }
}

fn longer(delay: Duration) -> Duration {
    (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY)
}

/// The arguments with which [`super::Embedded`] starts its own program as the watcher.
pub(super) fn arguments(base: &Path, bin: &Path) -> [std::ffi::OsString; 5] {
    [
        "postgres-watch".into(),
        "--data-dir".into(),
        base.into(),
        "--pg-bin".into(),
        bin.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_between_failed_starts_grows_to_its_limit() {
        let mut delay = Duration::ZERO;
        let mut delays = Vec::new();
        for _ in 0..9 {
            delay = longer(delay);
            delays.push(delay.as_millis());
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    }
}
