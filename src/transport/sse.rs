//! HTTP+SSE of the protocol's revision 2024-11-05, for agents that still speak it: events come on `/sse`, messages go to
//! `/messages`.
//!
//! Invariant: a session belongs to the key that opened it. To every other key, of the same tenant too, it does not exist.

mod channel;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, routing};
use futures::stream::{self, StreamExt as _};
use rand::Rng as _;
use rmcp::ServerHandler;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::channel::{PendingRequests, SessionHandles, SseTransport, TrackError, pipe};
use super::http::auth::source;
use super::http::auth_cache::CachingAuthenticator;
use super::http::error_response::{json_rpc_error, try_later};
use super::http::jsonrpc_validation;
use super::http::limits::{self, CallsAtOnce};
use crate::ids::Digest;
use crate::server::{CallGuard, CredentialSource};
use crate::tenancy::{ApiKey, Principal, TenantPermit, TenantSemaphore};

/// A comment that often keeps proxies from taking the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Requests of one session that may be without an answer.
const MAX_UNANSWERED: usize = 32;
/// When to try again after a refusal for want of a place, in seconds.
const RETRY_SECONDS: u32 = 5;

/// How much of it there may be.
#[derive(Debug, Clone)]
pub struct SseOptions {
    /// Sessions that one tenant may have open at once.
    pub sessions_per_tenant: usize,
    /// Sessions of all tenants together.
    pub sessions: usize,
    /// How long a session may be without a message from its client. Being told of changes is no message.
    pub idle: Duration,
    /// How often a session is asked whether its key holds and its client still speaks.
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
    /// The hash of the key that opened it.
    owner: Digest,
    inbox: mpsc::Sender<ClientJsonRpcMessage>,
    pending: PendingRequests,
    /// Seconds between the server's start and the last message of the client.
    last_heard: AtomicU64,
    ended: CancellationToken,
}

/// The sessions of one server.
pub(super) struct Sessions {
    options: SseOptions,
    open: Mutex<HashMap<String, Arc<Session>>>,
    places: TenantSemaphore,
    began: Instant,
    keys: CachingAuthenticator,
    calls: CallsAtOnce,
}

impl Sessions {
    pub(super) fn new(options: SseOptions, keys: CachingAuthenticator, calls: CallsAtOnce) -> Self {
        Self {
            places: TenantSemaphore::new(options.sessions_per_tenant),
            options,
            open: Mutex::default(),
            began: Instant::now(),
            keys,
            calls,
        }
    }

    /// Ends every session.
    pub(super) fn end(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for session in open.values() {
            session.ended.cancel();
        }
    }

    /// A new session of this key; its id cannot be guessed.
    fn open(
        &self,
        key: &ApiKey,
        ends: &SessionHandles,
        ended: CancellationToken,
    ) -> Option<(String, Arc<Session>)> {
        let mut id = [0_u8; 24];
        rand::rng().fill_bytes(&mut id);
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let session = Arc::new(Session {
            owner: key.hash(),
            inbox: ends.inbox.clone(),
            pending: ends.pending.clone(),
            last_heard: AtomicU64::new(self.now()),
            ended,
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.options.sessions {
            return None;
        }
        open.insert(id.clone(), Arc::clone(&session));
        Some((id, session))
    }

    fn find(&self, id: &str, key: &ApiKey) -> Option<Arc<Session>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id)
            .filter(|session| session.owner == key.hash() && !session.ended.is_cancelled())
            .cloned()
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Resolves when the client has been silent for too long or the key does not hold any more.
    async fn expired(&self, session: &Session, key: &ApiKey) -> &'static str {
        let check_every = self.options.check_every.min(self.options.idle);
        loop {
            tokio::time::sleep(check_every).await;
            let silent = self
                .now()
                .saturating_sub(session.last_heard.load(Ordering::Relaxed));
            if silent >= self.options.idle.as_secs() {
                return "its client was silent for too long";
            }
            if self.keys.has_ended(key).await {
                return "its key does not hold any more";
            }
        }
    }
}

/// `/sse` and `/messages`; the caller puts the checks of key, host and origin in front.
pub(super) fn routes<H: ServerHandler>(
    sessions: &Arc<Sessions>,
    handlers: Arc<dyn Fn(CredentialSource) -> H + Send + Sync>,
) -> Router {
    let listening = Arc::clone(sessions);
    let listen = move |Extension(key): Extension<ApiKey>| {
        let (sessions, handlers) = (Arc::clone(&listening), Arc::clone(&handlers));
        async move { listen(&sessions, &key, handlers(CredentialSource::Sse(key.clone()))) }
    };
    Router::new()
        .route("/sse", routing::get(listen))
        .route("/messages", routing::post(message))
        .with_state(Arc::clone(sessions))
}

