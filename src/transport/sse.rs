//! HTTP+SSE of protocol version 2024-11-05: the server's events on `/sse`, the client's messages on `/messages`.
//!
//! Invariant: a session belongs to the key that opened it. For every other key, also of the same tenant, it does not exist.

mod channel;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, routing};
use futures::stream::{self, StreamExt as _};
use rand::Rng as _;
use rmcp::ServerHandler;
use rmcp::model::ClientJsonRpcMessage;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::channel::{Outgoing, PendingRequests, SessionHandles, SseTransport, TrackError, channel};
use super::http::PathPrefix;
use super::http::error_response::{json_rpc_error, share_exceeded, try_later};
use super::http::forwarded::forwarded_prefix;
use super::http::jsonrpc_validation;
use crate::ids::Digest;
use crate::server::{CallService, CredentialSource, TransportKind};
use crate::tenancy::{ApiKey, Share, ShareLimiter, ShareLimits};

/// Interval of comments that keep proxies from closing a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Requests of one session that may wait for their responses.
const MAX_PENDING: usize = 32;
/// `Retry-After` when a limit of streams is reached, in seconds.
const RETRY_SECONDS: u32 = 5;

/// Limits of HTTP+SSE.
#[derive(Debug, Clone)]
pub struct SseOptions {
    /// Sessions that one tenant may have open at once; one API key at most half of them.
    pub sessions_per_tenant: usize,
    /// Sessions of all tenants together.
    pub sessions: usize,
    /// How long a session may be without a message from its client.
    pub idle: Duration,
    /// How often a session's key and idle time are checked.
    pub check_every: Duration,
}

impl Default for SseOptions {
    fn default() -> Self {
        Self {
            sessions_per_tenant: 100,
            sessions: 2000,
            idle: Duration::from_secs(60 * 60),
            check_every: Duration::from_secs(30),
        }
    }
}

struct Session {
    /// The hash of the API key that opened it.
    owner: Digest,
    inbox: mpsc::Sender<ClientJsonRpcMessage>,
    pending: PendingRequests,
    /// When the client's last message came, in seconds since the server's start.
    last_message: AtomicU64,
    ended: CancellationToken,
}

/// The sessions of one server.
pub(super) struct Sessions {
    options: SseOptions,
    open: Mutex<HashMap<String, Arc<Session>>>,
    limiter: ShareLimiter,
    started: Instant,
    path_prefix: PathPrefix,
    service: Arc<CallService>,
}

impl Sessions {
    pub(super) fn new(options: SseOptions, path_prefix: PathPrefix, service: Arc<CallService>) -> Self {
        Self {
            limiter: ShareLimiter::new(ShareLimits {
                total: options.sessions,
                ..ShareLimits::of_tenant(options.sessions_per_tenant)
            }),
            options,
            open: Mutex::default(),
            started: Instant::now(),
            path_prefix,
            service,
        }
    }

    /// Ends every session.
    pub(super) fn end(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for session in open.values() {
            session.ended.cancel();
        }
    }

    /// Opens a session of this key, with an id of 192 random bits.
    fn open(
        &self,
        key: &ApiKey,
        handles: &SessionHandles,
        ended: CancellationToken,
    ) -> (String, Arc<Session>) {
        let mut id = [0_u8; 24];
        rand::rng().fill_bytes(&mut id);
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let session = Arc::new(Session {
            owner: key.hash(),
            inbox: handles.inbox.clone(),
            pending: handles.pending.clone(),
            last_message: AtomicU64::new(self.now()),
            ended,
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(id.clone(), Arc::clone(&session));
        (id, session)
    }

    fn find(&self, id: &str, key: &ApiKey) -> Option<Arc<Session>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id)
            .filter(|session| session.owner == key.hash() && !session.ended.is_cancelled())
            .cloned()
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Resolves when the client has been idle for too long or the key has become invalid.
    async fn expired(&self, session: &Session, key: &ApiKey) -> &'static str {
        let check_every = self.options.check_every.min(self.options.idle);
        loop {
            tokio::time::sleep(check_every).await;
            let idle = self
                .now()
                .saturating_sub(session.last_message.load(Ordering::Relaxed));
            if idle >= self.options.idle.as_secs() {
                return "idle";
            }
            if self.service.access().is_revoked(key).await {
                return "its key became invalid";
            }
        }
    }
}

/// The routes `/sse` and `/messages`, without the checks of the request's head.
pub(super) fn routes<H: ServerHandler>(
    sessions: &Arc<Sessions>,
    handlers: Arc<dyn Fn(CredentialSource) -> H + Send + Sync>,
) -> Router {
    let listening = Arc::clone(sessions);
    let listen = move |Extension(key): Extension<ApiKey>, headers: HeaderMap| {
        let (sessions, handlers) = (Arc::clone(&listening), Arc::clone(&handlers));
        async move {
            let prefix = forwarded_prefix(&headers).unwrap_or_else(|| sessions.path_prefix.clone());
            listen(
                &sessions,
                &key,
                &prefix,
                handlers(CredentialSource::Sse(key.clone())),
            )
        }
    };
    let listen = routing::get(listen);
    Router::new()
        .route("/sse", listen.clone())
        .route("/sse/", listen)
        .route("/messages", routing::post(message))
        .route("/messages/", routing::post(message))
        .with_state(Arc::clone(sessions))
}

