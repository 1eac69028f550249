//! A proxy between server and database that records what they send. Measured times would prove nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skillkeep::db::{DatabaseUrl, ServerDb};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::harness::{Cluster, TestDb};

/// What the server sent to the database: the first line of each statement, and the end of each pipelined batch.
#[derive(Clone, Default)]
pub(super) struct SentMessages(Arc<Mutex<Vec<String>>>);

impl SentMessages {
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn push(&self, message: String) {
        self.0.lock().unwrap().push(message);
    }

    /// Waits until the server sends nothing more.
    pub(super) async fn settle(&self) {
        loop {
            self.take();
            tokio::time::sleep(Duration::from_millis(500)).await;
            if self.take().is_empty() {
                return;
            }
        }
    }
}

/// Forwards connections to the database and records what the server sends.
pub(super) struct RecordingProxy {
    folder: tempfile::TempDir,
    pub(super) sent: SentMessages,
    /// The bytes that the database has sent.
    pub(super) received: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RecordingProxy {
    pub(super) fn new(db: &TestDb) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Cluster::get().config("skillkeep_app", &db.name);
        let tokio_postgres::config::Host::Unix(socket_dir) = &config.get_hosts()[0] else {
            panic!("the cluster of the tests has a socket");
        };
        let target = socket_dir.join(".s.PGSQL.5432");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (sent, received) = (SentMessages::default(), Arc::<AtomicUsize>::default());
        let task = tokio::spawn(forward_all(listener, target, sent.clone(), Arc::clone(&received)));
        Self {
            folder,
            sent,
            received,
            task,
        }
    }

    /// A service that connects through the proxy.
    pub(super) fn service(&self, db: &TestDb, connections: usize) -> Arc<CallService> {
        Arc::new(CallService::new(
            self.server(db, connections),
            ServiceLimits::default(),
        ))
    }

    pub(super) fn server(&self, db: &TestDb, connections: usize) -> ServerDb {
        ServerDb::new(&url(self.folder.path(), &db.name), connections).unwrap()
    }
}

fn url(folder: &Path, name: &str) -> DatabaseUrl {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(folder)
        .port(5432)
        .user("skillkeep_app")
        .dbname(name);
    DatabaseUrl::from_config(config)
}

async fn forward_all(
    listener: UnixListener,
    target: PathBuf,
    sent: SentMessages,
    received: Arc<AtomicUsize>,
) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let far = UnixStream::connect(&target).await.unwrap();
        let (sent, received) = (sent.clone(), Arc::clone(&received));
        tokio::spawn(async move {
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = far.into_split();
            let to_server = async {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = far_read.read(&mut buffer).await {
                    received.fetch_add(count, Ordering::SeqCst);
                    if near_write.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            };
            let to_database = async {
                let mut parser = MessageParser::default();
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = near_read.read(&mut buffer).await {
                    // Recorded before it is forwarded, so that the record is complete when the response arrives.
                    parser.parse(&buffer[..count], &sent);
                    if far_write.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = to_server => {}
                () = to_database => {}
            }
        });
    }
}

/// Parses what one connection sends (PostgreSQL's documentation, "Message Formats").
#[derive(Default)]
struct MessageParser {
    bytes: Vec<u8>,
    has_started: bool,
    /// Between a Parse message, which each connection sends once per statement, and the end of its batch. Not recorded.
    is_preparing: bool,
    statements: HashMap<String, String>,
}

impl MessageParser {
    fn parse(&mut self, bytes: &[u8], sent: &SentMessages) {
        self.bytes.extend_from_slice(bytes);
        loop {
            // The startup message has no type byte.
            let type_len = usize::from(self.has_started);
            let Some(length) = self.bytes.get(type_len..type_len + 4) else {
                return;
            };
            let end = type_len + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.bytes.len() < end {
                return;
            }
            let message: Vec<u8> = self.bytes.drain(..end).collect();
            if self.has_started {
                self.record(message[0], &message[5..], sent);
            }
            self.has_started = true;
        }
    }

    fn record(&mut self, message_type: u8, body: &[u8], sent: &SentMessages) {
        let mut texts = body
            .split(|byte| *byte == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        match message_type {
            b'Q' => sent.push(text()),
            b'P' => {
                self.is_preparing = true;
                let name = text();
                let statement = text().lines().next().unwrap_or_default().to_owned();
                self.statements.insert(name, statement);
            }
            b'B' => {
                self.is_preparing = false;
                let _portal = text();
                let statement = self.statements.get(&text()).cloned();
                sent.push(statement.unwrap_or_default());
            }
            b'S' if self.is_preparing => self.is_preparing = false,
            b'S' => sent.push("end of batch".to_owned()),
            _ => {}
        }
    }
}

/// Replaces the tenant's id, and sorts: concurrent requests can be sent in any order.
pub(super) fn normalize(sent: Vec<String>, tenant: TenantId) -> Vec<String> {
    let tenant = tenant.to_string();
    let mut sent: Vec<String> = sent
        .into_iter()
        .map(|message| message.replace(&tenant, "TENANT"))
        .collect();
    sent.sort();
    sent
}