/// Opens a session and streams its events.
fn listen<H: ServerHandler>(sessions: &Arc<Sessions>, key: &ApiKey, handler: H) -> Response {
    let Some(place) = sessions.places.take(key.claimed_tenant()) else {
        let words = format!(
            "Your organisation has {} event streams open on this server, which is as many as it may have. Close one first.",
            sessions.places.per_tenant()
        );
        return try_later(StatusCode::TOO_MANY_REQUESTS, RETRY_SECONDS, &words);
    };
    let ended = CancellationToken::new();
    let (pipe, ends) = pipe(ended.clone());
    let Some((id, session)) = sessions.open(key, &ends, ended) else {
        let words = "The server has as many event streams open as it can serve. Try again later.";
        return try_later(StatusCode::SERVICE_UNAVAILABLE, RETRY_SECONDS, words);
    };
    let endpoint = Event::default()
        .event("endpoint")
        .data(format!("/messages?sessionId={id}"));
    // Dropped with the stream, however that ends.
    let guard = session.ended.clone().drop_guard();
    tokio::spawn(run(
        Arc::clone(sessions),
        id,
        session,
        key.clone(),
        handler,
        pipe,
        place,
    ));
    let messages = stream::unfold((ends.outbox, guard), |(mut outbox, guard)| async move {
        let message: ServerJsonRpcMessage = outbox.recv().await?;
        let event = Event::default().event("message").json_data(message).ok()?;
        Some((event, (outbox, guard)))
    });
    let events = stream::once(async { endpoint }).chain(messages);
    (
        // Proxies that collect an answer before they pass it on would hold the events back.
        [(HeaderName::from_static("x-accel-buffering"), "no")],
        Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)),
    )
        .into_response()
}

/// A session from its beginning to its end.
async fn run<H: ServerHandler>(
    sessions: Arc<Sessions>,
    id: String,
    session: Arc<Session>,
    key: ApiKey,
    handler: H,
    pipe: SseTransport,
    place: TenantPermit,
) {
    let conversation = async {
        match rmcp::service::serve_server(handler, pipe).await {
            Ok(service) => {
                // How it ended is of no interest: its calls have been recorded by themselves.
                let _quit = service.waiting().await;
                "the conversation ended"
            }
            Err(_) => "no conversation began",
        }
    };
    tokio::pin!(conversation);
    let why = tokio::select! {
        why = &mut conversation => why,
        why = sessions.expired(&session, &key) => {
            session.ended.cancel();
            // It has calls to end and to record.
            conversation.await;
            why
        }
    };
    tracing::debug!(why, "an event stream ended");
    session.ended.cancel();
    let mut open = sessions.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.remove(&id);
    drop(place);
}

#[derive(serde::Deserialize)]
struct MessageQuery {
    #[serde(rename = "sessionId", default)]
    session_id: String,
}

/// Takes a message for a session; its answer comes on the session's stream.
async fn message(
    State(sessions): State<Arc<Sessions>>,
    Query(query): Query<MessageQuery>,
    Extension(key): Extension<ApiKey>,
    Extension(principal): Extension<Arc<Principal>>,
    request: Request,
) -> Response {
    let unknown = || {
        json_rpc_error(
            StatusCode::NOT_FOUND,
            -32_600,
            "There is no such session. Open a new one on /sse.",
        )
    };
    let Some(session) = sessions.find(&query.session_id, &key) else {
        return unknown();
    };
    let (mut parts, body) = request.into_parts();
    let (bytes, is_subscription) = match jsonrpc_validation::read(&parts, body).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let Ok(mut message) = serde_json::from_slice::<ClientJsonRpcMessage>(&bytes) else {
        let words = "The message is not one that the protocol has.";
        return json_rpc_error(StatusCode::BAD_REQUEST, -32_600, words);
    };
    session.last_heard.store(sessions.now(), Ordering::Relaxed);
    // A subscription is counted by itself.
    let place = if matches!(message, ClientJsonRpcMessage::Request(_)) && !is_subscription {
        match sessions.calls.take(&principal, &source(&parts.extensions)) {
            Ok(place) => Some(place),
            Err(refusal) => return *refusal,
        }
    } else {
        None
    };
    // A subscription is no call, and does not count as one that runs.
    let admission = limits::admission(&mut parts.extensions).filter(|_| !is_subscription);
    match session.pending.note(&message, MAX_UNANSWERED) {
        Ok(doing) => drop(parts.extensions.insert(CallGuard::new((place, doing, admission)))),
        Err(refused) => return not_noted(refused),
    }
    message.insert_extension(parts);
    match session.inbox.try_send(message) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(mpsc::error::TrySendError::Full(message)) => {
            session.pending.forget(&message);
            let words = "The session has more messages than it can take. Try again in a moment.";
            try_later(StatusCode::TOO_MANY_REQUESTS, 1, words)
        }
        Err(mpsc::error::TrySendError::Closed(_)) => unknown(),
    }
}

fn not_noted(refused: TrackError) -> Response {
    match refused {
        TrackError::TooManyInFlight => {
            let words = format!(
                "{MAX_UNANSWERED} requests of this session wait for their answers. Wait for one of them."
            );
            try_later(StatusCode::TOO_MANY_REQUESTS, 1, &words)
        }
        TrackError::DuplicateId => {
            let words = "A request with this id waits for its answer in this session. Send each with an id of its own.";
            json_rpc_error(StatusCode::BAD_REQUEST, -32_600, words)
        }
    }
}
