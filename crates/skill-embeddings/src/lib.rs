#![doc = include_str!("../README.md")]

mod budget;
mod documents;
mod embedder;
mod endpoint;
mod error;
mod fusion;
#[cfg(feature = "local-model")]
mod local;
mod local_settings;
mod prefixes;
mod settings;
mod text;
mod vectors;

pub use budget::{NoEmbedding, QUERY_BUDGET, QueryEmbedder};
pub use documents::DocumentVectors;
pub use embedder::{EmbedFuture, Embedder, Embedding, MAX_DIMENSIONS, ModelId};
pub use endpoint::{EndpointEmbedder, EndpointKey, EndpointSettings, MAX_BATCH_SIZE};
pub use error::{EmbedError, MAX_MODEL_ID_BYTES, SettingsError, VectorFault};
pub use fusion::{CANDIDATES, COSINE_WEIGHT, Fused, WordAnswer, fuse};
#[cfg(feature = "local-model")]
pub use local::LocalEmbedder;
pub use local_settings::{LocalModelSettings, QueryAdapter};
pub use settings::EmbeddingSettings;
pub use text::{InputHash, MAX_PASSAGES, MAX_TEXT_CHARS, PASSAGE_CHARS, passages_of, text_of};
pub use vectors::{BadVectorBytes, Int8Vectors, Neighbour, QuantizedVector};
