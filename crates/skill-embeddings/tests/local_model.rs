//! The local encoder with a tiny model, whose expected numbers were computed with NumPy.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic fails the test and shows where"
)]

mod tiny_model;

use std::fs;
use std::path::Path;

use safetensors::Dtype;
use serde_json::json;
use skill_embeddings::{Embedder as _, LocalEmbedder, LocalModelSettings};
use tiny_model::{
    HIDDEN, POSITIONS, assert_near, config, model, weights, write_json, write_weights, write_weights_as,
};

/// For the text "playing a". NumPy, float64: embeddings, two layers with two heads, and the mean or the first token.
const MEAN: [f32; HIDDEN] = [
    -0.427343, 0.298418, -0.261674, -0.279416, 0.711716, -0.011054, -0.175427, 0.210571,
];
const FIRST: [f32; HIDDEN] = [
    -0.446938, 0.254912, -0.272814, -0.256951, 0.71393, -0.033918, -0.155152, 0.244738,
];

fn pooling(folder: &Path, mean: bool, first: bool) {
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    let config = json!({"pooling_mode_mean_tokens": mean, "pooling_mode_cls_token": first});
    write_json(folder, "1_Pooling/config.json", &config);
}

fn load(folder: &Path) -> Result<LocalEmbedder, String> {
    let settings = LocalModelSettings {
        max_tokens: POSITIONS,
        ..LocalModelSettings::new(folder)
    };
    LocalEmbedder::load(&settings).map_err(|error| error.to_string())
}

#[tokio::test]
async fn numbers_are_those_of_numpy() {
    let folder = model();
    let embedder = load(folder.path()).unwrap();
    assert_eq!(embedder.dimensions(), HIDDEN);
    let embedding = embedder.embed_query("Playing a").await.unwrap();
    assert_near(embedding.as_slice(), &MEAN);
    let documents = embedder.embed_documents(&["b", "playing A"]).await.unwrap();
    assert_near(documents[1].as_slice(), &MEAN);
    pooling(folder.path(), false, true);
    let embedding = load(folder.path())
        .unwrap()
        .embed_query("Playing a")
        .await
        .unwrap();
    assert_near(embedding.as_slice(), &FIRST);
}

#[tokio::test]
async fn weights_of_16_bits_are_the_first_half_of_those_of_32() {
    let folder = model();
    let mut of_32 = weights();
    for (_, bytes) in of_32.values_mut() {
        bytes.chunks_exact_mut(4).for_each(|number| number[..2].fill(0));
    }
    let mut of_16 = of_32.clone();
    for (_, bytes) in of_16.values_mut() {
        *bytes = bytes
            .chunks_exact(4)
            .flat_map(|number| number[2..].to_vec())
            .collect();
    }
    write_weights(folder.path(), &of_32);
    let expected = load(folder.path()).unwrap().embed_query("playing").await.unwrap();
    write_weights_as(folder.path(), Dtype::BF16, &of_16);
    let found = load(folder.path()).unwrap().embed_query("playing").await.unwrap();
    assert_eq!(found, expected);
    write_weights_as(folder.path(), Dtype::F16, &of_16);
    let message = load(folder.path()).unwrap_err();
    assert!(message.contains("F32 or BF16"), "{message}");
}

#[tokio::test]
async fn any_text_has_an_embedding() {
    let folder = model();
    let embedder = load(folder.path()).unwrap();
    for text in [
        "",
        " \n\0",
        "\u{1f600}\u{5b57}",
        &"a ".repeat(10_000),
        &"x".repeat(100_000),
    ] {
        assert_eq!(embedder.embed_query(text).await.unwrap().dimensions(), HIDDEN);
    }
}

#[test]
fn model_id_changes_with_the_files() {
    let folder = model();
    let first = load(folder.path()).unwrap().model_id().clone();
    assert_eq!(load(folder.path()).unwrap().model_id(), &first);
    let mut changed = weights();
    changed.get_mut("embeddings.LayerNorm.bias").unwrap().1[0] ^= 1;
    write_weights(folder.path(), &changed);
    assert_ne!(load(folder.path()).unwrap().model_id(), &first);
}

