//! The JSON files of a model's folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::embedder::MAX_DIMENSIONS;
use crate::error::SettingsError;

/// Larger numbers are mistakes; they would only fail later, or take all memory.
const MAX_LAYERS: usize = 48;
const MAX_INTERMEDIATE: usize = 16_384;
/// Maximum size of a JSON file of a model. The largest tokenizers have 20 MB.
pub(super) const MAX_JSON_BYTES: u64 = 64 * 1024 * 1024;

/// The shape of an encoder, from `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ModelConfig {
    model_type: String,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default = "default_positions")]
    position_embedding_type: String,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) vocab_size: usize,
    pub(super) type_vocab_size: usize,
    pub(super) layer_norm_eps: f32,
}

fn default_activation() -> String {
    "gelu".to_owned()
}

fn default_positions() -> String {
    "absolute".to_owned()
}

impl ModelConfig {
    pub(super) fn read(folder: &Path) -> Result<Self, SettingsError> {
        let (file, bytes) = read_file(folder, "config.json", MAX_JSON_BYTES)?;
        let config: Self = parse(&file, &bytes)?;
        config.fault().map_or(Ok(config), |reason| {
            Err(SettingsError::UnsupportedModel { file, reason })
        })
    }

    fn fault(&self) -> Option<String> {
        let texts = [
            ("model_type", &self.model_type, "bert"),
            ("hidden_act", &self.hidden_act, "gelu"),
            (
                "position_embedding_type",
                &self.position_embedding_type,
                "absolute",
            ),
        ];
        for (name, value, supported) in texts {
            if value != supported {
                return Some(format!(
                    "{name} is {value:?}, and only {supported:?} can be computed"
                ));
            }
        }
        let numbers = [
            ("hidden_size", self.hidden_size, MAX_DIMENSIONS),
            ("intermediate_size", self.intermediate_size, MAX_INTERMEDIATE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, self.hidden_size),
            ("type_vocab_size", self.type_vocab_size, MAX_DIMENSIONS),
        ];
        for (name, value, max) in numbers {
            if value == 0 || value > max {
                return Some(format!("{name} is {value}: it must be from 1 to {max}"));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Some("hidden_size is no multiple of num_attention_heads".to_owned());
        }
        None
    }
}

/// How the vectors of the tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    Mean,
    /// The vector of the first token.
    First,
}

#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

impl Pooling {
    /// From `1_Pooling/config.json`; the mean if there is no such file.
    pub(super) fn read(folder: &Path) -> Result<Self, SettingsError> {
        let name = "1_Pooling/config.json";
        if !folder.join(name).exists() {
            return Ok(Self::Mean);
        }
        let (file, bytes) = read_file(folder, name, MAX_JSON_BYTES)?;
        let config: PoolingConfig = parse(&file, &bytes)?;
        match (config.pooling_mode_mean_tokens, config.pooling_mode_cls_token) {
            (true, false) => Ok(Self::Mean),
            (false, true) => Ok(Self::First),
            (true, true) | (false, false) => Err(SettingsError::UnsupportedModel {
                file,
                reason: "only pooling by the mean or by the first token can be computed".to_owned(),
            }),
        }
    }
}

/// Reads a file of at most `max_bytes`. Returns its path too.
pub(super) fn read_file(
    folder: &Path,
    name: &str,
    max_bytes: u64,
) -> Result<(PathBuf, Vec<u8>), SettingsError> {
    let file = folder.join(name);
    let bytes = read_path(&file, max_bytes)?;
    Ok((file, bytes))
}

pub(super) fn read_path(file: &Path, max_bytes: u64) -> Result<Vec<u8>, SettingsError> {
    let failed = |reason: String| SettingsError::ModelFile {
        file: file.to_owned(),
        reason,
    };
    let size = std::fs::metadata(file)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if size > max_bytes {
        return Err(failed(format!(
            "it has {size} bytes, and at most {max_bytes} are read"
        )));
    }
    std::fs::read(file).map_err(|error| failed(error.to_string()))
}

pub(super) fn parse<T: DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T, SettingsError> {
    serde_json::from_slice(bytes).map_err(|error| SettingsError::ModelFile {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}
