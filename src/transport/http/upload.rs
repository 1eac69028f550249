//! `POST /skills`: publishes the skill in an archive (zip, tar or tar.gz), which may be larger than a message of the protocol.
//!
//! Head and key are checked as for `/mcp`. A body that breaks off or is invalid also leaves one usage event.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use agent_skills::limits::MAX_ARCHIVE_BYTES;
use agent_skills::{SkillFolder, read_skill_archive};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call_status::call_status;
use super::error_response::{access_denied, share_exceeded};
use super::head_validation::origin;
use super::jsonrpc_validation::{BodyTimeout, is_encoded};
use crate::server::{CallService, RefusedCall, RequestMetadata, Upload, UploadError, UploadReply};
use crate::tenancy::{ApiKey, Principal, Share, ShareLimiter, ShareLimits};

/// The path of the route.
pub const PATH: &str = "/skills";
/// Uploads at once. Each may hold an archive and its content in memory.
const LIMITS: ShareLimits = ShareLimits {
    per_key: 1,
    per_tenant: 3,
    total: 16,
};

/// What the uploads of a process share.
pub(super) struct Uploads {
    service: Arc<CallService>,
    limiter: ShareLimiter,
}

/// The query of an upload: arguments of `publish_skill`, and the archive's name.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// The archive's file name: the name of a skill without one, if `SKILL.md` is at the archive's root.
    #[serde(skip_serializing)]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skill: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<bool>,
}

pub(super) fn routes(uploads: &Arc<Uploads>) -> Router {
    Router::new()
        .route(PATH, post(publish))
        .route("/skills/", post(publish))
        .with_state(Arc::clone(uploads))
}

async fn publish(State(uploads): State<Arc<Uploads>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let receive = |parts: Arc<Parts>| async move { receive(&parts, body).await };
    record(&uploads, parts, receive, respond).await
}

/// Receives an upload, runs it and records it, also if the client disconnects.
pub(super) async fn record<F: Future<Output = Upload> + Send + 'static>(
    uploads: &Arc<Uploads>,
    parts: Parts,
    receive: impl FnOnce(Arc<Parts>) -> F,
    respond: fn(&UploadReply) -> Response,
) -> Response {
    let (Some(key), Some(principal)) = (
        parts.extensions.get::<ApiKey>().cloned(),
        parts.extensions.get::<Arc<Principal>>().map(Arc::clone),
    ) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let parts = Arc::new(parts);
    let received = receive(Arc::clone(&parts));
    let uploads = Arc::clone(uploads);
    // In a task of its own: if the client disconnects, this future is dropped, but the upload must be recorded.
    let task = tokio::spawn(async move {
        match uploads.run(key, &principal, &parts, received).await {
            Ok(reply) => respond(&reply),
            Err(refused) => refused,
        }
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an upload ended without a reply");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

impl Uploads {
    pub(super) fn new(service: &Arc<CallService>) -> Arc<Self> {
        Arc::new(Self {
            service: Arc::clone(service),
            limiter: ShareLimiter::new(LIMITS),
        })
    }

    /// The caller's place among the uploads that run, or the refusal.
    pub(super) fn share(&self, parts: &Parts) -> Result<Share, Box<Response>> {
        let (Some(key), Some(principal)) = (
            parts.extensions.get::<ApiKey>(),
            parts.extensions.get::<Arc<Principal>>(),
        ) else {
            return Err(Box::new(StatusCode::UNAUTHORIZED.into_response()));
        };
        self.limiter
            .take(principal.tenant, key.hash(), 1)
            .map_err(|exceeded| Box::new(share_exceeded(exceeded, "uploads running", 1)))
    }

    async fn run(
        &self,
        key: ApiKey,
        principal: &Arc<Principal>,
        parts: &Parts,
        received: impl Future<Output = Upload>,
    ) -> Result<UploadReply, Response> {
        // Held until the upload is recorded.
        let _share = self.share(parts).map_err(|refused| *refused)?;
        let upload = received.await;
        // Counted only now: bodies that arrive slowly must not take the places of running calls.
        let source = origin(&parts.extensions).source;
        let guard = match self.service.access().admit(&key, principal, &source).await {
            Ok(guard) => guard,
            Err(error) => {
                let call = || RefusedCall::upload(&parts.headers);
                self.service.record_refused(&error, &key, principal, call);
                return Err(access_denied(&error));
            }
        };
        let metadata = RequestMetadata::of_http(&parts.headers);
        Ok(self.service.upload(key, upload, metadata, guard).await)
    }
}

/// Reads the archive and the files in it.
async fn receive(parts: &Parts, body: Body) -> Upload {
    let parameters = Query::<Parameters>::try_from_uri(&parts.uri).map(|Query(parameters)| parameters);
    let parameters = parameters.map_err(|error| UploadError::Parameters(error.to_string()));
    let arguments = match parameters.as_ref().map(serde_json::to_value) {
        Ok(Ok(Value::Object(arguments))) => arguments,
        Ok(Ok(_) | Err(_)) | Err(_) => serde_json::Map::new(),
    };
    let skill = match parameters {
        Ok(parameters) => read_skill(parts, body, parameters.name).await,
        Err(error) => Err(error),
    };
    Upload::new(arguments, skill)
}

async fn read_skill(parts: &Parts, body: Body, name: Option<String>) -> Result<SkillFolder, UploadError> {
    let bytes = read(parts, body, MAX_ARCHIVE_BYTES).await?;
    // Decompression takes up to some tenths of a second.
    let reading = move || Ok(read_skill_archive(&bytes, name.as_deref())?);
    tokio::task::spawn_blocking(reading)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "an archive could not be read");
            Err(UploadError::BrokenOff)
        })
}

fn check_head(headers: &HeaderMap, max_bytes: u64) -> Result<(), UploadError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if is_encoded(headers) {
        let message = "Send the archive itself, without Content-Encoding";
        return Err(UploadError::Encoded(message));
    }
    let declared: Option<u64> = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if declared.is_some_and(|bytes| bytes > max_bytes) {
        return Err(UploadError::TooLarge(max_bytes));
    }
    Ok(())
}

/// Reads a body of at most so many bytes, within the time limit of a request.
pub(super) async fn read(parts: &Parts, body: Body, max_bytes: u64) -> Result<Bytes, UploadError> {
    check_head(&parts.headers, max_bytes)?;
    let BodyTimeout(limit) = parts
        .extensions
        .get()
        .copied()
        .unwrap_or(BodyTimeout(Duration::ZERO));
    let limit_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    match tokio::time::timeout(limit, axum::body::to_bytes(body, limit_bytes)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(unread(&error, max_bytes)),
        Err(_) => Err(UploadError::TimedOut(limit.as_secs())),
    }
}

fn unread(error: &axum::Error, max_bytes: u64) -> UploadError {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return UploadError::TooLarge(max_bytes);
        }
        cause = error.source();
    }
    UploadError::BrokenOff
}

fn respond(reply: &UploadReply) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    let status = call_status(reply.outcome, reply.error_code);
    (status, content_type, reply.body.to_string()).into_response()
}
