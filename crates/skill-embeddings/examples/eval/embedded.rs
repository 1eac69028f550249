//! Embeds texts, and keeps the vectors in a file, because embedding the corpus takes minutes.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use skill_embeddings::{Embedder, Embedding, InputHash};

const THREADS: usize = 2;
const HASH_BYTES: usize = 32;

/// What a text is. A model may expect another prefix for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Document,
    Query,
}

/// The embeddings of texts, in their order. There is a file for each kind, with the hash of each text and its numbers.
pub(crate) fn embeddings(
    embedder: &dyn Embedder,
    cache: &Path,
    kind: Kind,
    title: &str,
    texts: &[&str],
) -> Vec<Embedding> {
    fs::create_dir_all(cache).expect("the folder for the vectors can be created");
    let (model, extension) = match kind {
        Kind::Document => (embedder.model_id(), "vectors"),
        Kind::Query => (embedder.query_model_id(), "queries.vectors"),
    };
    let file = cache.join(format!("{model}.{extension}"));
    let mut known = read(&file, embedder.dimensions());
    let hashes: Vec<InputHash> = texts
        .iter()
        .map(|text| InputHash::of(embedder.model_id(), text))
        .collect();
    let missing: Vec<usize> = (0..texts.len())
        .filter(|at| !known.contains_key(&hashes[*at]))
        .collect();
    let start = Instant::now();
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .expect("the file can be written");
    let (output, next) = (Mutex::new(output), AtomicUsize::new(0));
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                while let Some(at) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let embedding = runtime.block_on(embed(embedder, kind, texts[*at]));
                    let mut bytes = hashes[*at].as_bytes().to_vec();
                    bytes.extend(
                        embedding
                            .as_slice()
                            .iter()
                            .flat_map(|number| number.to_le_bytes()),
                    );
                    output
                        .lock()
                        .unwrap()
                        .write_all(&bytes)
                        .expect("the file can be written");
                    found.lock().unwrap().push((hashes[*at], embedding));
                }
            });
        }
    });
    if !missing.is_empty() {
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        let each = milliseconds * THREADS as f64 / missing.len() as f64;
        println!(
            "embedded   {} {title}, {each:.1} ms each on one of {THREADS} threads",
            missing.len()
        );
    }
    known.extend(found.into_inner().unwrap());
    hashes.iter().map(|hash| known[hash].clone()).collect()
}

async fn embed(embedder: &dyn Embedder, kind: Kind, text: &str) -> Embedding {
    let embedding = match kind {
        Kind::Document => embedder
            .embed_documents(&[text])
            .await
            .map(|mut all| all.swap_remove(0)),
        Kind::Query => embedder.embed_query(text).await,
    };
    embedding.expect("each text is embedded")
}

fn read(file: &Path, dimensions: usize) -> HashMap<InputHash, Embedding> {
    let bytes = fs::read(file).unwrap_or_default();
    let entries = bytes.chunks_exact(HASH_BYTES + dimensions * size_of::<f32>());
    let entry = |entry: &[u8]| {
        let (hash, numbers) = entry.split_first_chunk::<HASH_BYTES>()?;
        let (numbers, _) = numbers.as_chunks::<4>();
        let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Some((InputHash::from_bytes(*hash), Embedding::new(numbers).ok()?))
    };
    entries.filter_map(entry).collect()
}
