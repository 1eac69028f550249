//! A proxy between the server and its database that simulates network faults.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use skillkeep::db::DatabaseUrl;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::{Cluster, TestDb};

const SOCKET: &str = ".s.PGSQL.5432";

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Forward,
    /// Closes existing connections, and new ones at once.
    Unreachable,
    /// Accepts connections and data, and forwards nothing, like a host without network.
    Unresponsive,
    /// Closes existing connections, and new ones after accepting them.
    Cut,
    /// Closes a connection when this many more bytes were sent to the database, counted over all connections.
    CutAfter(i64),
    /// Forwards the next message with this text to the database and closes the connection, so that the answer is lost.
    CutAnswerTo(&'static str),
}

pub(super) struct Proxy {
    folder: tempfile::TempDir,
    name: String,
    mode: watch::Sender<Mode>,
    behind: Arc<Mutex<PathBuf>>,
    bytes_left: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(super) async fn start(db: &TestDb) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Cluster::get().config("skillkeep_app", &db.name);
        let tokio_postgres::config::Host::Unix(behind) = &config.get_hosts()[0] else {
            panic!("the tests' cluster listens on a Unix socket");
        };
        let behind = Arc::new(Mutex::new(behind.join(SOCKET)));
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (mode, watched) = watch::channel(Mode::Forward);
        let bytes_left = Arc::new(AtomicI64::new(0));
        let task = tokio::spawn(accept(
            listener,
            Arc::clone(&behind),
            watched,
            Arc::clone(&bytes_left),
        ));
        Self {
            folder,
            name: db.name.clone(),
            mode,
            behind,
            bytes_left,
            task,
        }
    }

    /// Sends new connections to the database whose socket is in this folder.
    pub(super) fn redirect(&self, folder: &Path) {
        *self.behind.lock().unwrap() = folder.join(SOCKET);
    }

    pub(super) fn url(&self) -> DatabaseUrl {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.folder.path())
            .port(5432)
            .user("skillkeep_app")
            .dbname(&self.name);
        DatabaseUrl::from_config(config)
    }

    pub(super) async fn set(&self, mode: Mode) {
        if let Mode::CutAfter(bytes) = mode {
            self.bytes_left.store(bytes, Ordering::SeqCst);
        }
        if let Mode::CutAnswerTo(_) = mode {
            self.bytes_left.store(1, Ordering::SeqCst);
        }
        self.mode.send(mode).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn accept(
    listener: UnixListener,
    behind: Arc<Mutex<PathBuf>>,
    mode: watch::Receiver<Mode>,
    bytes_left: Arc<AtomicI64>,
) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        if matches!(*mode.borrow(), Mode::Unreachable | Mode::Cut) {
            continue;
        }
        let behind = behind.lock().unwrap().clone();
        let far = UnixStream::connect(behind).await.unwrap();
        tokio::spawn(connect(near, far, mode.clone(), Arc::clone(&bytes_left)));
    }
}

/// Forwards bytes in both directions until the mode closes the connection.
async fn connect(near: UnixStream, far: UnixStream, mode: watch::Receiver<Mode>, bytes_left: Arc<AtomicI64>) {
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut ended = mode.clone();
    let loses_answers = AtomicBool::new(false);
    let there = pass(
        near_read,
        far_write,
        mode.clone(),
        Some(bytes_left),
        &loses_answers,
    );
    let back = pass(far_read, near_write, mode, None, &loses_answers);
    let cut = async {
        let end = |mode: &Mode| matches!(mode, Mode::Unreachable | Mode::Cut);
        let _ = ended.wait_for(end).await;
    };
    tokio::select! {
        () = there => {}
        () = back => {}
        () = cut => {}
    }
}

async fn pass(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
    bytes_left: Option<Arc<AtomicI64>>,
    loses_answers: &AtomicBool,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let _ = mode.wait_for(|mode| *mode != Mode::Unresponsive).await;
        if bytes_left.is_none() && loses_answers.load(Ordering::SeqCst) {
            continue;
        }
        let mut part = &buffer[..count];
        if let (Mode::CutAfter(_), Some(left)) = (*mode.borrow(), &bytes_left) {
            let before = left.fetch_sub(i64::try_from(count).unwrap(), Ordering::SeqCst);
            part = &part[..part.len().min(usize::try_from(before.max(0)).unwrap())];
        }
        let loses_answer = match (*mode.borrow(), &bytes_left) {
            (Mode::CutAnswerTo(text), Some(left)) => {
                part.windows(text.len()).any(|bytes| bytes == text.as_bytes())
                    && left.swap(0, Ordering::SeqCst) == 1
            }
            _ => false,
        };
        loses_answers.fetch_or(loses_answer, Ordering::SeqCst);
        if to.write_all(part).await.is_err() || part.len() < count {
            return;
        }
        if loses_answer {
            // Until the database has committed: it ends when it cannot send its answer.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            return;
        }
    }
}
