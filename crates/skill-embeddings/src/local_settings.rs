//! Settings of a model in a folder.

use std::path::PathBuf;

use serde::Deserialize;

/// A folder with `config.json`, `tokenizer.json`, `model.safetensors` (F32 or BF16) and, if the model does not use the mean of
/// its tokens, `1_Pooling/config.json`, as sentence-transformers writes it. Nothing is loaded from a network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalModelSettings {
    pub folder: PathBuf,
    /// Tokens of a text that are read, 8 to 512; the time grows with it.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: usize,
    /// Text before each query, for example `query: `. Without it, the prompt for queries in `config_sentence_transformers.json`.
    #[serde(default)]
    pub query_prefix: Option<String>,
    /// Text before each document, for example `passage: `. Without it, the prompt for documents in that file.
    #[serde(default)]
    pub document_prefix: Option<String>,
    #[serde(default)]
    pub query_adapter: QueryAdapter,
}

/// Matrices that are added to those of the model when it computes queries, see README.md.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryAdapter {
    /// The one of this crate for the model, if there is one: for all-MiniLM-L6-v2.
    #[default]
    BuiltIn,
    None,
    /// A file that `training` has written for the model.
    File(PathBuf),
}

const fn default_max_tokens() -> usize {
    128
}

impl LocalModelSettings {
    /// With 128 tokens, and the built-in adapter.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            max_tokens: default_max_tokens(),
            query_prefix: None,
            document_prefix: None,
            query_adapter: QueryAdapter::BuiltIn,
        }
    }
}
