//! The BERT encoder (Devlin et al. 2019), for one text at a time.
//!
//! One text at a time needs no padding and no mask, and bounds the memory. It is hardly slower: with 128 tokens the
//! matrices are large enough for the processor's caches to be used well.

use ndarray::{Array1, Array2, ArrayViewMut1, Axis, Slice, Zip};

use super::adapter::{Adapter, LayerAdapter, LowRank};
use super::config::{ModelConfig, Pooling};
use super::weights::{Layer, Linear, Norm, Weights};

pub(super) struct Encoder {
    weights: Weights,
    heads: usize,
    epsilon: f32,
    pooling: Pooling,
}

impl Encoder {
    pub(super) fn new(weights: Weights, config: &ModelConfig, pooling: Pooling) -> Self {
        Self {
            weights,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            pooling,
        }
    }

    pub(super) fn dimensions(&self) -> usize {
        self.weights.words.ncols()
    }

    /// The vector of a text, not scaled. `None` if there are no tokens, more than positions, or one that is not in the
    /// vocabulary.
    pub(super) fn encode(&self, tokens: &[u32], adapter: Option<&Adapter>) -> Option<Vec<f32>> {
        let mut states = self.embed(tokens)?;
        for (at, layer) in self.weights.layers.iter().enumerate() {
            let adapter = adapter.and_then(|adapter| adapter.layers.get(at));
            states = self.layer(layer, adapter, &states);
        }
        let pooled: Array1<f32> = match self.pooling {
            Pooling::Mean => states.mean_axis(Axis(0))?,
            Pooling::First => states.row(0).to_owned(),
        };
        Some(pooled.to_vec())
    }

    fn embed(&self, tokens: &[u32]) -> Option<Array2<f32>> {
        let vocabulary = self.weights.words.nrows();
        if tokens.is_empty()
            || tokens.len() > self.weights.positions.nrows()
            || tokens.iter().any(|token| *token as usize >= vocabulary)
        {
            return None;
        }
        let rows: Vec<usize> = tokens.iter().map(|token| *token as usize).collect();
        let mut states = self.weights.words.select(Axis(0), &rows);
        states += &self
            .weights
            .positions
            .slice_axis(Axis(0), Slice::from(..tokens.len()));
        self.normalize(&mut states, &self.weights.norm);
        Some(states)
    }

    fn layer(&self, layer: &Layer, adapter: Option<&LayerAdapter>, states: &Array2<f32>) -> Array2<f32> {
        let joined = linear(
            &layer.query_key_value,
            adapter.map(|adapter| &adapter.query_key_value),
            states,
        );
        let mut attended = linear(
            &layer.attention_output,
            adapter.map(|adapter| &adapter.attention_output),
            &self.attention(&joined),
        );
        attended += states;
        self.normalize(&mut attended, &layer.attention_norm);
        let mut intermediate = linear(
            &layer.intermediate,
            adapter.map(|adapter| &adapter.intermediate),
            &attended,
        );
        intermediate.mapv_inplace(gelu);
        let mut output = linear(
            &layer.output,
            adapter.map(|adapter| &adapter.output),
            &intermediate,
        );
        output += &attended;
        self.normalize(&mut output, &layer.output_norm);
        output
    }

    /// The values of all tokens, weighted for each token by how well their keys match its query. Each head does so with
    /// its part of the dimensions. `joined` has queries, keys and values side by side.
    fn attention(&self, joined: &Array2<f32>) -> Array2<f32> {
        let hidden = joined.ncols() / 3;
        let size = hidden / self.heads;
        let scale = 1.0 / (size as f32).sqrt();
        let mut attended = Array2::zeros((joined.nrows(), hidden));
        for head in 0..self.heads {
            let start = head * size;
            let part = |offset: usize| {
                joined.slice_axis(Axis(1), Slice::from(offset + start..offset + start + size))
            };
            let (query, key, value) = (part(0), part(hidden), part(2 * hidden));
            let mut weights = query.dot(&key.t());
            weights.rows_mut().into_iter().for_each(|row| softmax(row, scale));
            attended
                .slice_axis_mut(Axis(1), Slice::from(start..start + size))
                .assign(&weights.dot(&value));
        }
        attended
    }

    fn normalize(&self, states: &mut Array2<f32>, norm: &Norm) {
        for mut row in states.rows_mut() {
            let size = row.len() as f32;
            let mean = row.sum() / size;
            let variance = row.iter().map(|number| (number - mean).powi(2)).sum::<f32>() / size;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            Zip::from(&mut row)
                .and(&norm.weight)
                .and(&norm.bias)
                .for_each(|number, weight, bias| *number = (*number - mean) * factor * weight + bias);
        }
    }
}

fn linear(linear: &Linear, adapter: Option<&LowRank>, states: &Array2<f32>) -> Array2<f32> {
    let mut output = states.dot(&linear.weight) + &linear.bias;
    if let Some(adapter) = adapter {
        output += &states.dot(&adapter.down).dot(&adapter.up);
    }
    output
}

/// Makes scaled numbers positive with the sum 1.
fn softmax(mut row: ArrayViewMut1<'_, f32>, scale: f32) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.mapv_inplace(|number| ((number - largest) * scale).exp());
    let sum = row.sum();
    row /= sum;
}

/// The activation with the error function, not its approximation by tanh.
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}
