//! A model of a few numbers, for tests of local models.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "not every test file uses all of it; a panic fails the test and shows where"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const HIDDEN: usize = 8;
pub(crate) const INTERMEDIATE: usize = 16;
pub(crate) const LAYERS: usize = 2;
pub(crate) const WORDS: [&str; 12] = [
    "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##s", "a", "b", "c", "d", "e", "f",
];
pub(crate) const POSITIONS: usize = 16;

pub(crate) fn shapes() -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    let mut add = |name: String, shape: &[usize]| {
        shapes.insert(name, shape.to_vec());
    };
    add(
        "embeddings.word_embeddings.weight".to_owned(),
        &[WORDS.len(), HIDDEN],
    );
    add(
        "embeddings.position_embeddings.weight".to_owned(),
        &[POSITIONS, HIDDEN],
    );
    add("embeddings.token_type_embeddings.weight".to_owned(), &[2, HIDDEN]);
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..LAYERS {
        for (name, output, input) in [
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", INTERMEDIATE, HIDDEN),
            ("output.dense", HIDDEN, INTERMEDIATE),
        ] {
            add(format!("encoder.layer.{layer}.{name}.weight"), &[output, input]);
            add(format!("encoder.layer.{layer}.{name}.bias"), &[output]);
        }
        norms.push(format!("encoder.layer.{layer}.attention.output.LayerNorm"));
        norms.push(format!("encoder.layer.{layer}.output.LayerNorm"));
    }
    for name in norms {
        add(format!("{name}.weight"), &[HIDDEN]);
        add(format!("{name}.bias"), &[HIDDEN]);
    }
    shapes
}

/// Numbers that differ between all tensors: a formula instead of a file of weights.
pub(crate) fn weights() -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let with_numbers = |(seed, (name, shape)): (usize, (String, Vec<usize>))| {
        let count: usize = shape.iter().product();
        let offset = if name.ends_with("LayerNorm.weight") {
            1.0
        } else {
            0.0
        };
        let number = |at: usize| ((at * 7_919 + seed * 104_729) % 2_001) as f64 - 1_000.0;
        let bytes = (0..count).flat_map(|at| ((number(at) / 2_000.0 + offset) as f32).to_le_bytes());
        (name, (shape, bytes.collect()))
    };
    shapes().into_iter().enumerate().map(with_numbers).collect()
}

pub(crate) fn write_weights(folder: &Path, weights: &BTreeMap<String, (Vec<usize>, Vec<u8>)>) {
    write_weights_as(folder, Dtype::F32, weights);
}

pub(crate) fn write_weights_as(
    folder: &Path,
    dtype: Dtype,
    weights: &BTreeMap<String, (Vec<usize>, Vec<u8>)>,
) {
    let views: Vec<_> = weights
        .iter()
        .map(|(name, (shape, bytes))| (name, TensorView::new(dtype, shape.clone(), bytes).unwrap()))
        .collect();
    fs::write(
        folder.join("model.safetensors"),
        safetensors::serialize(views, None).unwrap(),
    )
    .unwrap();
}

pub(crate) fn write_json(folder: &Path, name: &str, value: &Value) {
    fs::write(folder.join(name), value.to_string()).unwrap();
}

pub(crate) fn config() -> Value {
    json!({
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS, "num_attention_heads": 2, "max_position_embeddings": POSITIONS,
        "vocab_size": WORDS.len(), "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    })
}

pub(crate) fn model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let vocab: BTreeMap<&str, usize> = WORDS.iter().enumerate().map(|(id, word)| (*word, id)).collect();
    let tokenizer = json!({
        "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null, "clean_text": true,
            "handle_chinese_chars": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab},
    });
    write_json(folder.path(), "config.json", &config());
    write_json(folder.path(), "tokenizer.json", &tokenizer);
    write_weights(folder.path(), &weights());
    folder
}

pub(crate) fn assert_near(numbers: &[f32], expected: &[f32]) {
    let difference = numbers
        .iter()
        .zip(expected)
        .map(|(one, other)| (one - other).abs());
    assert!(difference.fold(0.0, f32::max) < 1e-5, "{numbers:?} {expected:?}");
}
