//! The routes of ClawHub's API, version 1, that its client calls to find and install skills. Errors are plain text, which the client
//! shows.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::download;
use super::fetch::{self, Fetches};
use super::forwarded::PathPrefix;
use super::public_base::public_base;
use crate::fetches::{
    ClawhubHit, ClawhubList, ClawhubResolve, ClawhubResolved, ClawhubSearch, ClawhubShow, ClawhubSkill,
    ClawhubVersion, ClawhubVersions, ClawhubWhoami, Download,
};

const RESOLVE: &str = "/api/v1/resolve";
const DEFAULT_LIMIT: u8 = 25;
/// Error bodies are short.
const MAX_ERROR_BYTES: usize = 16 << 10;

/// The routes, all of which need a caller.
pub(super) fn routes(fetches: &Arc<Fetches>) -> Router {
    Router::new()
        .route("/api/v1/whoami", get(whoami))
        .route("/api/v1/search", get(search))
        .route("/api/v1/skills", get(list))
        .route("/api/v1/skills/{slug}", get(show))
        .route("/api/v1/skills/{slug}/versions", get(versions))
        .route("/api/v1/skills/{slug}/versions/{version}", get(version))
        .route(RESOLVE, get(resolve))
        .route("/api/v1/download", get(download))
        .with_state(Arc::clone(fetches))
}

/// Where the API is. Public: the client reads it before it has a key.
pub(super) fn discovery(prefix: PathPrefix) -> Router {
    Router::new()
        .route("/.well-known/clawhub.json", get(base))
        .with_state(prefix)
}

