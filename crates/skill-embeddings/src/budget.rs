//! Embeddings of queries for somebody who waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::embedder::{Embedder, Embedding};
use crate::error::EmbedError;

/// How long a search waits for the embedding of its query. Without it, the search answers with words alone.
pub const QUERY_BUDGET: Duration = Duration::from_millis(150);

/// Why a query has no embedding. The search goes on without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEmbedding {
    #[error("the query was not embedded in time")]
    Late,
    #[error(transparent)]
    Failed(#[from] EmbedError),
}

/// Embeds queries, at most a number of them at once, each within a time.
///
/// Keeps no results: a later query that is answered faster would tell one tenant what another has searched for.
#[derive(Debug, Clone)]
pub struct QueryEmbedder {
    embedder: Arc<dyn Embedder>,
    permits: Arc<Semaphore>,
}

impl QueryEmbedder {
    /// With at most `max_concurrent` computations at once, at least one.
    #[must_use]
    pub fn new(embedder: Arc<dyn Embedder>, max_concurrent: usize) -> Self {
        let permits = max_concurrent.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            embedder,
            permits: Arc::new(Semaphore::new(permits)),
        }
    }

    #[must_use]
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.embedder
    }

    /// Embeds a query if that takes at most `budget`, waiting for other queries included.
    ///
    /// A computation that has begun goes on after the time is over, because a local model cannot be interrupted, and
    /// counts as one of those at once until it ends. A query that is still waiting is dropped.
    ///
    /// # Errors
    /// [`NoEmbedding::Late`] after `budget`; [`NoEmbedding::Failed`] as soon as the embedder fails.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn embed_within(&self, text: &str, budget: Duration) -> Result<Embedding, NoEmbedding> {
        let computation = async {
            let permits = Arc::clone(&self.permits);
            let permit = permits.acquire_owned().await.map_err(|_| EmbedError::Stopped)?;
            let (embedder, text) = (Arc::clone(&self.embedder), text.to_owned());
            let task = tokio::spawn(async move {
                let _permit = permit;
                embedder.embed_query(&text).await
            });
            task.await.unwrap_or(Err(EmbedError::Stopped))
        };
        match tokio::time::timeout(budget, computation).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(NoEmbedding::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::embedder::{EmbedFuture, ModelId};

    #[derive(Debug)]
    struct Slow {
        model: ModelId,
        time: Duration,
        running: AtomicUsize,
        most: AtomicUsize,
        ended: AtomicUsize,
    }

    impl Slow {
        fn new(time: Duration) -> Arc<Self> {
            Arc::new(Self {
                model: ModelId::new("slow").unwrap(),
                time,
                running: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
                ended: AtomicUsize::new(0),
            })
        }
    }

    impl Embedder for Slow {
        fn model_id(&self) -> &ModelId {
            &self.model
        }

        fn dimensions(&self) -> usize {
            2
        }

        fn embed_documents<'a>(&'a self, _: &'a [&'a str]) -> EmbedFuture<'a, Vec<Embedding>> {
            Box::pin(async { Err(EmbedError::Stopped) })
        }

        fn embed_query<'a>(&'a self, text: &'a str) -> EmbedFuture<'a, Embedding> {
            Box::pin(async move {
                let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(running, Ordering::SeqCst);
                tokio::time::sleep(self.time).await;
                self.running.fetch_sub(1, Ordering::SeqCst);
                self.ended.fetch_add(1, Ordering::SeqCst);
                match text {
                    "bad" => Err(EmbedError::Stopped),
                    _ => Embedding::new(vec![1.0, 0.0]).map_err(EmbedError::BadVector),
                }
            })
        }
    }

    #[tokio::test]
    async fn fast_answer_is_returned_and_a_failure_too() {
        let queries = QueryEmbedder::new(Slow::new(Duration::ZERO), 1);
        let budget = Duration::from_secs(60);
        assert_eq!(
            queries.embed_within("good", budget).await.unwrap().dimensions(),
            2
        );
        assert_eq!(
            queries.embed_within("bad", budget).await,
            Err(NoEmbedding::Failed(EmbedError::Stopped))
        );
    }

    #[tokio::test]
    async fn slow_answer_is_given_up_and_its_work_ends() {
        let slow = Slow::new(Duration::from_millis(300));
        let queries = QueryEmbedder::new(slow.clone(), 1);
        let start = Instant::now();
        assert_eq!(
            queries.embed_within("a", Duration::from_millis(20)).await,
            Err(NoEmbedding::Late)
        );
        assert!(
            start.elapsed() < Duration::from_millis(250),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(slow.ended.load(Ordering::SeqCst), 0);
        while slow.ended.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn work_that_goes_on_counts_and_waiting_queries_are_dropped() {
        let slow = Slow::new(Duration::from_millis(100));
        let queries = QueryEmbedder::new(slow.clone(), 2);
        let asked = (0..20).map(|_| {
            let queries = queries.clone();
            tokio::spawn(async move { queries.embed_within("a", Duration::from_millis(10)).await })
        });
        for answer in asked.collect::<Vec<_>>() {
            assert_eq!(answer.await.unwrap(), Err(NoEmbedding::Late));
        }
        let budget = Duration::from_secs(60);
        assert!(queries.embed_within("b", budget).await.is_ok());
        assert_eq!(slow.most.load(Ordering::SeqCst), 2);
        assert!(slow.ended.load(Ordering::SeqCst) <= 3);
    }
}
