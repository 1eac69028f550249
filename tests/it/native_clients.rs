//! The routes for clients that install skills themselves, by an API key in a header and by a secret path.

mod claude_code;
mod clawhub;
mod clawhub_publish;
mod secret_paths;
mod well_known;

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use skillkeep::ids::TenantId;
use skillkeep::server::CallService;
use skillkeep::tenancy::ApiKey;

use crate::command::admin;
use crate::harness::TestDb;
use crate::http_server::serve;

pub(crate) struct Fixture {
    pub(crate) db: TestDb,
    pub(crate) service: Arc<CallService>,
    pub(crate) at: SocketAddr,
    pub(crate) tenant: TenantId,
    pub(crate) key: ApiKey,
}

impl Fixture {
    /// A tenant with a skill of one file and one of several.
    pub(crate) async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let key = db.full_key(tenant).await;
        db.skill(tenant, "one-file", "Has one file.", &[]).await;
        let files: [(&str, &[u8]); 2] = [("scripts/run.sh", b"#!/bin/sh\n"), ("data/a.bin", &[0, 255])];
        db.skill(tenant, "many-files", "Has many files.", &files).await;
        let service = db.service();
        let at = serve(&service).await;
        Self {
            db,
            service,
            at,
            tenant,
            key,
        }
    }

    /// Creates a secret path for the fixture's key; returns it, such as `/d/skeepd_…`.
    pub(crate) fn share(&self, arguments: &[&str]) -> String {
        let create = ["share", "create", "--key", "test", "--tenant", "acme"];
        let path = admin(&self.db, &[&create, arguments].concat()).out;
        assert!(path.starts_with("/d/skeepd_"), "{path}");
        path.trim().to_owned()
    }

    /// A request without a header.
    pub(crate) async fn open(&self, path: &str) -> Response {
        reqwest::get(format!("http://{}{path}", self.at)).await.unwrap()
    }

    pub(crate) async fn with_key(&self, method: Method, key: &ApiKey, path: &str) -> Response {
        let client = reqwest::Client::new();
        let request = client.request(method, format!("http://{}{path}", self.at));
        request.bearer_auth(key.reveal()).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.open(path).await;
        let (status, body) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// The names of the skills in an index.
pub(crate) fn names(index: &Value) -> Vec<&str> {
    let skills = index["skills"].as_array().unwrap();
    skills
        .iter()
        .map(|skill| skill["name"].as_str().unwrap())
        .collect()
}
