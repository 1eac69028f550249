//! `GET /skills/{slug}/{version}.zip`: a version as a zip archive, in the same bytes every time.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::error_response::json_error;
use super::fetch::{self, ASK_AGAIN, Fetches, KEEP, known_digests};
use crate::fetches::{Archive, ArchiveBytes, Download};

/// The route: the last segment is a version, or `latest`, and `.zip`.
const PATH: &str = "/skills/{slug}/{file}";
/// The label of the version that is sent.
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-skillkeep-version");
/// The digest of the manifest of the version that is sent.
const DIGEST_HEADER: HeaderName = HeaderName::from_static("x-skillkeep-digest");
#[derive(Deserialize)]
struct Params {
    slug: String,
    file: String,
}

pub(super) fn routes(fetches: &Arc<Fetches>) -> Router {
    Router::new()
        .route(PATH, get(download))
        .with_state(Arc::clone(fetches))
}

async fn download(
    State(fetches): State<Arc<Fetches>>,
    Path(Params { slug, file }): Path<Params>,
    request: Request,
) -> Response {
    let Some(version) = file.strip_suffix(".zip") else {
        let message = "There is nothing at this path. A skill is downloaded from /skills/SLUG/VERSION.zip, or latest.zip.";
        return json_error(StatusCode::NOT_FOUND, "not_found", message);
    };
    let (parts, _body) = request.into_parts();
    let download = Download {
        skill: slug,
        version: Some(version.to_owned()),
        known: known_digests(&parts.headers),
    };
    answer(&fetches, &parts, download).await
}

/// Answers a download.
pub(super) async fn answer(fetches: &Fetches, parts: &Parts, download: Download) -> Response {
    let asked = (download.skill.clone(), download.version.clone());
    let respond = |archive: Archive| {
        // `latest` and a former slug may mean something else in a moment.
        let is_exact = asked.0 == archive.slug && asked.1.as_ref() == Some(&archive.version);
        respond(archive, if is_exact { KEEP } else { ASK_AGAIN })
    };
    fetch::answer(fetches, parts, download, respond).await
}

fn respond(archive: Archive, cache_control: HeaderValue) -> Response {
    let name = format!("{}-{}.zip", archive.slug, archive.version);
    let digest = archive.digest.to_string();
    let mut response = match archive.bytes {
        ArchiveBytes::Zip(bytes) => {
            let mut response = bytes.into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
            let disposition = format!("attachment; filename=\"{name}\"");
            insert(headers, header::CONTENT_DISPOSITION, &disposition);
            response
        }
        ArchiveBytes::Known => StatusCode::NOT_MODIFIED.into_response(),
    };
    let headers = response.headers_mut();
    fetch::set_validators(headers, archive.digest, cache_control);
    insert(headers, VERSION_HEADER, &archive.version);
    insert(headers, DIGEST_HEADER, &digest);
    response
}

/// Labels and slugs have only characters that a header may have.
fn insert(headers: &mut axum::http::HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
