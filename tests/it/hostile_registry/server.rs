//! The stand-in for a registry, and the server to which it redirects.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use agent_skills::{Digest, ManifestEntry, SkillPath, manifest_digest};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use skillkeep::ids::InstallId;

use super::zip::{Entry, zip};

pub(super) const SKILL_MD: &[u8] =
    b"---\nname: tides\ndescription: Reads tide tables.\n---\n\nRead the table.\n";

type Respond = Box<dyn Fn() -> Response + Send + Sync>;
type Change = Box<dyn Fn(&mut Value) + Send + Sync>;

/// What the server answers to the three requests of an install.
pub(super) struct Answers {
    /// Changes the offer of [`offer`].
    pub(super) offer: Change,
    /// In place of the answer to `install_skill`.
    pub(super) instead_of_offer: Option<Respond>,
    /// The text of a tool error in its place.
    pub(super) tool_error: Option<String>,
    pub(super) archive: Respond,
    /// In place of the answer to `confirm_install`.
    pub(super) instead_of_confirmation: Option<Respond>,
}

impl Answers {
    pub(super) fn honest() -> Self {
        Self {
            offer: Box::new(|_| {}),
            instead_of_offer: None,
            tool_error: None,
            archive: Box::new(|| archive(&[Entry::file("SKILL.md", SKILL_MD)])),
            instead_of_confirmation: None,
        }
    }

    /// An offer with the digest of these files, and an archive with them.
    pub(super) fn of_entries(entries: impl Fn() -> Vec<Entry> + Send + Sync + 'static) -> Self {
        let digest = digest_of(&entries());
        Self {
            offer: Box::new(move |offer| offer["digest"] = json!(digest)),
            archive: Box::new(move || archive(&entries())),
            ..Self::honest()
        }
    }
}

/// The digest of a version with these files, as far as their names are paths.
pub(super) fn digest_of(entries: &[Entry]) -> String {
    let parsed: Vec<(SkillPath, &Entry)> = entries
        .iter()
        .filter_map(|entry| {
            Some((
                SkillPath::parse(std::str::from_utf8(&entry.name).ok()?).ok()?,
                entry,
            ))
        })
        .collect();
    let manifest = parsed.iter().map(|(path, entry)| ManifestEntry {
        path,
        digest: Digest::of(&entry.bytes),
        size_bytes: entry.bytes.len() as u64,
        is_executable: entry.mode & 0o100 != 0,
    });
    manifest_digest(manifest).to_string()
}

pub(super) fn archive(entries: &[Entry]) -> Response {
    ([("content-type", "application/zip")], zip(entries)).into_response()
}

fn offer() -> Value {
    json!({
        "install_id": InstallId::new().to_string(),
        "skill": "tides",
        "version": "1.0",
        "digest": digest_of(&[Entry::file("SKILL.md", SKILL_MD)]),
        "folder": ".agents/skills/tides",
        "file_count": 1,
        "total_bytes": SKILL_MD.len(),
        "next_step": "Go on.",
    })
}

fn result(id: &Value, result: &Value) -> Response {
    axum::Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
}

fn tool_result(id: &Value, content: &Value) -> Response {
    let text = json!([{"type": "text", "text": content.to_string()}]);
    result(id, &json!({"content": text, "structuredContent": content}))
}

/// A server that answers an MCP client, truthfully or not.
pub(super) struct HostileServer {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<String>>>,
}

impl HostileServer {
    pub(super) async fn start(answers: Answers) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (answers, log) = (Arc::new(answers), Arc::clone(&calls));
        let app = Router::new().fallback(move |request: Request| {
            let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
            async move { answer(&answers, &log, request).await }
        });
        Self {
            address: listen(app).await,
            calls,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

async fn answer(answers: &Answers, log: &Mutex<Vec<String>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET {
        log.lock().unwrap().push("skills/download".to_owned());
        return (answers.archive)();
    }
    let body: Bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = &message["id"];
    if message["method"] == "initialize" {
        let server = json!({"name": "hostile", "version": "1"});
        return result(
            id,
            &json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": server}),
        );
    }
    if message["method"] != "tools/call" {
        return axum::http::StatusCode::ACCEPTED.into_response();
    }
    let tool = message["params"]["name"].as_str().unwrap_or_default();
    log.lock().unwrap().push(tool.to_owned());
    match (tool, &answers.instead_of_offer, &answers.instead_of_confirmation) {
        ("install_skill", Some(respond), _) | ("confirm_install", _, Some(respond)) => respond(),
        ("install_skill", None, _) if answers.tool_error.is_some() => {
            let text = json!([{"type": "text", "text": answers.tool_error}]);
            result(id, &json!({"isError": true, "content": text}))
        }
        ("install_skill", None, _) => {
            let mut offer = offer();
            (answers.offer)(&mut offer);
            tool_result(id, &offer)
        }
        ("check_installed", _, _) => tool_result(id, &json!({"skills": [], "next_step": ""})),
        _ => tool_result(id, &json!({"state": "confirmed", "signing_keys": []})),
    }
}

async fn listen(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Another server, which must not be asked.
pub(super) struct Elsewhere {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Elsewhere {
    pub(super) async fn start() -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let app = Router::new().fallback(move |request: Request| {
            let key = request.headers().contains_key("authorization");
            let line = format!("{} {} with a key: {key}", request.method(), request.uri());
            log.lock().unwrap().push(line);
            async { archive(&[Entry::file("SKILL.md", SKILL_MD)]) }
        });
        Self {
            address: listen(app).await,
            requests,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
