//! Which embedder an operator has chosen.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::embedder::Embedder;
use crate::endpoint::{EndpointEmbedder, EndpointSettings};
use crate::error::SettingsError;

/// The provider of embeddings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(tag = "provider", rename_all = "kebab-case")]
pub enum EmbeddingSettings {
    /// Searches use words alone.
    #[default]
    None,
    Endpoint(EndpointSettings),
    LocalModel(LocalModelSettings),
}

/// A folder with `config.json`, `tokenizer.json`, `model.safetensors` (F32) and, if the model does not use the mean of
/// its tokens, `1_Pooling/config.json`, as sentence-transformers writes it. Nothing is loaded from a network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalModelSettings {
    pub folder: PathBuf,
    /// Tokens of a text that are read, 8 to 512; the time grows with it.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: usize,
}

const fn default_max_tokens() -> usize {
    128
}

impl LocalModelSettings {
    /// With 128 tokens.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            max_tokens: default_max_tokens(),
        }
    }
}

impl EmbeddingSettings {
    /// Sets up the provider; `None` if there is none. Blocks while a local model is read. Sends nothing to an endpoint.
    ///
    /// # Errors
    /// If the settings or the model's files cannot be used.
    pub fn embedder(self) -> Result<Option<Arc<dyn Embedder>>, SettingsError> {
        Ok(match self {
            Self::None => None,
            Self::Endpoint(settings) => Some(Arc::new(EndpointEmbedder::new(settings)?)),
            Self::LocalModel(settings) => Some(local(&settings)?),
        })
    }
}

#[cfg(feature = "local-model")]
fn local(settings: &LocalModelSettings) -> Result<Arc<dyn Embedder>, SettingsError> {
    Ok(Arc::new(crate::local::LocalEmbedder::load(settings)?))
}

#[cfg(not(feature = "local-model"))]
fn local(_: &LocalModelSettings) -> Result<Arc<dyn Embedder>, SettingsError> {
    Err(SettingsError::NoLocalModels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<EmbeddingSettings, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn provider_is_chosen_by_name() {
        assert!(
            parsed(r#"{"provider": "none"}"#)
                .unwrap()
                .embedder()
                .unwrap()
                .is_none()
        );
        let endpoint = parsed(
            r#"{"provider": "endpoint", "url": "http://127.0.0.1:11434/v1", "model": "all-minilm", "dimensions": 384}"#,
        );
        let embedder = endpoint.unwrap().embedder().unwrap().unwrap();
        assert_eq!(
            (embedder.model_id().as_str(), embedder.dimensions()),
            ("all-minilm", 384)
        );
        assert!(parsed(r#"{"provider": "other"}"#).is_err());
    }

    #[test]
    fn missing_local_model_is_an_error() {
        let local = parsed(r#"{"provider": "local-model", "folder": "/nonexistent"}"#).unwrap();
        let message = local.embedder().unwrap_err().to_string();
        let expected = if cfg!(feature = "local-model") {
            "/nonexistent/config.json"
        } else {
            "local-model"
        };
        assert!(message.contains(expected), "{message}");
    }
}
