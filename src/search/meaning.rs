//! What a process needs to search by meaning: the provider of embeddings, and which tenants are being embedded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use skill_embeddings::{Embedder, NoEmbedding, QUERY_BUDGET, QuantizedVector, QueryEmbedder};
use tokio_util::sync::CancellationToken;

use crate::ids::TenantId;

/// How long a tenant's skills are left as they are after embedding them has failed for good.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(600);

/// Why a search used words alone, although the process has a provider of embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordsOnly {
    /// The query was not embedded in time.
    Late,
    /// The provider failed, or rejected the key.
    Failed,
}

impl WordsOnly {
    /// For the caller of the search.
    #[must_use]
    pub const fn note(self) -> &'static str {
        match self {
            Self::Late => "Words only: the embedding service did not answer in time.",
            Self::Failed => "Words only: the embedding service failed.",
        }
    }
}

/// The provider of embeddings of a process.
pub struct Meaning {
    queries: QueryEmbedder,
    /// Whether the last query failed: a failure is logged once, until a query succeeds.
    is_failing: AtomicBool,
    jobs: Mutex<HashMap<TenantId, Job>>,
    stopped: CancellationToken,
}

/// What is known of the embedding of one tenant's skills in this process.
#[derive(Debug, Default)]
struct Job {
    is_running: bool,
    /// Whether it was asked for while it ran.
    is_wanted_again: bool,
    /// Whether this process has compared the hashes of all stored vectors.
    is_checked: bool,
    /// Not before this time, because it failed.
    not_before: Option<Instant>,
}

impl Meaning {
    /// Embeds at most `max_concurrent` queries at once; the others wait, and use words alone if that takes too long.
    #[must_use]
    pub fn new(embedder: Arc<dyn Embedder>, max_concurrent: usize) -> Self {
        Self {
            queries: QueryEmbedder::new(embedder, max_concurrent),
            is_failing: AtomicBool::new(false),
            jobs: Mutex::default(),
            stopped: CancellationToken::new(),
        }
    }

    #[must_use]
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        self.queries.embedder()
    }

    /// Ends the embedding of skills in the background. What is stored stays.
    pub fn stop(&self) {
        self.stopped.cancel();
    }

    pub(super) const fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// Embeds a query within [`QUERY_BUDGET`]. A failure is logged once, without the query.
    pub(super) async fn query(&self, text: &str) -> Result<QuantizedVector, WordsOnly> {
        match self.queries.embed_within(text, QUERY_BUDGET).await {
            Ok(embedding) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::warn!("queries are embedded again");
                }
                Ok(QuantizedVector::new(&embedding))
            }
            Err(error) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "searches use words alone: the query could not be embedded");
                }
                Err(match error {
                    NoEmbedding::Late => WordsOnly::Late,
                    NoEmbedding::Failed(_) => WordsOnly::Failed,
                })
            }
        }
    }

    /// Whether the caller is to embed the tenant's skills now. If it is done already, it will be done once more.
    pub(super) fn begin(&self, tenant: TenantId) -> bool {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.entry(tenant).or_default();
        if job.not_before.is_some_and(|time| Instant::now() < time) {
            return false;
        }
        job.is_wanted_again = job.is_running;
        !std::mem::replace(&mut job.is_running, true)
    }

    /// Ends what [`Self::begin`] began. Returns whether the caller is to begin again.
    pub(super) fn end(&self, tenant: TenantId, has_failed: bool) -> bool {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.entry(tenant).or_default();
        job.is_checked |= !has_failed;
        job.not_before = has_failed.then(|| Instant::now() + PAUSE_AFTER_FAILURE);
        job.is_running = std::mem::take(&mut job.is_wanted_again) && !has_failed;
        job.is_running
    }

    /// Whether this process has compared the hashes of all stored vectors of the tenant.
    pub(super) fn is_checked(&self, tenant: TenantId) -> bool {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.get(&tenant).is_some_and(|job| job.is_checked)
    }
}

#[cfg(test)]
mod tests {
    use skill_embeddings::{EndpointEmbedder, EndpointSettings};

    use super::*;

    fn meaning() -> Meaning {
        let settings = EndpointSettings::new("http://127.0.0.1:1", "m", 3);
        Meaning::new(Arc::new(EndpointEmbedder::new(settings).unwrap()), 1)
    }

    #[test]
    fn work_that_is_wanted_meanwhile_is_done_once_more() {
        let (meaning, tenant) = (meaning(), TenantId::new());
        assert!(meaning.begin(tenant));
        assert!(!meaning.begin(tenant) && !meaning.begin(tenant));
        assert!(
            meaning.begin(TenantId::new()),
            "tenants do not wait for each other"
        );
        assert!(!meaning.is_checked(tenant));
        assert!(meaning.end(tenant, false));
        assert!(meaning.is_checked(tenant));
        assert!(!meaning.end(tenant, false));
        assert!(meaning.begin(tenant));
    }

    #[test]
    fn failed_work_pauses() {
        let (meaning, tenant) = (meaning(), TenantId::new());
        assert!(meaning.begin(tenant) && !meaning.begin(tenant));
        assert!(!meaning.end(tenant, true));
        assert!(!meaning.begin(tenant));
    }
}
