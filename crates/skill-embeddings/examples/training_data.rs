//! Writes what `training/train.py` needs: the vectors of a corpus of skills, and wishes and requests with their skills.
//!
//! `SKILLKEEP_CORPUS` is as for the example `eval`. The arguments are the folder of the model, the folder for vectors of
//! `eval`, and the folder for the output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    reason = "a tool of developers should stop if the corpus is not as expected, and uses a part of the evaluation's modules"
)]

#[path = "eval/corpus.rs"]
mod corpus;
#[path = "eval/embedded.rs"]
mod embedded;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use corpus::{Request, Skills, half};
use embedded::Kind;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use skill_embeddings::{
    Embedder as _, Embedding, LocalEmbedder, LocalModelSettings, QueryAdapter, passages_of,
};

/// Two wishes for each of 3,600 skills, which a language model wrote from the skills' descriptions and first headings.
const TRAINING_WISHES: &str = include_str!("../training/wishes.jsonl");

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let corpus = std::env::var_os("SKILLKEEP_CORPUS").map(PathBuf::from);
    let (Some(corpus), Some(model), Some(cache), Some(output)) =
        (corpus, arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: SKILLKEEP_CORPUS=FOLDER training_data MODEL_FOLDER VECTORS_FOLDER OUTPUT_FOLDER");
        return ExitCode::FAILURE;
    };
    let settings = LocalModelSettings {
        query_adapter: QueryAdapter::None,
        ..LocalModelSettings::new(model)
    };
    let embedder = LocalEmbedder::load(&settings).expect("the model can be loaded");
    let skills = Skills::read(&corpus.join("skills-md.tar.gz"));
    fs::create_dir_all(&output).expect("the output folder can be created");
    write_documents(&skills, &embedder, &cache, &output.join("documents.safetensors"));
    let requests = skills.requests(&corpus.join("queries-dev.jsonl.gz"));
    write_queries(&skills, &requests, &output.join("queries.jsonl"));
    ExitCode::SUCCESS
}

/// The vectors of all skills, those of a skill one after the other: of its name, description and headings, then of its
/// passages.
fn write_documents(skills: &Skills, embedder: &LocalEmbedder, cache: &Path, file: &Path) {
    let (mut owners, mut texts) = (Vec::new(), Vec::new());
    for (skill, text) in skills.texts().into_iter().enumerate() {
        let passages = passages_of(&skills.documents[skill].body);
        for text in std::iter::once(text).chain(passages) {
            owners.push(u32::try_from(skill).expect("there are few skills"));
            texts.push(text);
        }
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embedded::embeddings(embedder, cache, Kind::Document, "texts", &texts);
    let numbers = vectors.iter().flat_map(Embedding::as_slice);
    let vector_bytes: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
    let owner_bytes: Vec<u8> = owners.iter().flat_map(|owner| owner.to_le_bytes()).collect();
    let shape = vec![vectors.len(), embedder.dimensions()];
    let tensors = [
        ("vectors", TensorView::new(Dtype::F32, shape, &vector_bytes)),
        (
            "owners",
            TensorView::new(Dtype::U32, vec![owners.len()], &owner_bytes),
        ),
    ];
    let tensors = tensors.map(|(name, tensor)| (name, tensor.expect("the bytes have the shape")));
    let bytes = safetensors::serialize(tensors, None).expect("the tensors have names");
    fs::write(file, bytes).expect("the output folder can be written");
}

fn write_queries(skills: &Skills, requests: &[Request], file: &Path) {
    let wishes: Vec<Request> = TRAINING_WISHES.lines().map(|line| skills.request(line)).collect();
    let tests = skills.wishes();
    let sets = [("wish", &wishes[..]), ("request", requests)];
    let tests = tests.iter().map(|(_, test)| ("test", &test[..]));
    let mut lines = String::new();
    for (set, queries) in sets.into_iter().chain(tests) {
        for query in queries {
            let id = &skills.ids[query.skill];
            let fulfilling = std::iter::once(&query.skill).chain(&query.others);
            let names: Vec<&str> = fulfilling
                .map(|skill| skills.documents[*skill].name.as_str())
                .collect();
            let line = json!({
                "set": set, "text": query.text, "skill": query.skill, "others": query.others, "names": names, "id": id,
                "half": half(id),
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }
    fs::write(file, lines).expect("the output folder can be written");
}
