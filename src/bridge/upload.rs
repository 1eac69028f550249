//! Sends an archive to the upload route of a registry.

use axum::http::header;
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::timeout;

use super::error::{describe, tls_cause};
use super::remote::Remote;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// An archive to publish.
#[derive(Debug)]
pub struct ArchiveUpload {
    pub bytes: Vec<u8>,
    /// `name`, `skill`, `version`, `note`, `draft`: see the route.
    pub query: Vec<(&'static str, String)>,
}

/// The registry's answer: its status, and a JSON object.
#[derive(Debug)]
pub struct UploadAnswer {
    pub status: u16,
    pub body: Value,
}

/// Why the registry gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UploadFailure {
    #[error(
        "the registry at {host} is unreachable: {reason}; nothing was published. Check the address and the network"
    )]
    Unreachable { host: String, reason: String },
    /// Publishing the same files again changes nothing, so the command can be repeated.
    #[error("the registry at {host} did not complete its answer: {reason}; run the command again")]
    Interrupted { host: String, reason: String },
    #[error(
        "this machine does not trust the certificate of {host}: {reason}; if your company signs its own certificates, use \
         --ca-file"
    )]
    Certificate { host: String, reason: String },
    #[error(
        "the server at {host} is not a registry that takes archives (status {status}); check the address"
    )]
    NotARegistry { host: String, status: StatusCode },
}

impl Remote {
    /// Publishes the skill in an archive.
    ///
    /// # Errors
    /// [`UploadFailure`]. An answer that refuses the archive is no error.
    pub async fn upload(&self, upload: ArchiveUpload) -> Result<UploadAnswer, UploadFailure> {
        let mut url = self.upload_url();
        url.query_pairs_mut().extend_pairs(&upload.query);
        let sending = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(
                header::USER_AGENT,
                concat!("skillkeep/", env!("CARGO_PKG_VERSION")),
            )
            .body(upload.bytes)
            .send();
        match timeout(self.timeouts.response, sending).await {
            Ok(Ok(response)) => self.read_answer(response).await,
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => Err(self.interrupted("no answer in time")),
        }
    }

    /// `/skills` in the place of `/mcp`.
    fn upload_url(&self) -> Url {
        let mut url = self.url.clone();
        let folder = self.url.path().trim_end_matches('/');
        let folder = folder.strip_suffix("/mcp").unwrap_or(folder);
        url.set_path(&format!("{folder}/skills"));
        url
    }

    async fn read_answer(&self, mut response: Response) -> Result<UploadAnswer, UploadFailure> {
        let status = response.status();
        let not_a_registry = || UploadFailure::NotARegistry {
            host: self.host.clone(),
            status,
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err(not_a_registry());
            }
        }
        let body: Value = serde_json::from_slice(&bytes).map_err(|_| not_a_registry())?;
        if !body.is_object() || status == StatusCode::NOT_FOUND && body.get("error").is_none() {
            return Err(not_a_registry());
        }
        Ok(UploadAnswer {
            status: status.as_u16(),
            body,
        })
    }

    fn interrupted(&self, reason: &str) -> UploadFailure {
        UploadFailure::Interrupted {
            host: self.host.clone(),
            reason: reason.to_owned(),
        }
    }

    fn failure(&self, error: &reqwest::Error) -> UploadFailure {
        let host = self.host.clone();
        if let Some(tls) = tls_cause(error) {
            let reason = tls.to_string();
            return UploadFailure::Certificate { host, reason };
        }
        let reason = describe(error);
        if error.is_connect() {
            UploadFailure::Unreachable { host, reason }
        } else {
            UploadFailure::Interrupted { host, reason }
        }
    }
}
