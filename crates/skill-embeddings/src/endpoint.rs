//! Embeddings of an endpoint with OpenAI's API: `POST {url}/embeddings`.

mod answer;
mod settings;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Serialize;
use settings::authority;
pub use settings::{EndpointKey, EndpointSettings, MAX_BATCH_SIZE};

use crate::embedder::{EmbedFuture, Embedder, Embedding, ModelId};
use crate::error::{EmbedError, SettingsError};
use crate::prefixes::Prefixes;

/// The wait before the second attempt; doubled before each further one. Without a random part, because a registry makes
/// one request for documents at a time.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait that a server may ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Embeds with a model at an endpoint.
#[derive(Debug)]
pub struct EndpointEmbedder {
    client: Client,
    url: Url,
    /// Host and port, for messages.
    host: String,
    model_id: ModelId,
    prefixes: Prefixes,
    settings: EndpointSettings,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
}

/// A failed attempt.
struct Failure {
    error: EmbedError,
    /// `None` if another attempt would fail too. Otherwise the wait that the server asks for, or zero.
    retry_after: Option<Duration>,
}

impl Failure {
    const fn lasting(error: EmbedError) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }

    const fn passing(error: EmbedError) -> Self {
        Self {
            error,
            retry_after: Some(Duration::ZERO),
        }
    }
}

impl EndpointEmbedder {
    /// Checks the settings and sets up the HTTP client. Sends nothing.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn new(settings: EndpointSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let url = settings.request_url()?;
        let prefixes = settings.prefixes()?;
        Ok(Self {
            client: settings.client(&url)?,
            host: authority(&url),
            url,
            model_id: prefixes.named(ModelId::new(settings.model.as_str())?)?,
            prefixes,
            settings,
        })
    }

    async fn documents(&self, texts: &[&str]) -> Result<Vec<Embedding>, EmbedError> {
        let mut embeddings = Vec::with_capacity(texts.len());
        for batch in texts.chunks(self.settings.batch_size) {
            let batch: Vec<String> = batch
                .iter()
                .map(|text| self.prefixes.before_document(text))
                .collect();
            embeddings.append(&mut self.batch(&batch, self.settings.attempts).await?);
        }
        Ok(embeddings)
    }

    async fn query(&self, text: &str) -> Result<Embedding, EmbedError> {
        let batch = [self.prefixes.before_query(text)];
        let embeddings = self.batch(&batch, 1).await?;
        let returned = embeddings.len();
        let first = embeddings.into_iter().next();
        first.ok_or_else(|| EmbedError::WrongCount {
            host: self.host.clone(),
            expected: 1,
            returned,
        })
    }

    /// Embeds one batch in at most `attempts` attempts.
    async fn batch(&self, texts: &[String], attempts: usize) -> Result<Vec<Embedding>, EmbedError> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let Failure { error, retry_after } = match self.attempt(texts).await {
                Ok(embeddings) => return Ok(embeddings),
                Err(failure) => failure,
            };
            let error = with_attempts(error, attempt);
            // Without a limit, a server could stop the embedding for as long as it likes.
            match retry_after.filter(|asked| attempt < attempts && *asked <= MAX_WAIT) {
                Some(asked) => tokio::time::sleep(asked.max(wait)).await,
                None => return Err(error),
            }
            wait = (wait * 2).min(MAX_WAIT);
        }
        Err(EmbedError::Stopped)
    }

    async fn attempt(&self, texts: &[String]) -> Result<Vec<Embedding>, Failure> {
        let request = Request {
            model: &self.settings.model,
            input: texts,
        };
        let body = serde_json::to_vec(&request).map_err(|error| {
            Failure::lasting(EmbedError::BadAnswer {
                host: self.host.clone(),
                reason: error.to_string(),
            })
        })?;
        let request = self.client.post(self.url.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| self.unanswered(&error))?;
        if let Some(failure) = self.status_failure(&response) {
            return Err(failure);
        }
        let bytes = self.body(response, texts.len()).await?;
        answer::read(&self.host, &bytes, texts.len(), self.settings.dimensions).map_err(Failure::lasting)
    }

    /// Reads the body up to the size that a correct answer can have.
    async fn body(&self, mut response: Response, texts: usize) -> Result<Vec<u8>, Failure> {
        let limit = answer::max_bytes(texts, self.settings.dimensions);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unanswered(&error))? {
            if bytes.len() + chunk.len() > limit {
                return Err(Failure::lasting(EmbedError::AnswerTooLarge {
                    host: self.host.clone(),
                    limit,
                }));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn status_failure(&self, response: &Response) -> Option<Failure> {
        let status = response.status();
        let (host, code) = (self.host.clone(), status.as_u16());
        if status.is_success() {
            return None;
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Some(Failure {
                error: EmbedError::Overloaded {
                    host,
                    status: code,
                    attempts: 1,
                },
                retry_after: Some(retry_after(response)),
            });
        }
        Some(Failure::lasting(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                EmbedError::KeyRejected { host, status: code }
            }
            _ if status.is_redirection() => EmbedError::Redirected { host, status: code },
            _ => EmbedError::Status { host, status: code },
        }))
    }

    /// The failure of a request without a complete answer. A time-out is not tried again: the server still computes.
    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let host = self.host.clone();
        if error.is_timeout() && !error.is_connect() {
            return Failure::lasting(EmbedError::TimedOut {
                host,
                limit: self.settings.timeout(),
            });
        }
        Failure::passing(EmbedError::Unreachable {
            host,
            reason: innermost_cause(error),
        })
    }
}

impl Embedder for EndpointEmbedder {
    fn model_id(&self) -> &ModelId {
        &self.model_id
    }

    fn dimensions(&self) -> usize {
        self.settings.dimensions
    }

    fn embed_documents<'a>(&'a self, texts: &'a [&'a str]) -> EmbedFuture<'a, Vec<Embedding>> {
        Box::pin(self.documents(texts))
    }

    fn embed_query<'a>(&'a self, text: &'a str) -> EmbedFuture<'a, Embedding> {
        Box::pin(self.query(text))
    }
}

fn with_attempts(error: EmbedError, made: usize) -> EmbedError {
    if let EmbedError::Overloaded { host, status, .. } = error {
        let attempts = u32::try_from(made).unwrap_or(u32::MAX);
        return EmbedError::Overloaded {
            host,
            status,
            attempts,
        };
    }
    error
}

/// The wait that the server asks for in seconds; zero if it asks for none or names a date.
fn retry_after(response: &Response) -> Duration {
    let value = response.headers().get(RETRY_AFTER);
    let seconds = value.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs)
}

/// The innermost cause, which is the one that people know, for example "Connection refused".
fn innermost_cause(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
    let innermost = causes.last().map(ToString::to_string);
    innermost.unwrap_or_else(|| "the connection failed".to_owned())
}
