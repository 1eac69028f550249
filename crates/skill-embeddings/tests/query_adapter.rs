//! Adapters that change how a local model computes queries.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic fails the test and shows where"
)]

mod tiny_model;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sha2::{Digest as _, Sha256};
use skill_embeddings::{Embedder as _, LocalEmbedder, LocalModelSettings, QueryAdapter};
use tiny_model::{HIDDEN, POSITIONS, assert_near, model, shapes, weights, write_weights};

const RANK: usize = 2;

/// An adapter with numbers of a formula, as its file and as what it adds to each matrix.
struct TestAdapter {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl TestAdapter {
    fn new() -> Self {
        let mut tensors = BTreeMap::new();
        for (name, shape) in shapes() {
            let (Some(name), &[output, input]) = (name.strip_suffix(".weight"), shape.as_slice()) else {
                continue;
            };
            if !name.starts_with("encoder.") {
                continue;
            }
            let seed = tensors.len();
            // Eighths, which 16 bits hold exactly.
            let number = |at: usize| ((at * 31 + seed * 17) % 7) as f32 / 8.0 - 0.375;
            let numbers = |count: usize| (0..count).map(number).collect::<Vec<f32>>();
            tensors.insert(
                format!("{name}.lora_A.weight"),
                (vec![RANK, input], numbers(RANK * input)),
            );
            tensors.insert(
                format!("{name}.lora_B.weight"),
                (vec![output, RANK], numbers(output * RANK)),
            );
        }
        Self { tensors }
    }

    fn write(&self, file: &Path, dtype: Dtype, model: Option<&[u8]>) {
        let bytes: BTreeMap<&String, Vec<u8>> = self
            .tensors
            .iter()
            .map(|(name, (_, numbers))| {
                let skipped = if dtype == Dtype::BF16 { 2 } else { 0 };
                let bytes = numbers
                    .iter()
                    .flat_map(|number| number.to_le_bytes()[skipped..].to_vec());
                (name, bytes.collect())
            })
            .collect();
        let views: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, (shape, _))| {
                let view = TensorView::new(dtype, shape.clone(), &bytes[name]).unwrap();
                (name, view)
            })
            .collect();
        let hash = |model: &[u8]| {
            let hash = Sha256::digest(model);
            hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let metadata = model.map(|model| [("model_sha256".to_owned(), hash(model))].into());
        fs::write(file, safetensors::serialize(views, metadata).unwrap()).unwrap();
    }

    /// The model's weights with those of the adapter added.
    fn merged(&self) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
        let mut merged = weights();
        for (name, (shape, bytes)) in &mut merged {
            let name = name.trim_end_matches(".weight");
            let Some((_, down)) = self.tensors.get(&format!("{name}.lora_A.weight")) else {
                continue;
            };
            let (_, up) = &self.tensors[&format!("{name}.lora_B.weight")];
            let input = shape[1];
            let (numbers, _) = bytes.as_chunks::<4>();
            let sums = numbers.iter().enumerate().map(|(at, number)| {
                let (row, column) = (at / input, at % input);
                let products = (0..RANK).map(|rank| up[row * RANK + rank] * down[rank * input + column]);
                f32::from_le_bytes(*number) + products.sum::<f32>()
            });
            *bytes = sums.flat_map(f32::to_le_bytes).collect();
        }
        merged
    }
}

fn load_with(folder: &Path, query_adapter: QueryAdapter) -> Result<LocalEmbedder, String> {
    let settings = LocalModelSettings {
        max_tokens: POSITIONS,
        query_adapter,
        ..LocalModelSettings::new(folder)
    };
    LocalEmbedder::load(&settings).map_err(|error| error.to_string())
}

#[tokio::test]
async fn adapter_changes_queries_as_if_its_numbers_were_the_models() {
    let folder = model();
    let plain = load_with(folder.path(), QueryAdapter::None).unwrap();
    let text = "playing a b c";
    let adapter = TestAdapter::new();
    let merged = model();
    write_weights(merged.path(), &adapter.merged());
    let expected = load_with(merged.path(), QueryAdapter::None)
        .unwrap()
        .embed_query(text)
        .await
        .unwrap();
    assert_ne!(expected, plain.embed_query(text).await.unwrap());
    let weights = fs::read(folder.path().join("model.safetensors")).unwrap();
    let file = folder.path().join("adapter.safetensors");
    let mut names = Vec::new();
    for dtype in [Dtype::F32, Dtype::BF16] {
        adapter.write(&file, dtype, Some(&weights));
        let embedder = load_with(folder.path(), QueryAdapter::File(file.clone())).unwrap();
        let found = embedder.embed_query(text).await.unwrap();
        assert_near(found.as_slice(), expected.as_slice());
        // Stored vectors of documents stay valid.
        assert_eq!(
            embedder.embed_documents(&[text]).await.unwrap(),
            plain.embed_documents(&[text]).await.unwrap()
        );
        assert_eq!(embedder.model_id(), plain.model_id());
        names.push(embedder.query_model_id().clone());
    }
    names.push(plain.query_model_id().clone());
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn other_models_have_no_built_in_adapter() {
    let folder = model();
    let built_in = load_with(folder.path(), QueryAdapter::BuiltIn).unwrap();
    let none = load_with(folder.path(), QueryAdapter::None).unwrap();
    assert_eq!(built_in.query_model_id(), none.query_model_id());
    assert_eq!(
        built_in.embed_query("a b").await.unwrap(),
        none.embed_query("a b").await.unwrap()
    );
}

#[test]
fn unusable_adapters_are_named() {
    let folder = model();
    let weights = fs::read(folder.path().join("model.safetensors")).unwrap();
    let file = folder.path().join("adapter.safetensors");
    let load = || load_with(folder.path(), QueryAdapter::File(file.clone())).unwrap_err();
    assert!(load().contains("adapter.safetensors"));
    for model in [None, Some(&b"other weights"[..])] {
        TestAdapter::new().write(&file, Dtype::F32, model);
        let message = load();
        assert!(
            message.contains("adapter.safetensors") && message.contains("model_sha256"),
            "{message}"
        );
    }
    let name = "encoder.layer.1.output.dense.lora_B.weight";
    let mut without = TestAdapter::new();
    without.tensors.remove(name);
    without.write(&file, Dtype::F32, Some(&weights));
    assert!(load().contains(name));
    let mut wide = TestAdapter::new();
    wide.tensors.get_mut(name).unwrap().0 = vec![RANK, HIDDEN];
    wide.write(&file, Dtype::F32, Some(&weights));
    assert!(load().contains(name));
    let name = "encoder.layer.0.attention.self.key.lora_A.weight";
    for rank in [0, 257] {
        let mut other = TestAdapter::new();
        other
            .tensors
            .insert(name.to_owned(), (vec![rank, HIDDEN], vec![0.5; rank * HIDDEN]));
        other.write(&file, Dtype::F32, Some(&weights));
        let message = load();
        assert!(
            message.contains("rank") && message.contains(&rank.to_string()),
            "{message}"
        );
    }
    TestAdapter::new().write(&file, Dtype::F32, Some(&weights));
    let whole = fs::read(&file).unwrap();
    for length in [0, 7, 100, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(load().contains("adapter.safetensors"), "{length}");
    }
}
