//! The routes of ClawHub's API by which its client publishes and withdraws. They become the same calls of `publish_skill` and
//! `yank_skill` as over MCP.

use std::sync::Arc;

use agent_skills::limits::MAX_TOTAL_BYTES;
use agent_skills::{Digest, SkillFile, SkillFolder, SkillPath, read_skill_archive, write_zip};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call_status::call_status;
use super::fetch::{self, Fetches};
use super::forwarded::PathPrefix;
use super::public_base::public_base;
use super::upload::{self, Uploads};
use crate::fetches::{ClawhubUpload, ClawhubUploadUrl};
use crate::server::{Upload, UploadError, UploadReply};
use crate::tools::ToolName;

const UPLOAD: &str = "/api/v1/skills/-/upload";
/// A request without files.
const MAX_SMALL_BYTES: u64 = 64 << 10;
/// All files of a skill as base64, and what stands beside them.
const MAX_PUBLISH_BYTES: u64 = MAX_TOTAL_BYTES / 3 * 4 + (2 << 20);
/// What a withdrawn skill shows if the client sent no reason.
const NO_REASON: &str = "Withdrawn with clawhub.";

struct Publishing {
    uploads: Arc<Uploads>,
    fetches: Arc<Fetches>,
    prefix: PathPrefix,
}

/// The routes, all of which need a caller.
pub(super) fn routes(uploads: &Arc<Uploads>, fetches: &Arc<Fetches>, prefix: PathPrefix) -> Router {
    let state = Publishing {
        uploads: Arc::clone(uploads),
        fetches: Arc::clone(fetches),
        prefix,
    };
    Router::new()
        .route("/api/v1/skills/-/upload-url", post(upload_url))
        .route(UPLOAD, post(receive_file))
        .route("/api/v1/skills", post(publish))
        .route("/api/v1/skills/{slug}", delete(withdraw))
        .route("/api/v1/skills/{slug}/undelete", post(restore))
        .route("/api/v1/skills/{slug}/versions/{version}", delete(withdraw))
        .route("/api/v1/skills/{slug}/versions/{version}/restore", post(restore))
        .with_state(Arc::new(state))
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body.to_string()).into_response()
}

fn invalid(error: &serde_json::Error) -> UploadError {
    UploadError::Parameters(format!(
        "The request is not what the clawhub client sends: {error}"
    ))
}

async fn small_json<T: for<'a> Deserialize<'a>>(parts: &Parts, body: Body) -> Result<T, UploadError> {
    let bytes = upload::read(parts, body, MAX_SMALL_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|error| invalid(&error))
}

#[derive(Deserialize)]
struct FileToUpload {
    path: String,
    size: u64,
}

async fn upload_url(
    State(publishing): State<Arc<Publishing>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(base) = public_base(&uri, &parts.headers, &publishing.prefix) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let fetches = &publishing.fetches;
    match small_json::<FileToUpload>(&parts, body).await {
        Ok(FileToUpload { path, size }) => {
            // The client sends the ticket back. Its key already shows what it may do.
            let answer = json!({"uploadUrl": format!("{base}{UPLOAD}"), "uploadTicket": "none"});
            let respond = |()| json_answer(StatusCode::OK, &answer);
            fetch::answer(fetches, &parts, ClawhubUploadUrl { path, size }, respond).await
        }
        Err(error) => {
            let received = Err(format!("{error}."));
            let respond = |()| StatusCode::BAD_REQUEST.into_response();
            fetch::answer(fetches, &parts, ClawhubUpload { received }, respond).await
        }
    }
}

/// Answers with the file itself, which the client sends again when it publishes.
async fn receive_file(State(publishing): State<Arc<Publishing>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let _share = match publishing.uploads.share(&parts) {
        Ok(share) => share,
        Err(response) => return *response,
    };
    let received = upload::read(&parts, body, MAX_TOTAL_BYTES).await;
    let (received, bytes) = match received {
        Ok(bytes) => (Ok(bytes.len()), bytes),
        Err(error) => (Err(format!("{error}.")), Bytes::new()),
    };
    let respond = |()| json_answer(StatusCode::OK, &json!({"storageId": BASE64.encode(&bytes)}));
    fetch::answer(&publishing.fetches, &parts, ClawhubUpload { received }, respond).await
}

/// What the client sends to publish. It sends more, which has no meaning here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewVersion {
    slug: String,
    version: String,
    #[serde(default)]
    changelog: String,
    #[serde(default)]
    tags: Vec<String>,
    fork_of: Option<Value>,
    #[serde(default)]
    migrate_owner: bool,
    files: Vec<UploadedFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UploadedFile {
    path: String,
    storage_id: String,
    sha256: String,
}

async fn publish(State(publishing): State<Arc<Publishing>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let receive = |parts: Arc<Parts>| async move { receive(&parts, body).await };
    upload::record(&publishing.uploads, parts, receive, published).await
}

