//! The supervisor: the parent of PostgreSQL, in its own session, which runs while there are clients.
//!
//! It stops the server within one second after the last client has left or was killed, and starts it again if the server dies
//! while there are clients. If the supervisor is killed, the guardian stops the server and a client starts another supervisor.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::setsid;

use super::authentication;
use super::cluster::{self, Cluster};
use super::error::EmbeddedError;
use super::locks::{Lock, lock_within};
use super::options::{SuperviseOptions, superuser};
use super::os_account::OsAccount;
use super::server::{self, Server, ServerState};
use super::socket::SocketFolder;

/// A previous supervisor ends within milliseconds, and clients hold the lock only to check it.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(10);
/// An orphaned server needs time for its last checkpoint, and an orphaned backend for its statement.
const ORPHAN_LIMIT: Duration = Duration::from_secs(60);
const FAST_SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);
const IMMEDIATE_SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
const MIN_RESTART_DELAY: Duration = Duration::from_millis(100);
const MAX_RESTART_DELAY: Duration = Duration::from_secs(5);
/// The limit for a server that had been ready. Only one that fails to start gets longer delays.
const MAX_DELAY_AFTER_CRASH: Duration = Duration::from_millis(200);
/// After this uptime, a crash does not count as one more failure in a row.
const STABLE_UPTIME: Duration = Duration::from_secs(2);
const LOG_CHECK_INTERVAL: Duration = Duration::from_secs(600);

enum Event {
    ServerEnded,
    NoClients,
}

/// Runs PostgreSQL until no client uses it. [`Embedded::start`](crate::Embedded::start) starts a process that must call this.
///
/// Call it at the beginning of `main`, before any thread is started: it closes every inherited file except the three standard ones.
/// It writes one line to standard output for the client that started it: `started`, `created`, or `failed` with a reason.
pub fn supervise(options: &SuperviseOptions) -> ExitCode {
    // Ctrl-C in the first client's terminal must not reach this process or the server. setsid fails only for the leader of a
    // process group, as when a person runs the supervisor in a terminal, where Ctrl-C should end it.
    let _ = setsid();
    close_inherited_files();
    match Supervisor::begin(options) {
        Ok((supervisor, server, created)) => {
            report(if created { "created" } else { "started" });
            supervisor.run(server);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&format!("failed {}", error.to_string().replace('\n', " ")));
            ExitCode::FAILURE
        }
    }
}