#[test]
fn unusable_files_are_named() {
    let folder = model();
    let path = folder.path();
    for (key, value) in [
        ("model_type", json!("roberta")),
        ("hidden_act", json!("relu")),
        ("num_attention_heads", json!(3)),
        ("num_hidden_layers", json!(3)),
        ("vocab_size", json!(13)),
        ("hidden_size", json!(0)),
        ("intermediate_size", json!(u64::MAX)),
    ] {
        let mut changed = config();
        changed[key] = value;
        write_json(path, "config.json", &changed);
        let message = load(path).unwrap_err();
        assert!(message.contains("not supported"), "{key}: {message}");
    }
    write_json(path, "config.json", &config());
    pooling(path, true, true);
    assert!(load(path).unwrap_err().contains("1_Pooling"));
    pooling(path, true, false);
    let whole = fs::read(path.join("model.safetensors")).unwrap();
    for length in [0, 7, 100, whole.len() - 1] {
        fs::write(path.join("model.safetensors"), &whole[..length]).unwrap();
        assert!(load(path).unwrap_err().contains("model.safetensors"), "{length}");
    }
    fs::remove_file(path.join("tokenizer.json")).unwrap();
    assert!(load(path).unwrap_err().contains("tokenizer.json"));
}

#[test]
fn number_of_tokens_is_bounded_by_the_positions() {
    let folder = model();
    for max_tokens in [0, 7, POSITIONS + 1] {
        let settings = LocalModelSettings {
            max_tokens,
            ..LocalModelSettings::new(folder.path())
        };
        let message = LocalEmbedder::load(&settings).unwrap_err().to_string();
        assert!(message.contains("max_tokens"), "{message}");
    }
}

#[tokio::test]
async fn prompts_of_the_folder_precede_texts() {
    let folder = model();
    let plain = load(folder.path()).unwrap();
    let (query, document) = ("b playing a", "a playing a");
    let expected = (
        plain.embed_query(query).await.unwrap(),
        plain.embed_query(document).await.unwrap(),
    );
    let name = "config_sentence_transformers.json";
    for prompts in [
        json!({"prompts": {"query": "b ", "passage": "a "}}),
        json!({"prompts": {"query": "b ", "other": "a "}, "default_prompt_name": "other"}),
    ] {
        write_json(folder.path(), name, &prompts);
        let embedder = load(folder.path()).unwrap();
        let found = embedder.embed_query("playing a").await.unwrap();
        assert_eq!(found, expected.0, "{prompts}");
        let found = embedder.embed_documents(&["playing a"]).await.unwrap();
        assert_eq!(found[0], expected.1, "{prompts}");
        assert_ne!(embedder.model_id(), plain.model_id());
    }
    for nothing in [
        json!({"__version__": {}}),
        json!({"prompts": {}, "default_prompt_name": null}),
    ] {
        write_json(folder.path(), name, &nothing);
        assert_eq!(load(folder.path()).unwrap().model_id(), plain.model_id());
    }
    write_json(folder.path(), name, &json!({"prompts": {"query": 1}}));
    assert!(load(folder.path()).unwrap_err().contains(name));
}

#[tokio::test]
async fn prefixes_of_the_settings_replace_prompts() {
    let folder = model();
    let plain = load(folder.path()).unwrap();
    let prompts = json!({"prompts": {"query": "a ", "document": "a "}});
    write_json(folder.path(), "config_sentence_transformers.json", &prompts);
    let settings = LocalModelSettings {
        max_tokens: POSITIONS,
        query_prefix: Some("b ".to_owned()),
        document_prefix: Some(String::new()),
        ..LocalModelSettings::new(folder.path())
    };
    let embedder = LocalEmbedder::load(&settings).unwrap();
    let found = embedder.embed_query("playing").await.unwrap();
    assert_eq!(found, plain.embed_query("b playing").await.unwrap());
    let found = embedder.embed_documents(&["playing"]).await.unwrap();
    assert_eq!(found[0], plain.embed_query("playing").await.unwrap());
    let settings = LocalModelSettings {
        query_prefix: Some("x".repeat(501)),
        ..settings
    };
    let message = LocalEmbedder::load(&settings).unwrap_err().to_string();
    assert!(message.contains("query_prefix"), "{message}");
}