async fn base(State(prefix): State<PathPrefix>, uri: Uri, headers: HeaderMap) -> Response {
    match public_base(&uri, &headers, &prefix) {
        Some(base) => json_body(&json!({"apiBase": base})),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Turns the errors of these paths into plain text.
pub(super) async fn plain_errors(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_clawhub = path.starts_with("/api/v1/");
    let is_resolve = path == RESOLVE;
    let response = next.run(request).await;
    if !is_clawhub || !(response.status().is_client_error() || response.status().is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, MAX_ERROR_BYTES)
        .await
        .unwrap_or_default();
    let parsed: Option<Value> = serde_json::from_slice(&bytes).ok();
    let message = parsed
        .as_ref()
        .and_then(|body| body.pointer("/error/message")?.as_str());
    let mut text = message.map_or_else(|| String::from_utf8_lossy(&bytes).into_owned(), str::to_owned);
    if is_resolve && parts.status == StatusCode::NOT_FOUND {
        // By these words the client knows that it publishes a new skill.
        text.insert_str(0, "Skill not found. ");
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    parts.headers.insert(header::CONTENT_TYPE, plain);
    Response::from_parts(parts, Body::from(text))
}

fn json_body(body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body.to_string()).into_response()
}

fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

async fn whoami(State(fetches): State<Arc<Fetches>>, request: Request) -> Response {
    let respond = |email: String| json_body(&json!({"user": {"handle": email, "displayName": email}}));
    fetch::answer(&fetches, &request.into_parts().0, ClawhubWhoami, respond).await
}

#[derive(Deserialize)]
struct SearchParams {
    #[serde(default)]
    q: String,
    limit: Option<u64>,
}

fn limit(limit: Option<u64>) -> u8 {
    limit.map_or(DEFAULT_LIMIT, |limit| u8::try_from(limit).unwrap_or(u8::MAX))
}

async fn search(
    State(fetches): State<Arc<Fetches>>,
    Query(params): Query<SearchParams>,
    request: Request,
) -> Response {
    let search = ClawhubSearch {
        query: params.q,
        limit: limit(params.limit),
    };
    let respond = |hits: Vec<ClawhubHit>| {
        let results: Vec<Value> = hits.iter().enumerate().map(found).collect();
        json_body(&json!({"results": results}))
    };
    fetch::answer(&fetches, &request.into_parts().0, search, respond).await
}

/// The client shows the score. The registry ranks, and has none that could be compared between searches.
fn found((rank, hit): (usize, &ClawhubHit)) -> Value {
    let rank = u32::try_from(rank).unwrap_or(u32::MAX);
    json!({
        "source": "clawhub", "slug": hit.slug, "displayName": hit.name, "summary": hit.description, "version": hit.version,
        "score": 1.0 / (f64::from(rank) + 1.0),
    })
}

#[derive(Deserialize)]
struct ListParams {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    prefix: String,
    limit: Option<u64>,
}

async fn list(
    State(fetches): State<Arc<Fetches>>,
    Query(params): Query<ListParams>,
    request: Request,
) -> Response {
    let list = ClawhubList {
        after: params.cursor,
        prefix: params.prefix,
        limit: limit(params.limit),
    };
    let respond = |(skills, next): (Vec<ClawhubSkill>, Option<String>)| {
        let item = |skill: &ClawhubSkill| {
            let mut item = described(skill);
            if let Some(fields) = item.as_object_mut() {
                fields.insert("latestVersion".to_owned(), latest(skill));
            }
            item
        };
        let items: Vec<Value> = skills.iter().map(item).collect();
        json_body(&json!({"items": items, "nextCursor": next}))
    };
    fetch::answer(&fetches, &request.into_parts().0, list, respond).await
}

fn described(skill: &ClawhubSkill) -> Value {
    let created_at = skill.created_at.unwrap_or(skill.updated_at);
    json!({
        "slug": skill.slug, "displayName": skill.name, "summary": skill.description, "tags": {"latest": skill.version},
        "stats": {}, "createdAt": millis(created_at), "updatedAt": millis(skill.updated_at),
    })
}

fn latest(skill: &ClawhubSkill) -> Value {
    json!({"version": skill.version, "createdAt": millis(skill.updated_at), "changelog": ""})
}

#[derive(Deserialize)]
struct SkillParams {
    slug: String,
    version: Option<String>,
}

async fn show(
    State(fetches): State<Arc<Fetches>>,
    Path(params): Path<SkillParams>,
    request: Request,
) -> Response {
    let show = ClawhubShow { skill: params.slug };
    let respond = |skill: ClawhubSkill| {
        json_body(&json!({"skill": described(&skill), "latestVersion": latest(&skill), "owner": null}))
    };
    fetch::answer(&fetches, &request.into_parts().0, show, respond).await
}

fn version_entry(version: &ClawhubVersion) -> Value {
    json!({
        "version": version.version, "createdAt": millis(version.created_at), "changelog": version.note,
    })
}

async fn versions(
    State(fetches): State<Arc<Fetches>>,
    Path(params): Path<SkillParams>,
    request: Request,
) -> Response {
    let versions = ClawhubVersions {
        skill: params.slug,
        version: None,
    };
    let respond = |(_, listed): (String, Vec<ClawhubVersion>)| {
        let items: Vec<Value> = listed.iter().map(version_entry).collect();
        json_body(&json!({"items": items, "nextCursor": null}))
    };
    fetch::answer(&fetches, &request.into_parts().0, versions, respond).await
}

async fn version(
    State(fetches): State<Arc<Fetches>>,
    Path(params): Path<SkillParams>,
    request: Request,
) -> Response {
    let versions = ClawhubVersions {
        skill: params.slug,
        version: params.version,
    };
    let respond = |(slug, listed): (String, Vec<ClawhubVersion>)| {
        let version = listed.first().map(version_entry);
        json_body(&json!({"version": version, "skill": {"slug": slug, "displayName": slug}}))
    };
    fetch::answer(&fetches, &request.into_parts().0, versions, respond).await
}

#[derive(Deserialize)]
struct ResolveParams {
    slug: String,
    #[serde(default)]
    hash: String,
}

async fn resolve(
    State(fetches): State<Arc<Fetches>>,
    Query(params): Query<ResolveParams>,
    request: Request,
) -> Response {
    let resolve = ClawhubResolve {
        skill: params.slug.clone(),
        fingerprint: params.hash.to_ascii_lowercase(),
    };
    let respond = |resolved: ClawhubResolved| {
        let matching = resolved.matching.map(|version| json!({"version": version}));
        let latest = json!({"version": resolved.latest});
        json_body(&json!({"slug": params.slug, "match": matching, "latestVersion": latest}))
    };
    fetch::answer(&fetches, &request.into_parts().0, resolve, respond).await
}

#[derive(Deserialize)]
struct DownloadParams {
    slug: String,
    version: Option<String>,
    /// The only tag is `latest`.
    tag: Option<String>,
}

async fn download(
    State(fetches): State<Arc<Fetches>>,
    Query(params): Query<DownloadParams>,
    request: Request,
) -> Response {
    let (parts, _body) = request.into_parts();
    let download = Download {
        skill: params.slug,
        version: params.version.or(params.tag),
        known: fetch::known_digests(&parts.headers),
    };
    download::answer(&fetches, &parts, download).await
}