/// Opens a session and streams its events. `prefix` is the path below which the client reaches this server.
fn listen<H: ServerHandler>(
    sessions: &Arc<Sessions>,
    key: &ApiKey,
    prefix: &PathPrefix,
    handler: H,
) -> Response {
    let share = match sessions.limiter.take(key.claimed_tenant(), key.hash(), 1) {
        Ok(share) => share,
        Err(exceeded) => return share_exceeded(exceeded, "event streams open", RETRY_SECONDS),
    };
    let ended = CancellationToken::new();
    let (transport, handles) = channel(ended.clone());
    let (id, session) = sessions.open(key, &handles, ended);
    let endpoint = Event::default()
        .event("endpoint")
        .data(format!("{}/messages?sessionId={id}", prefix.as_str()));
    // Dropped with the stream: ends the session.
    let guard = session.ended.clone().drop_guard();
    tokio::spawn(run(
        Arc::clone(sessions),
        id,
        session,
        key.clone(),
        handler,
        transport,
        share,
    ));
    let messages = stream::unfold(
        (handles.outbox, guard, None),
        |(mut outbox, guard, before)| async move {
            // The connection asks for the next event once the one before is written.
            drop(before);
            let Outgoing { text, shares } = outbox.recv().await?;
            let event = Event::default().event("message").data(text);
            Some((event, (outbox, guard, Some(shares))))
        },
    );
    let events = stream::once(async { endpoint }).chain(messages);
    (
        // Keeps nginx from buffering the events.
        [(HeaderName::from_static("x-accel-buffering"), "no")],
        Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)),
    )
        .into_response()
}

/// Runs a session until it ends.
async fn run<H: ServerHandler>(
    sessions: Arc<Sessions>,
    id: String,
    session: Arc<Session>,
    key: ApiKey,
    handler: H,
    transport: SseTransport,
    share: Share,
) {
    let serving = async {
        match rmcp::service::serve_server(handler, transport).await {
            Ok(service) => {
                // Its calls are recorded by the service, however it ended.
                let _quit = service.waiting().await;
                "the client ended it"
            }
            Err(_) => "the client did not initialize it",
        }
    };
    tokio::pin!(serving);
    let why = tokio::select! {
        why = &mut serving => why,
        why = sessions.expired(&session, &key) => {
            session.ended.cancel();
            // Its running calls end and are recorded first.
            serving.await;
            why
        }
    };
    tracing::debug!(why, "an event stream ended");
    session.ended.cancel();
    let mut open = sessions.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.remove(&id);
    drop(share);
}

#[derive(serde::Deserialize)]
struct MessageQuery {
    #[serde(rename = "sessionId", default)]
    session_id: String,
}

/// Takes a message of a session. Its response is sent on the session's event stream.
async fn message(
    State(sessions): State<Arc<Sessions>>,
    Query(query): Query<MessageQuery>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Response {
    let unknown = || {
        json_rpc_error(
            StatusCode::NOT_FOUND,
            -32_600,
            "Session not found. Open a new one on /sse.",
        )
    };
    let Some(session) = sessions.find(&query.session_id, &key) else {
        return unknown();
    };
    let (mut parts, body) = request.into_parts();
    let read = match jsonrpc_validation::read(&parts, body).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    if let Some(invalid) = &read.invalid_params {
        parts.extensions.insert(invalid.clone());
    }
    let Ok(mut message) = serde_json::from_slice::<ClientJsonRpcMessage>(&read.bytes) else {
        let text = "The body is not a message of the Model Context Protocol.";
        return json_rpc_error(StatusCode::BAD_REQUEST, -32_600, text);
    };
    session.last_message.store(sessions.now(), Ordering::Relaxed);
    let guard = match jsonrpc_validation::admit(&sessions.service, TransportKind::Sse, &parts, &read).await {
        Ok(guard) => guard.map(Arc::new),
        Err(refusal) => return refusal,
    };
    if let Some(guard) = &guard {
        parts.extensions.insert(Arc::clone(guard));
    }
    if let Err(error) = session.pending.track(&message, guard, MAX_PENDING) {
        return not_tracked(error);
    }
    message.insert_extension(parts);
    match session.inbox.try_send(message) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(mpsc::error::TrySendError::Full(message)) => {
            session.pending.untrack(&message);
            let text = "The session's queue of messages is full. Try again in a moment.";
            try_later(StatusCode::TOO_MANY_REQUESTS, 1, text)
        }
        Err(mpsc::error::TrySendError::Closed(_)) => unknown(),
    }
}

fn not_tracked(error: TrackError) -> Response {
    match error {
        TrackError::TooManyInFlight => {
            let text = format!(
                "{MAX_PENDING} requests of this session wait for their responses, which is the limit. Wait for one of them."
            );
            try_later(StatusCode::TOO_MANY_REQUESTS, 1, &text)
        }
        TrackError::DuplicateId => {
            let text = "A request with this id waits for its response in this session. Give each request an id of its own.";
            json_rpc_error(StatusCode::BAD_REQUEST, -32_600, text)
        }
    }
}