async fn receive(parts: &Parts, body: Body) -> Upload {
    let bytes = match upload::read(parts, body, MAX_PUBLISH_BYTES).await {
        Ok(bytes) => bytes,
        Err(error) => return Upload::new(Map::new(), Err(error)),
    };
    // Decoding and hashing take up to some tenths of a second.
    let reading = tokio::task::spawn_blocking(move || match serde_json::from_slice(&bytes) {
        Ok(new) => {
            let new: NewVersion = new;
            Upload::new(new.arguments(), new.folder())
        }
        Err(error) => Upload::new(Map::new(), Err(invalid(&error))),
    });
    reading.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the files of a skill could not be read");
        Upload::new(Map::new(), Err(UploadError::BrokenOff))
    })
}

impl NewVersion {
    /// Those of `publish_skill`, but the files.
    fn arguments(&self) -> Map<String, Value> {
        let note = Some(self.changelog.trim()).filter(|note| !note.is_empty());
        [
            ("skill", Some(self.slug.as_str())),
            ("version", Some(self.version.as_str())),
            ("note", note),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect()
    }

    /// The files, read like those of an archive: the same rules and limits hold.
    fn folder(&self) -> Result<SkillFolder, UploadError> {
        let refused = |message: &str| Err(UploadError::Parameters(message.to_owned()));
        if self.fork_of.is_some() {
            return refused(
                "This registry does not take --fork-of. Use the tool fork_skill, then publish without it",
            );
        }
        if self.migrate_owner {
            return refused(
                "This registry does not take --migrate-owner. An administrator changes owners with skillkeep skill owner",
            );
        }
        if self.tags.iter().any(|tag| tag != "latest") {
            return refused("This registry has no tag but latest. Publish without --tags");
        }
        let files: Result<Vec<SkillFile>, UploadError> = self.files.iter().map(UploadedFile::file).collect();
        let archive = write_zip(&files?).map_err(|error| UploadError::Parameters(error.to_string()))?;
        Ok(read_skill_archive(&archive, Some(&self.slug))?)
    }
}

impl UploadedFile {
    fn file(&self) -> Result<SkillFile, UploadError> {
        let damaged = || {
            UploadError::Parameters("A file arrived damaged; nothing was published. Publish again".to_owned())
        };
        let bytes = BASE64.decode(&self.storage_id).map_err(|_| damaged())?;
        let digest = Digest::of(&bytes).to_string();
        if digest.strip_prefix("sha256:") != Some(self.sha256.to_ascii_lowercase().as_str()) {
            return Err(damaged());
        }
        let path = SkillPath::parse(&self.path).map_err(|error| {
            UploadError::Parameters(format!(
                "A path in the skill is not permitted: {error}. Rename the file"
            ))
        })?;
        Ok(SkillFile {
            path,
            bytes,
            // The client does not say.
            is_executable: false,
        })
    }
}

fn published(reply: &UploadReply) -> Response {
    let status = call_status(reply.outcome, reply.error_code);
    if reply.error_code.is_some() {
        return json_answer(status, &reply.body);
    }
    let field = |name: &str| reply.body.get(name).cloned().unwrap_or_default();
    let is_public = field("state") == "published" && field("quarantined") != true;
    let state = if is_public { "published" } else { "pending" };
    json_answer(
        status,
        &json!({
            "ok": true, "skillId": field("skill"), "versionId": field("digest"), "slug": field("skill"),
            "version": field("version"), "publicationStatus": state,
        }),
    )
}

#[derive(Deserialize)]
struct Withdrawn {
    slug: String,
    version: Option<String>,
}

#[derive(Default, Deserialize)]
struct Withdrawal {
    reason: Option<String>,
}

async fn withdraw(
    State(publishing): State<Arc<Publishing>>,
    Path(Withdrawn { slug, version }): Path<Withdrawn>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    // A body that cannot be read leaves out the reason only.
    let withdrawal = small_json::<Withdrawal>(&parts, body).await.unwrap_or_default();
    let reason = withdrawal.reason.unwrap_or_else(|| NO_REASON.to_owned());
    let what = version.map_or(("all", true.into()), |version| ("version", version.into()));
    let arguments = [("skill", slug.into()), what, ("reason", reason.into())];
    yank(&publishing, parts, arguments.into_iter()).await
}

/// Only a version can be published again. For a whole skill, the tool says so.
async fn restore(
    State(publishing): State<Arc<Publishing>>,
    Path(Withdrawn { slug, version }): Path<Withdrawn>,
    request: Request,
) -> Response {
    let version = version.map(|version| ("version", version.into()));
    let arguments = [("skill", slug.into()), ("undo", true.into())];
    yank(
        &publishing,
        request.into_parts().0,
        arguments.into_iter().chain(version),
    )
    .await
}

async fn yank(
    publishing: &Publishing,
    parts: Parts,
    arguments: impl Iterator<Item = (&'static str, Value)>,
) -> Response {
    let arguments = arguments.map(|(name, value)| (name.to_owned(), value)).collect();
    let receive = |_: Arc<Parts>| async move { Upload::without_files(ToolName::YankSkill, arguments) };
    upload::record(&publishing.uploads, parts, receive, withdrawn).await
}

fn withdrawn(reply: &UploadReply) -> Response {
    let status = call_status(reply.outcome, reply.error_code);
    if reply.error_code.is_some() {
        return json_answer(status, &reply.body);
    }
    json_answer(status, &json!({"ok": true}))
}
