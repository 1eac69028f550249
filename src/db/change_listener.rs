//! Notifications of committed catalog changes of all tenants, made by any process.
//!
//! One unpooled connection per process executes PostgreSQL's LISTEN. A connection pooler between skillkeep and the database must
//! provide it a session (PgBouncer: `pool_mode = session`); `pooler_check` refuses others at the start.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::sync::{broadcast, watch};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use super::DbError;
use super::connect_error::connect_error;
use super::connect_options::{DatabaseUrl, Tls, connect_config};
use crate::ids::TenantId;

const LISTEN: &str = "LISTEN skillkeep_catalog";
/// How long a subscriber waits for the first connection.
const FIRST_CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The delay before a reconnection, which doubles up to the maximum.
const MIN_RECONNECT_DELAY: Duration = Duration::from_millis(100);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(10);
/// Events kept for a slow subscriber. One that is further behind gets `RecvError::Lagged` and must assume that every catalog
/// changed.
const MAX_BACKLOG: usize = 1024;

/// A catalog that may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeEvent {
    /// This tenant's skills.
    TenantCatalog(TenantId),
    /// Every catalog: the connection was lost for a while, and the notifications of that time are unknown.
    Resync,
}

/// Connects at the first subscription, reconnects when the connection is lost, and ends when it is dropped.
pub(super) struct ChangeListener {
    url: DatabaseUrl,
    running: Mutex<Option<Running>>,
}

struct Running {
    events: broadcast::Sender<ChangeEvent>,
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

    /// Receives every event from now on.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if there is no connection within 5 s.
    pub(super) async fn subscribe(&self) -> Result<broadcast::Receiver<ChangeEvent>, DbError> {
        let (events, mut is_listening) = self.start();
        let connected = tokio::time::timeout(
            FIRST_CONNECTION_TIMEOUT,
            is_listening.wait_for(|listening| *listening),
        )
        .await;
        match connected {
            Ok(Ok(_)) => Ok(events),
            Ok(Err(_)) | Err(_) => Err(DbError::Unavailable(
                "the connection for change notifications failed".to_owned(),
            )),
        }
    }

    fn start(&self) -> (broadcast::Receiver<ChangeEvent>, watch::Receiver<bool>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.get_or_insert_with(|| {
            let (events, _) = broadcast::channel(MAX_BACKLOG);
            let (listening, is_listening) = watch::channel(false);
            let task = tokio::spawn(listen_and_reconnect(self.url.clone(), events.clone(), listening));
            Running {
                events,
                is_listening,
                task,
            }
        });
        (running.events.subscribe(), running.is_listening.clone())
    }

    pub(super) fn stop(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

async fn listen_and_reconnect(
    url: DatabaseUrl,
    events: broadcast::Sender<ChangeEvent>,
    listening: watch::Sender<bool>,
) {
    let mut delay = MIN_RECONNECT_DELAY;
    let mut was_connected = false;
    loop {
        match listen(&url, &events, &listening, was_connected).await {
            Ok(()) => {
                was_connected = true;
                delay = MIN_RECONNECT_DELAY;
                tracing::warn!("the connection for catalog change notifications was lost; reconnecting");
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen for catalog change notifications; retrying")
            }
        }
        listening.send_replace(false);
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(MAX_RECONNECT_DELAY);
    }
}

/// Connects and listens. `Ok` when an established connection is lost; `is_reconnect` sends a resync first.
async fn listen(
    url: &DatabaseUrl,
    events: &broadcast::Sender<ChangeEvent>,
    listening: &watch::Sender<bool>,
    is_reconnect: bool,
) -> Result<(), DbError> {
    let (config, tls) = connect_config(url)?;
    let failed = |error| connect_error(url, error);
    match tls {
        Tls::Off => {
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            forward(client, connection, events, listening, is_reconnect).await
        }
        Tls::On(tls) => {
            let (client, connection) = config.connect(tls).await.map_err(failed)?;
            forward(client, connection, events, listening, is_reconnect).await
        }
    }
}

async fn forward<S, T>(
    client: Client,
    mut connection: Connection<S, T>,
    events: &broadcast::Sender<ChangeEvent>,
    listening: &watch::Sender<bool>,
    is_reconnect: bool,
) -> Result<(), DbError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    tokio::pin!(messages);
    let listen = client.batch_execute(LISTEN);
    tokio::pin!(listen);
    // The statement makes progress only while the connection is polled.
    loop {
        tokio::select! {
            started = &mut listen => break started?,
            message = messages.next() => match message {
                Some(message) => send_event(events, message?),
                None => return Ok(()),
            },
        }
    }
    listening.send_replace(true);
    if is_reconnect {
        // An error means that there is no subscriber.
        let _ = events.send(ChangeEvent::Resync);
    }
    while let Some(Ok(message)) = messages.next().await {
        send_event(events, message);
    }
    Ok(())
}

fn send_event(events: &broadcast::Sender<ChangeEvent>, message: AsyncMessage) {
    let AsyncMessage::Notification(notification) = message else {
        return;
    };
    match notification.payload().parse() {
        Ok(tenant) => {
            let _ = events.send(ChangeEvent::TenantCatalog(TenantId::from_uuid(tenant)));
        }
        Err(_) => tracing::warn!("a catalog change notification contains no tenant id"),
    }
}
