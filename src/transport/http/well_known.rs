//! Indexes of skills for clients that install skills themselves:
//! - `/.well-known/agent-skills/index.json`, Agent Skills Discovery 0.2.0 (draft of 2026-03-12): artifacts with their digests;
//! - `/.well-known/skills/index.json`, version 0.1.0: lists of files, which lie beside the index. OpenCode reads the same.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error_response::try_later;
use super::fetch::{self, ASK_AGAIN, Fetches, KEEP, known_digests};
use crate::fetches::{Artifact, FetchedFile, File, FileIndex, FileIndexEntry, Index, IndexEntry, SkillIndex};
use crate::ids::Digest;

const SCHEMA: &str = "https://schemas.agentskills.io/discovery/0.2.0/schema.json";
/// The longest description, in UTF-16 code units, as clients count it.
const MAX_DESCRIPTION: usize = 1024;
/// What may stand in a segment of a path besides letters and digits (RFC 3986, section 2.3).
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The routes, all of which need a caller.
pub(super) fn routes(fetches: &Arc<Fetches>) -> Router {
    Router::new()
        .route("/.well-known/agent-skills/index.json", get(skill_index))
        .route("/.well-known/skills/index.json", get(file_index))
        .route("/.well-known/skills/{slug}/{*path}", get(latest_file))
        .route("/skills/{slug}/{version}/{*path}", get(file))
        .with_state(Arc::clone(fetches))
}

async fn skill_index(State(fetches): State<Arc<Fetches>>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let respond = |index| match index {
        Index::Complete(entries) => {
            let skills: Vec<Value> = entries.iter().filter_map(described).collect();
            json_index(&parts.headers, &json!({"$schema": SCHEMA, "skills": skills}))
        }
        Index::Computing { known, all } => {
            let message = format!(
                "The index is being computed: {known} of {all} skills are done. Ask again in a moment."
            );
            try_later(StatusCode::SERVICE_UNAVAILABLE, 1, &message)
        }
    };
    fetch::answer(&fetches, &parts, SkillIndex, respond).await
}

/// An entry of version 0.2.0. Clients skip an entry without a description.
fn described(entry: &IndexEntry) -> Option<Value> {
    let encoded = |text| utf8_percent_encode(text, SEGMENT);
    let (slug, version) = (encoded(&entry.slug), encoded(&entry.version));
    let (kind, url, digest) = match entry.artifact {
        Artifact::SkillMd(digest) => (
            "skill-md",
            format!("../../skills/{slug}/{version}/SKILL.md"),
            digest,
        ),
        Artifact::Zip(digest) => ("archive", format!("../../skills/{slug}/{version}.zip"), digest),
    };
    let description = shortened(&entry.description);
    (!description.is_empty()).then(|| {
        json!({
            "name": entry.slug, "type": kind, "description": description, "url": url, "digest": digest.to_string(),
            "version": entry.version,
        })
    })
}

pub(super) fn shortened(description: &str) -> String {
    let mut units = 0;
    let fits = |c: &char| {
        units += c.len_utf16();
        units <= MAX_DESCRIPTION
    };
    description.trim().chars().take_while(fits).collect()
}

async fn file_index(State(fetches): State<Arc<Fetches>>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let respond = |entries: Vec<FileIndexEntry>| {
        let skills: Vec<Value> = entries.iter().filter_map(listed).collect();
        json_index(&parts.headers, &json!({"skills": skills}))
    };
    fetch::answer(&fetches, &parts, FileIndex, respond).await
}

/// An entry of version 0.1.0. One that is not valid would make clients refuse the whole index.
fn listed(entry: &FileIndexEntry) -> Option<Value> {
    let description = shortened(&entry.description);
    let is_accepted = |path: &String| !path.contains("..") && !path.contains('\\');
    (!description.is_empty() && entry.paths.iter().all(is_accepted))
        .then(|| json!({"name": entry.slug, "description": description, "files": entry.paths}))
}

pub(super) fn json_index(asked: &HeaderMap, index: &Value) -> Response {
    let body = index.to_string();
    let digest = Digest::of(body.as_bytes());
    let mut response = if known_digests(asked).contains(&digest) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    fetch::set_validators(response.headers_mut(), digest, ASK_AGAIN);
    response
}

#[derive(Deserialize)]
struct FileParams {
    slug: String,
    version: Option<String>,
    path: String,
}

async fn latest_file(
    State(fetches): State<Arc<Fetches>>,
    Path(params): Path<FileParams>,
    request: Request,
) -> Response {
    send_file(&fetches, params, request).await
}

async fn file(
    State(fetches): State<Arc<Fetches>>,
    Path(params): Path<FileParams>,
    request: Request,
) -> Response {
    send_file(&fetches, params, request).await
}

async fn send_file(fetches: &Fetches, params: FileParams, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let asked = (params.slug.clone(), params.version.clone());
    let file = File {
        skill: params.slug,
        version: params.version,
        path: params.path,
    };
    let respond = |file: FetchedFile| {
        let is_exact = asked.0 == file.slug && asked.1.as_ref() == Some(&file.version);
        let kept = if is_exact { KEEP } else { ASK_AGAIN };
        let (digest, content_type) = (file.digest, content_type(&file.path));
        let mut response = if known_digests(&parts.headers).contains(&digest) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, content_type)], file.bytes).into_response()
        };
        fetch::set_validators(response.headers_mut(), digest, kept);
        response
    };
    fetch::answer(fetches, &parts, file, respond).await
}

/// Never a type that a browser runs: the files are written by users.
fn content_type(path: &str) -> &'static str {
    let is_markdown = path
        .rsplit_once('.')
        .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("md"));
    if is_markdown {
        "text/markdown"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_is_cut_to_the_units_that_clients_count() {
        assert_eq!(shortened(" short "), "short");
        assert_eq!(shortened(&"é".repeat(1025)).chars().count(), 1024);
        // Two units each.
        assert_eq!(shortened(&"😀".repeat(600)).chars().count(), 512);
    }

    #[test]
    fn labels_are_encoded_in_paths() {
        let entry = IndexEntry {
            slug: "fill-pdf".to_owned(),
            version: "1.0 b/2".to_owned(),
            description: "Fills.".to_owned(),
            artifact: Artifact::Zip(Digest::of(b"")),
        };
        let described = described(&entry).unwrap();
        assert_eq!(described["url"], "../../skills/fill-pdf/1.0%20b%2F2.zip");
    }
}
