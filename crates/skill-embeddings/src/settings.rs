//! Which embedder an operator has chosen.

use std::sync::Arc;

use serde::Deserialize;

use crate::embedder::Embedder;
use crate::endpoint::{EndpointEmbedder, EndpointSettings};
use crate::error::SettingsError;
use crate::local_settings::LocalModelSettings;

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
