//! An adapter for queries: small matrices that are added to those of the model (LoRA, Hu et al. 2021).
//!
//! A query is short and in the words of the person who asks; the text of a skill is neither. With an adapter the model
//! computes queries differently, and texts of skills as before, so that their stored vectors stay as they are. README.md
//! says how the built-in adapter was trained, and `training` trains another.

use std::path::PathBuf;

use ndarray::{Array2, Axis, concatenate};
use safetensors::SafeTensors;
use sha2::{Digest as _, Sha256};

use super::config::{ModelConfig, read_path};
use super::weights::Reader;
use crate::error::SettingsError;
use crate::local_settings::QueryAdapter;

/// Trained for all-MiniLM-L6-v2.
const BUILT_IN: &[u8] = include_bytes!("../../adapters/all-MiniLM-L6-v2.safetensors");
const BUILT_IN_NAME: &str = "all-MiniLM-L6-v2.safetensors (built in)";
/// Maximum size of an adapter's file.
const MAX_ADAPTER_BYTES: u64 = 256 * 1024 * 1024;
/// Larger ranks are mistakes; a file with them is as large as a model.
const MAX_RANK: usize = 256;
/// The entry of the file's metadata with the SHA-256 of the `model.safetensors` that the adapter was trained with.
const MODEL_KEY: &str = "model_sha256";

pub(super) struct Adapter {
    pub(super) layers: Vec<LayerAdapter>,
}

pub(super) struct LayerAdapter {
    pub(super) query_key_value: LowRank,
    pub(super) attention_output: LowRank,
    pub(super) intermediate: LowRank,
    pub(super) output: LowRank,
}

/// `x * down * up` is added to the output of a matrix.
pub(super) struct LowRank {
    /// One column per rank.
    pub(super) down: Array2<f32>,
    /// One row per rank.
    pub(super) up: Array2<f32>,
}

impl Adapter {
    /// Reads the adapter of the settings. Returns the file's bytes too, for a hash of them. `None` if the settings name
    /// none, and the model is not one with a built-in adapter.
    pub(super) fn read(
        choice: &QueryAdapter,
        config: &ModelConfig,
        model: &[u8],
    ) -> Result<Option<(Self, Vec<u8>)>, SettingsError> {
        let (file, bytes) = match choice {
            QueryAdapter::None => return Ok(None),
            QueryAdapter::BuiltIn => (PathBuf::from(BUILT_IN_NAME), BUILT_IN.to_vec()),
            QueryAdapter::File(file) => (file.clone(), read_path(file, MAX_ADAPTER_BYTES)?),
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| SettingsError::ModelFile {
            file: file.clone(),
            reason: error.to_string(),
        })?;
        let trained_with = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(MODEL_KEY));
        if trained_with.is_none_or(|hash| *hash != hex(&Sha256::digest(model))) {
            return match choice {
                QueryAdapter::BuiltIn => Ok(None),
                QueryAdapter::None | QueryAdapter::File(_) => Err(SettingsError::UnsupportedModel {
                    file,
                    reason: format!(
                        "it was trained for another model ({MODEL_KEY} is not that of the folder's model.safetensors): train \
                         one for this model, or use none"
                    ),
                }),
            };
        }
        Ok(Some((Self::parse(file, &bytes, config)?, bytes)))
    }

    fn parse(file: PathBuf, bytes: &[u8], config: &ModelConfig) -> Result<Self, SettingsError> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| SettingsError::ModelFile {
            file: file.clone(),
            reason: error.to_string(),
        })?;
        let reader = Reader { file, tensors };
        let layers = (0..config.num_hidden_layers).map(|index| reader.layer_adapter(index, config));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
        })
    }
}

impl Reader<'_> {
    fn layer_adapter(&self, index: usize, config: &ModelConfig) -> Result<LayerAdapter, SettingsError> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let low_rank = |part: &str, output, input| {
            self.low_rank(&format!("encoder.layer.{index}.{part}"), output, input)
        };
        let parts = [
            low_rank("attention.self.query", hidden, hidden)?,
            low_rank("attention.self.key", hidden, hidden)?,
            low_rank("attention.self.value", hidden, hidden)?,
        ];
        Ok(LayerAdapter {
            query_key_value: self.joined(&parts, hidden)?,
            attention_output: low_rank("attention.output.dense", hidden, hidden)?,
            intermediate: low_rank("intermediate.dense", intermediate, hidden)?,
            output: low_rank("output.dense", hidden, intermediate)?,
        })
    }

    /// Named as in the files of the library PEFT, with its scale already in the numbers.
    fn low_rank(&self, name: &str, output: usize, input: usize) -> Result<LowRank, SettingsError> {
        let down = format!("{name}.lora_A.weight");
        let rank = self.rows(&down)?;
        if rank == 0 || rank > MAX_RANK {
            return Err(self.unsupported(format!(
                "the rank of {name} is {rank}: it must be from 1 to {MAX_RANK}"
            )));
        }
        Ok(LowRank {
            down: self.transposed_matrix(&down, rank, input)?,
            up: self.transposed_matrix(&format!("{name}.lora_B.weight"), output, rank)?,
        })
    }

    /// Query, key and value in one, as the model has them: each rank changes the columns of its own part alone.
    fn joined(&self, parts: &[LowRank; 3], hidden: usize) -> Result<LowRank, SettingsError> {
        let failed = |error: ndarray::ShapeError| self.unsupported(error.to_string());
        let down = concatenate(Axis(1), &parts.each_ref().map(|part| part.down.view())).map_err(failed)?;
        let padded = parts.iter().enumerate().map(|(at, part)| {
            let zeros = |columns: usize| Array2::zeros((part.up.nrows(), columns));
            let (before, after) = (zeros(at * hidden), zeros((parts.len() - 1 - at) * hidden));
            concatenate(Axis(1), &[before.view(), part.up.view(), after.view()])
        });
        let padded = padded.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let rows: Vec<_> = padded.iter().map(|part| part.view()).collect();
        let up = concatenate(Axis(0), &rows).map_err(failed)?;
        Ok(LowRank {
            down: down.as_standard_layout().into_owned(),
            up: up.as_standard_layout().into_owned(),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_adapter_has_the_shape_of_its_model() {
        let config = serde_json::from_value(serde_json::json!({
            "model_type": "bert", "hidden_size": 384, "intermediate_size": 1_536, "num_hidden_layers": 6,
            "num_attention_heads": 12, "max_position_embeddings": 512, "vocab_size": 30_522, "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
        }))
        .unwrap();
        let adapter = Adapter::parse(PathBuf::from(BUILT_IN_NAME), BUILT_IN, &config).unwrap();
        assert_eq!(adapter.layers.len(), 6);
        let (_, header) = SafeTensors::read_metadata(BUILT_IN).unwrap();
        // Of model.safetensors as its authors publish it.
        let model = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
        assert_eq!(header.metadata().as_ref().unwrap()[MODEL_KEY], model);
    }
}