/// Closes pipes inherited without close-on-exec: their readers would otherwise wait until the database stops.
fn close_inherited_files() {
    // The list is complete before the first file is closed, and includes the (by then closed) file of the listing itself.
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

/// Ignores errors: the client that started this process may have been killed.
fn report(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

struct Supervisor {
    app_name: String,
    /// Those that clients connect as.
    roles: Vec<String>,
    cluster: Cluster,
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
        let mut supervisor = Self {
            app_name: options.app_name.clone(),
            roles: std::iter::once(superuser(&options.app_name))
                .chain(options.roles.iter().cloned())
                .collect(),
            cluster: Cluster {
                base,
                bin: options.pg_bin.clone(),
                account,
            },
            lock,
            events,
            sender,
        };
        supervisor.publish(&ServerState::Unknown);
        let server_lock = supervisor.take_server_lock()?;
        let created = cluster::major(&supervisor.cluster.base)?.is_none();
        if created {
            supervisor
                .cluster
                .create(&superuser(&options.app_name), &server_lock)?;
        }
        let server = supervisor.start(server_lock)?;
        supervisor.notify_when_no_clients();
        Ok((supervisor, server, created))
    }

    /// Stops a server that a killed supervisor left running, and waits for its end.
    fn take_server_lock(&self) -> Result<File, EmbeddedError> {
        let base = &self.cluster.base;
        let file = Lock::Server.open(base)?;
        let lock = |limit| lock_within(&file, limit).map_err(EmbeddedError::io("lock", base));
        if lock(Duration::ZERO)? {
            return Ok(file);
        }
        if let Some((pid, _)) = server::pid_file(base)
            && server::is_live_server(base, pid)
        {
            server::signal(pid, Signal::SIGINT);
        }
        if lock(ORPHAN_LIMIT)? {
            return Ok(file);
        }
        Err(EmbeddedError::Start {
            reason: format!(
                "processes of a previous server are still running after {} s",
                ORPHAN_LIMIT.as_secs()
            ),
            log: cluster::log_path(base),
        })
    }

    fn start(&mut self, server_lock: File) -> Result<Server, EmbeddedError> {
        let base = &self.cluster.base;
        let _ = cluster::rotate_log(base);
        let socket_dir = SocketFolder {
            app_name: &self.app_name,
            base,
            account: &self.cluster.account,
            runtime_dir: None,
        }
        .prepare()?;
        server::clear_stale_files(base)?;
        authentication::write(base, &self.cluster.account, &self.roles)?;
        let log_start = server::open_log(base)?.metadata().map_or(0, |log| log.len());
        let mut server = Server::spawn(&self.cluster, &socket_dir, server_lock)?;
        match server.wait_ready(base, log_start) {
            Ok(pid) => {
                self.publish(&ServerState::Ready(pid));
                self.notify_when_server_ends();
                Ok(server)
            }
            Err(error) => {
                server.signal(Signal::SIGQUIT);
                server.reap();
                Err(error)
            }
        }
    }

    /// `server.lock` is released when the last process of the server has ended, including a backend that outlived its parent.
    fn notify_when_server_ends(&self) {
        let (base, sender) = (self.cluster.base.clone(), self.sender.clone());
        thread::spawn(move || {
            if let Ok(file) = Lock::Server.open(&base) {
                let _ = file.lock();
            }
            let _ = sender.send(Event::ServerEnded);
        });
    }

    /// Keeps the exclusive lock until this process ends: a client that joins meanwhile waits, then starts another supervisor.
    fn notify_when_no_clients(&self) {
        let (base, sender) = (self.cluster.base.clone(), self.sender.clone());
        thread::spawn(move || {
            let Ok(file) = Lock::Clients.open(&base) else {
                return;
            };
            if file.lock().is_ok() && sender.send(Event::NoClients).is_ok() {
                loop {
                    thread::park();
                }
            }
        });
    }

    fn run(mut self, first: Server) {
        let mut running = Some((first, Instant::now()));
        let mut delay = Duration::ZERO;
        loop {
            let timeout = if running.is_some() {
                LOG_CHECK_INTERVAL
            } else {
                delay
            };
            match (self.events.recv_timeout(timeout), running.take()) {
                (Ok(Event::NoClients), server) => {
                    if let Some((server, _)) = server {
                        self.shut_down(server);
                    }
                    return;
                }
                (Ok(Event::ServerEnded), Some((server, since))) => {
                    self.publish(&ServerState::Unknown);
                    self.log(&format!(
                        "the server ended ({}), starting it again",
                        server.reap()
                    ));
                    delay = if since.elapsed() > STABLE_UPTIME {
                        Duration::ZERO
                    } else {
                        next_delay(delay).min(MAX_DELAY_AFTER_CRASH)
                    };
                }
                (Ok(Event::ServerEnded), None) => {}
                (Err(RecvTimeoutError::Timeout), Some(still_running)) => {
                    let _ = cluster::rotate_log(&self.cluster.base);
                    running = Some(still_running);
                }
                (Err(RecvTimeoutError::Timeout), None) => {
                    match self.take_server_lock().and_then(|lock| self.start(lock)) {
                        Ok(server) => running = Some((server, Instant::now())),
                        Err(error) => {
                            self.log(&error.to_string());
                            self.publish(&ServerState::Failed(error.to_string()));
                            delay = next_delay(delay);
                        }
                    }
                }
                // Cannot happen: `self` holds a sender.
                (Err(RecvTimeoutError::Disconnected), _) => return,
            }
        }
    }

    fn shut_down(&mut self, server: Server) {
        self.publish(&ServerState::Unknown);
        server.signal(Signal::SIGINT);
        if !self.ended_within(FAST_SHUTDOWN_LIMIT) {
            server.signal(Signal::SIGQUIT);
            if !self.ended_within(IMMEDIATE_SHUTDOWN_LIMIT) {
                server.signal(Signal::SIGKILL);
            }
        }
        server.reap();
    }

    fn ended_within(&self, limit: Duration) -> bool {
        matches!(self.events.recv_timeout(limit), Ok(Event::ServerEnded))
    }

    fn publish(&mut self, state: &ServerState) {
        if let Err(error) = server::publish(&mut self.lock, state) {
            self.log(&format!("could not publish the server's state: {error}"));
        }
    }

    fn log(&self, message: &str) {
        if let Ok(mut log) = server::open_log(&self.cluster.base) {
            let _ = writeln!(log, "supervisor: {message}");
        }
    }
}

fn next_delay(delay: Duration) -> Duration {
    (delay * 2).clamp(MIN_RESTART_DELAY, MAX_RESTART_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_between_failed_starts_doubles_up_to_its_limit() {
        let mut delay = Duration::ZERO;
        let mut delays = Vec::new();
        for _ in 0..9 {
            delay = next_delay(delay);
            delays.push(delay.as_millis());
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    }
}
