//! Changes of the tenants' catalogues, told by the database as they are committed, whichever process made them.
//!
//! One connection of its own listens for the whole process (PostgreSQL's LISTEN). It does not come from the pool, so a
//! pooler in transaction mode between skillkeep and the database must let it through as a session.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::sync::{broadcast, watch};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use super::DbError;
use super::connect_options::{DatabaseUrl, Tls, connect_config};
use crate::ids::TenantId;

const LISTEN: &str = "LISTEN skillkeep_catalog";
/// How long a subscriber waits for the first connection.
const FIRST_CONNECTION: Duration = Duration::from_secs(5);
/// How long it takes to try again after the connection was lost, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Notices that a slow subscriber may be behind; one that is further behind is told that anything may have changed.
const BACKLOG: usize = 1024;

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeEvent {
    /// This tenant's catalogue.
    TenantCatalog(TenantId),
    /// Any: the connection was lost for a while, and nobody knows what was missed.
    Resync,
}

/// The listener. It connects when somebody first asks, and ends when it is dropped.
pub(super) struct ChangeListener {
    url: DatabaseUrl,
    running: Mutex<Option<Running>>,
}

struct Running {
    notices: broadcast::Sender<ChangeEvent>,
    is_listening: watch::Receiver<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ChangeListener {
    pub(super) const fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            running: Mutex::new(None),
        }
    }

    /// Every notice from now on.
    pub(super) async fn subscribe(&self) -> Result<broadcast::Receiver<ChangeEvent>, DbError> {
        let (notices, mut is_listening) = self.start();
        let heard =
            tokio::time::timeout(FIRST_CONNECTION, is_listening.wait_for(|listening| *listening)).await;
        match heard {
            Ok(Ok(_)) => Ok(notices),
            Ok(Err(_)) | Err(_) => Err(DbError::Unavailable(
                "the connection that listens for changes could not be made".to_owned(),
            )),
        }
    }

    fn start(&self) -> (broadcast::Receiver<ChangeEvent>, watch::Receiver<bool>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.get_or_insert_with(|| {
            let (notices, _) = broadcast::channel(BACKLOG);
            let (listening, is_listening) = watch::channel(false);
            let task = tokio::spawn(listen_for_ever(self.url.clone(), notices.clone(), listening));
            Running {
                notices,
                is_listening,
                task,
            }
        });
        (running.notices.subscribe(), running.is_listening.clone())
    }

    pub(super) fn stop(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

async fn listen_for_ever(
    url: DatabaseUrl,
    notices: broadcast::Sender<ChangeEvent>,
    listening: watch::Sender<bool>,
) {
    let mut pause = Duration::from_millis(100);
    let mut was_connected = false;
    loop {
        let connected = listen(&url, &notices, &listening, was_connected).await;
        // The first connection's failure is told to those who wait for it; a lost one is the operator's to know.
        match connected {
            Ok(()) => {
                was_connected = true;
                pause = Duration::from_millis(100);
                tracing::warn!(
                    "the connection that listens for catalogue changes was lost; connecting again"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "changes of the catalogue cannot be listened for; trying again")
            }
        }
        listening.send_replace(false);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Listens until the connection is lost.
async fn listen(
    url: &DatabaseUrl,
    notices: &broadcast::Sender<ChangeEvent>,
    listening: &watch::Sender<bool>,
    is_late: bool,
) -> Result<(), DbError> {
    let (config, tls) = connect_config(url)?;
    match tls {
        Tls::Off => {
            let (client, connection) = config.connect(NoTls).await?;
            pump(client, connection, notices, listening, is_late).await
        }
        Tls::On(tls) => {
            let (client, connection) = config.connect(tls).await?;
            pump(client, connection, notices, listening, is_late).await
        }
    }
}

async fn pump<S, T>(
    client: Client,
    mut connection: Connection<S, T>,
    notices: &broadcast::Sender<ChangeEvent>,
    listening: &watch::Sender<bool>,
    is_late: bool,
) -> Result<(), DbError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    tokio::pin!(messages);
    let begin = client.batch_execute(LISTEN);
    tokio::pin!(begin);
    // The statement is answered only while the connection is polled.
    loop {
        tokio::select! {
            begun = &mut begin => break begun?,
            message = messages.next() => match message {
                Some(message) => tell(notices, message?),
                None => return Ok(()),
            },
        }
    }
    listening.send_replace(true);
    if is_late {
        // Whether anybody is there to hear it does not matter.
        let _heard = notices.send(ChangeEvent::Resync);
    }
    while let Some(Ok(message)) = messages.next().await {
        tell(notices, message);
    }
    Ok(())
}

fn tell(notices: &broadcast::Sender<ChangeEvent>, message: AsyncMessage) {
    let AsyncMessage::Notification(notification) = message else {
        return;
    };
    match notification.payload().parse() {
        Ok(tenant) => {
            let _heard = notices.send(ChangeEvent::TenantCatalog(TenantId::from_uuid(tenant)));
        }
        Err(_) => tracing::warn!("a notice of the database names no tenant"),
    }
}
