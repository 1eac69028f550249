//! Stands between a server and its database, and lets them down on purpose.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use skillkeep::db::DatabaseUrl;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::{Cluster, TestDb};

const SOCKET: &str = ".s.PGSQL.5432";

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Pass,
    /// Takes no connection, and ends those that there are.
    Away,
    /// Takes everything and passes nothing on, as a machine does whose network is gone.
    Silent,
    /// Ends the connections that there are, and every new one after it was taken.
    Cut,
    /// Ends all connections after so many more bytes to the database.
    CutAfter(i64),
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
            panic!("the cluster of the tests has a socket");
        };
        let behind = Arc::new(Mutex::new(behind.join(SOCKET)));
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (mode, watched) = watch::channel(Mode::Pass);
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

    /// From now on new connections go to the database whose socket is in this folder.
    pub(super) fn lead_to(&self, folder: &Path) {
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
        if matches!(*mode.borrow(), Mode::Away | Mode::Cut) {
            continue;
        }
        let behind = behind.lock().unwrap().clone();
        let far = UnixStream::connect(behind).await.unwrap();
        tokio::spawn(connect(near, far, mode.clone(), Arc::clone(&bytes_left)));
    }
}

/// Passes bytes on as the mode says, until it says to end.
async fn connect(near: UnixStream, far: UnixStream, mode: watch::Receiver<Mode>, bytes_left: Arc<AtomicI64>) {
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut ended = mode.clone();
    let there = pass(near_read, far_write, mode.clone(), Some(bytes_left));
    let back = pass(far_read, near_write, mode, None);
    let cut = async {
        let end = |mode: &Mode| matches!(mode, Mode::Away | Mode::Cut);
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
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let _ = mode.wait_for(|mode| *mode != Mode::Silent).await;
        let mut part = &buffer[..count];
        if let (Mode::CutAfter(_), Some(left)) = (*mode.borrow(), &bytes_left) {
            let before = left.fetch_sub(i64::try_from(count).unwrap(), Ordering::SeqCst);
            part = &part[..part.len().min(usize::try_from(before.max(0)).unwrap())];
        }
        if to.write_all(part).await.is_err() || part.len() < count {
            return;
        }
    }
}
