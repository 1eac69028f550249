//! The weights of an encoder, from `model.safetensors`.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, Axis, concatenate};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::config::{ModelConfig, read_file};
use crate::error::SettingsError;

/// Maximum size of the weights. They are held in memory as they are.
const MAX_WEIGHTS_BYTES: u64 = 2 * 1024 * 1024 * 1024;

pub(super) struct Weights {
    /// One row per token of the vocabulary.
    pub(super) words: Array2<f32>,
    /// One row per position, with the vector of the first token type added.
    pub(super) positions: Array2<f32>,
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
}

pub(super) struct Layer {
    /// Query, key and value in one, so that they are one multiplication.
    pub(super) query_key_value: Linear,
    pub(super) attention_output: Linear,
    pub(super) attention_norm: Norm,
    pub(super) intermediate: Linear,
    pub(super) output: Linear,
    pub(super) output_norm: Norm,
}

/// `x * weight + bias`.
pub(super) struct Linear {
    /// One column per output. The file has one row per output; multiplying with that takes almost twice as long, because
    /// the library copies the numbers of a column one by one.
    pub(super) weight: Array2<f32>,
    pub(super) bias: Array1<f32>,
}

pub(super) struct Norm {
    pub(super) weight: Array1<f32>,
    pub(super) bias: Array1<f32>,
}

impl Weights {
    /// Reads the weights. Returns the file's bytes too, for a hash of them.
    pub(super) fn read(folder: &Path, config: &ModelConfig) -> Result<(Self, Vec<u8>), SettingsError> {
        let (file, bytes) = read_file(folder, "model.safetensors", MAX_WEIGHTS_BYTES)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| SettingsError::ModelFile {
            file: file.clone(),
            reason: error.to_string(),
        })?;
        let weights = Reader { file, tensors }.weights(config)?;
        Ok((weights, bytes))
    }
}

/// Reads tensors of a file by name and shape.
pub(super) struct Reader<'a> {
    pub(super) file: PathBuf,
    pub(super) tensors: SafeTensors<'a>,
}

impl Reader<'_> {
    fn weights(&self, config: &ModelConfig) -> Result<Weights, SettingsError> {
        let hidden = config.hidden_size;
        let types = self.matrix(
            "embeddings.token_type_embeddings.weight",
            config.type_vocab_size,
            hidden,
        )?;
        let mut positions = self.matrix(
            "embeddings.position_embeddings.weight",
            config.max_position_embeddings,
            hidden,
        )?;
        positions += &types.row(0);
        let layers = (0..config.num_hidden_layers).map(|index| self.layer(index, config));
        Ok(Weights {
            words: self.matrix("embeddings.word_embeddings.weight", config.vocab_size, hidden)?,
            positions,
            norm: self.norm("embeddings.LayerNorm", hidden)?,
            layers: layers.collect::<Result<_, _>>()?,
        })
    }

    fn layer(&self, index: usize, config: &ModelConfig) -> Result<Layer, SettingsError> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let linear = |part: &str, output, input| self.linear(&name(part), output, input);
        let parts = [
            linear("attention.self.query", hidden, hidden)?,
            linear("attention.self.key", hidden, hidden)?,
            linear("attention.self.value", hidden, hidden)?,
        ];
        let joined = |reason: ndarray::ShapeError| self.unsupported(reason.to_string());
        let weight =
            concatenate(Axis(1), &parts.each_ref().map(|part| part.weight.view())).map_err(joined)?;
        let weight = weight.as_standard_layout().into_owned();
        let bias = concatenate(Axis(0), &parts.each_ref().map(|part| part.bias.view())).map_err(joined)?;
        Ok(Layer {
            query_key_value: Linear { weight, bias },
            attention_output: linear("attention.output.dense", hidden, hidden)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), hidden)?,
            intermediate: linear("intermediate.dense", intermediate, hidden)?,
            output: linear("output.dense", hidden, intermediate)?,
            output_norm: self.norm(&name("output.LayerNorm"), hidden)?,
        })
    }

    fn linear(&self, name: &str, output: usize, input: usize) -> Result<Linear, SettingsError> {
        Ok(Linear {
            weight: self.transposed_matrix(&format!("{name}.weight"), output, input)?,
            bias: self.vector(&format!("{name}.bias"), output)?,
        })
    }

    fn norm(&self, name: &str, size: usize) -> Result<Norm, SettingsError> {
        Ok(Norm {
            weight: self.vector(&format!("{name}.weight"), size)?,
            bias: self.vector(&format!("{name}.bias"), size)?,
        })
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, SettingsError> {
        let numbers = self.numbers(name, &[rows, columns])?;
        Array2::from_shape_vec((rows, columns), numbers).map_err(|error| self.unsupported(error.to_string()))
    }

    pub(super) fn transposed_matrix(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Array2<f32>, SettingsError> {
        let matrix = self.matrix(name, rows, columns)?;
        Ok(matrix.t().as_standard_layout().into_owned())
    }

    fn vector(&self, name: &str, size: usize) -> Result<Array1<f32>, SettingsError> {
        self.numbers(name, &[size]).map(Array1::from_vec)
    }

    /// The numbers of a tensor, with 32 or 16 bits (the first half of the 32).
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, SettingsError> {
        let tensor = self.tensor(name)?;
        let unsupported = || {
            self.unsupported(format!(
                "the tensor {name} is {:?} {:?}, and F32 or BF16 {shape:?} is needed",
                tensor.dtype(),
                tensor.shape()
            ))
        };
        if tensor.shape() != shape {
            return Err(unsupported());
        }
        if tensor.dtype() == Dtype::F32 {
            let (numbers, _) = tensor.data().as_chunks::<4>();
            return Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect());
        }
        if tensor.dtype() == Dtype::BF16 {
            let (numbers, _) = tensor.data().as_chunks::<2>();
            let number = |[low, high]: &[u8; 2]| f32::from_le_bytes([0, 0, *low, *high]);
            return Ok(numbers.iter().map(number).collect());
        }
        Err(unsupported())
    }

    /// The first dimension of a tensor.
    pub(super) fn rows(&self, name: &str) -> Result<usize, SettingsError> {
        Ok(self.tensor(name)?.shape().first().copied().unwrap_or(0))
    }

    /// Some models write `bert.` before the names.
    fn tensor(&self, name: &str) -> Result<TensorView<'_>, SettingsError> {
        self.tensors
            .tensor(name)
            .or_else(|_| self.tensors.tensor(&format!("bert.{name}")))
            .map_err(|_| self.unsupported(format!("there is no tensor {name}")))
    }

    pub(super) fn unsupported(&self, reason: String) -> SettingsError {
        SettingsError::UnsupportedModel {
            file: self.file.clone(),
            reason,
        }
    }
}
