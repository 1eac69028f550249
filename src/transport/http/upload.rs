//! `POST /skills`: publishes the skill in an archive (zip, tar or tar.gz), which may be larger than a message of the protocol.
//!
//! Head and key are checked as for `/mcp`. A body that breaks off or is invalid also leaves one usage event.

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
use crate::tenancy::{ApiKey, Principal, ShareLimiter, ShareLimits};

/// The path of the route.
pub const PATH: &str = "/skills";
/// Uploads at once. Each may hold an archive and its content in memory.
const LIMITS: ShareLimits = ShareLimits {
    per_key: 1,
    per_tenant: 3,
    total: 16,
};

/// What the uploads of a process share.
struct Uploads {
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

pub(super) fn routes(service: &Arc<CallService>) -> Router {
    let uploads = Uploads {
        service: Arc::clone(service),
        limiter: ShareLimiter::new(LIMITS),
    };
    Router::new()
        .route(PATH, post(publish))
        .route("/skills/", post(publish))
        .with_state(Arc::new(uploads))
}

async fn publish(State(uploads): State<Arc<Uploads>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (Some(key), Some(principal)) = (
        parts.extensions.get::<ApiKey>().cloned(),
        parts.extensions.get::<Arc<Principal>>().map(Arc::clone),
    ) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    // In a task of its own: if the client disconnects, this future is dropped, but the upload must be recorded.
    let task = tokio::spawn(async move { uploads.run(key, &principal, &parts, body).await });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an upload ended without a reply");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

impl Uploads {
    async fn run(&self, key: ApiKey, principal: &Arc<Principal>, parts: &Parts, body: Body) -> Response {
        // Held until the upload is recorded.
        let _share = match self.limiter.take(principal.tenant, key.hash(), 1) {
            Ok(share) => share,
            Err(exceeded) => return share_exceeded(exceeded, "uploads running", 1),
        };
        let upload = receive(parts, body).await;
        // Counted only now: bodies that arrive slowly must not take the places of running calls.
        let source = origin(&parts.extensions).source;
        let guard = match self.service.access().admit(&key, principal, &source).await {
            Ok(guard) => guard,
            Err(error) => {
                let call = || RefusedCall::upload(&parts.headers);
                self.service.record_refused(&error, &key, principal, call);
                return access_denied(&error);
            }
        };
        let metadata = RequestMetadata::of_http(&parts.headers);
        respond(&self.service.upload(key, upload, metadata, guard).await)
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
    check_head(&parts.headers)?;
    let bytes = read(parts, body).await?;
    // Decompression takes up to some tenths of a second.
    let reading = move || Ok(read_skill_archive(&bytes, name.as_deref())?);
    tokio::task::spawn_blocking(reading)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "an archive could not be read");
            Err(UploadError::BrokenOff)
        })
}

fn check_head(headers: &HeaderMap) -> Result<(), UploadError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if is_encoded(headers) {
        let message = "Send the archive itself, without Content-Encoding";
        return Err(UploadError::Encoded(message));
    }
    let declared: Option<u64> = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if declared.is_some_and(|bytes| bytes > MAX_ARCHIVE_BYTES) {
        return Err(UploadError::TooLarge(MAX_ARCHIVE_BYTES));
    }
    Ok(())
}

async fn read(parts: &Parts, body: Body) -> Result<Bytes, UploadError> {
    let BodyTimeout(limit) = parts
        .extensions
        .get()
        .copied()
        .unwrap_or(BodyTimeout(Duration::ZERO));
    let max_bytes = usize::try_from(MAX_ARCHIVE_BYTES).unwrap_or(usize::MAX);
    match tokio::time::timeout(limit, axum::body::to_bytes(body, max_bytes)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(unread(&error)),
        Err(_) => Err(UploadError::TimedOut(limit.as_secs())),
    }
}

fn unread(error: &axum::Error) -> UploadError {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return UploadError::TooLarge(MAX_ARCHIVE_BYTES);
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
