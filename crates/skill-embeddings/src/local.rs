//! Embeddings of a model in a folder: a BERT encoder such as MiniLM-L6, computed in this process on the processor.
//!
//! Encoder and tokenizer are written here, with [`ndarray`] for the matrices. Libraries for all models and tokenizers
//! (candle, tract, tokenizers) take minutes to compile, bring up to 150 crates, and use all processors, which searches
//! need.

mod adapter;
mod config;
mod encoder;
mod prompts;
mod tokenizer;
mod weights;

use std::fmt;
use std::sync::Arc;

use adapter::Adapter;
use config::{ModelConfig, Pooling};
use encoder::Encoder;
use sha2::{Digest as _, Sha256};
use tokenizer::Tokenizer;
use weights::Weights;

use crate::embedder::{EmbedFuture, Embedder, Embedding, ModelId};
use crate::error::{EmbedError, SettingsError};
use crate::local_settings::LocalModelSettings;
use crate::prefixes::Prefixes;

/// Fewer tokens hold no text: two of them mark the beginning and the end.
const MIN_TOKENS: usize = 8;
const MAX_TOKENS: usize = 512;
/// Bytes of the hash in the model's name.
const ID_HASH_BYTES: usize = 8;

/// Embeds with a model in memory. Each call uses one processor.
pub struct LocalEmbedder {
    model: Arc<Model>,
    model_id: ModelId,
    query_model_id: ModelId,
    prefixes: Prefixes,
}

struct Model {
    tokenizer: Tokenizer,
    encoder: Encoder,
    query_adapter: Option<Adapter>,
}

/// What a text is: an adapter changes the numbers of queries alone.
#[derive(Clone, Copy)]
enum Kind {
    Document,
    Query,
}

impl fmt::Debug for LocalEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEmbedder")
            .field("model_id", &self.model_id)
            .field("query_model_id", &self.query_model_id)
            .finish_non_exhaustive()
    }
}

impl LocalEmbedder {
    /// Reads the model. Blocks: MiniLM-L6 takes about a second. In memory it is as large as its file, 90 MB, and twice that
    /// while it is read.
    ///
    /// # Errors
    /// If a file is missing or is not of a kind that can be computed.
    pub fn load(settings: &LocalModelSettings) -> Result<Self, SettingsError> {
        let folder = &settings.folder;
        let config = ModelConfig::read(folder)?;
        let max = config.max_position_embeddings.min(MAX_TOKENS);
        if settings.max_tokens < MIN_TOKENS || settings.max_tokens > max {
            return Err(SettingsError::OutOfRange {
                name: "max_tokens",
                value: settings.max_tokens,
                min: MIN_TOKENS,
                max,
            });
        }
        let pooling = Pooling::read(folder)?;
        let (tokenizer, tokenizer_bytes) = Tokenizer::read(folder, settings.max_tokens)?;
        let (weights, weights_bytes) = Weights::read(folder, &config)?;
        let shape = format!("{config:?} {pooling:?} {}", settings.max_tokens);
        let prefixes = prompts::prefixes(settings)?;
        let model_id = model_id(&[shape.as_bytes(), &tokenizer_bytes, &weights_bytes])?;
        let model_id = prefixes.named(model_id)?;
        let (query_adapter, query_model_id) =
            match Adapter::read(&settings.query_adapter, &config, &weights_bytes)? {
                None => (None, model_id.clone()),
                Some((adapter, bytes)) => {
                    let id = ModelId::new(format!("{model_id}+adapter-{}", short_hash(&[&bytes])))?;
                    (Some(adapter), id)
                }
            };
        let encoder = Encoder::new(weights, &config, pooling);
        Ok(Self {
            model: Arc::new(Model {
                tokenizer,
                encoder,
                query_adapter,
            }),
            model_id,
            query_model_id,
            prefixes,
        })
    }

    /// Embeds on a thread for blocking work, so that the runtime's threads stay free.
    async fn embed(&self, text: String, kind: Kind) -> Result<Embedding, EmbedError> {
        let model = Arc::clone(&self.model);
        let task = tokio::task::spawn_blocking(move || model.embed(&text, kind));
        task.await.unwrap_or_else(|error| {
            Err(if error.is_panic() {
                EmbedError::Model {
                    reason: "the computation failed".to_owned(),
                }
            } else {
                EmbedError::Stopped
            })
        })
    }

    async fn documents(&self, texts: &[&str]) -> Result<Vec<Embedding>, EmbedError> {
        let mut embeddings = Vec::with_capacity(texts.len());
        for text in texts {
            embeddings.push(
                self.embed(self.prefixes.before_document(text), Kind::Document)
                    .await?,
            );
        }
        Ok(embeddings)
    }
}

impl Embedder for LocalEmbedder {
    fn model_id(&self) -> &ModelId {
        &self.model_id
    }

    fn query_model_id(&self) -> &ModelId {
        &self.query_model_id
    }

    fn dimensions(&self) -> usize {
        self.model.encoder.dimensions()
    }

    fn embed_documents<'a>(&'a self, texts: &'a [&'a str]) -> EmbedFuture<'a, Vec<Embedding>> {
        Box::pin(self.documents(texts))
    }

    fn embed_query<'a>(&'a self, text: &'a str) -> EmbedFuture<'a, Embedding> {
        Box::pin(self.embed(self.prefixes.before_query(text), Kind::Query))
    }
}

impl Model {
    fn embed(&self, text: &str, kind: Kind) -> Result<Embedding, EmbedError> {
        let failed = |reason: String| EmbedError::Model { reason };
        let tokens = self.tokenizer.tokens(text);
        let adapter = match kind {
            Kind::Document => None,
            Kind::Query => self.query_adapter.as_ref(),
        };
        let numbers = self.encoder.encode(&tokens, adapter).ok_or_else(|| {
            failed("the vocabulary of tokenizer.json is larger than the model's".to_owned())
        })?;
        Embedding::new(numbers).map_err(EmbedError::BadVector)
    }
}

/// A hash of all that changes the numbers of documents: another model in the same folder makes stored embeddings out of date.
fn model_id(parts: &[&[u8]]) -> Result<ModelId, SettingsError> {
    ModelId::new(format!("local-{}", short_hash(parts)))
}

fn short_hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let hash = hasher.finalize();
    hash.iter()
        .take(ID_HASH_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
