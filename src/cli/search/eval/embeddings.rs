//! The embeddings of skills and requests. Computing them takes minutes, so they can be kept in a file.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use skill_embeddings::{Embedder, Embedding, InputHash};

use crate::error::{CliError, CliErrorKind};

const HASH_BYTES: usize = 32;
/// Texts of one request.
const BATCH_SIZE: usize = 16;

/// What a text is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Document,
    Query,
}

/// Embeddings by the hash of their text.
pub(super) struct Embeddings<'a> {
    embedder: &'a dyn Embedder,
    known: HashMap<InputHash, Embedding>,
    file: Option<File>,
}

impl<'a> Embeddings<'a> {
    /// Reads those that the file has. It is created if it is missing: for each embedding, the hash of its text and its 32-bit
    /// numbers.
    pub(super) fn open(embedder: &'a dyn Embedder, cache: Option<&Path>) -> Result<Self, CliError> {
        let mut known = HashMap::new();
        let mut file = None;
        if let Some(path) = cache {
            let failed = |error: std::io::Error| {
                CliError::new(
                    CliErrorKind::Usage,
                    format!("cannot use {}: {error}", path.display()),
                )
            };
            let options = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(failed)?;
            file = Some(options);
            known = read(&fs::read(path).map_err(failed)?, embedder.dimensions());
        }
        Ok(Self {
            embedder,
            known,
            file,
        })
    }

    pub(super) fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    /// The embeddings of texts, in their order.
    pub(super) async fn of(&mut self, texts: &[&str], kind: Kind) -> Result<Vec<Embedding>, CliError> {
        let hashes: Vec<InputHash> = texts.iter().map(|text| self.hash(text, kind)).collect();
        let missing: Vec<(InputHash, &str)> = hashes
            .iter()
            .copied()
            .zip(texts.iter().copied())
            .filter(|(hash, _)| !self.known.contains_key(hash))
            .collect();
        let progress = bar(missing.len());
        let embedder = self.embedder;
        let batches = missing.chunks(BATCH_SIZE).map(|batch| async move {
            let texts: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
            (batch, embed(embedder, &texts, kind).await)
        });
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut computed = futures::stream::iter(batches).buffer_unordered(processors);
        while let Some((batch, embeddings)) = computed.next().await {
            let embeddings = embeddings.map_err(|error| {
                CliError::new(
                    CliErrorKind::Unavailable,
                    format!("texts cannot be embedded: {error}"),
                )
            })?;
            progress.inc(batch.len() as u64);
            for ((hash, _), embedding) in batch.iter().zip(embeddings) {
                write(self.file.as_mut(), hash, &embedding)?;
                self.known.insert(*hash, embedding);
            }
        }
        progress.finish_and_clear();
        let found = hashes.iter().map(|hash| self.known.get(hash).cloned());
        found.collect::<Option<Vec<Embedding>>>().ok_or_else(|| {
            CliError::new(
                CliErrorKind::Internal,
                "the provider returned fewer embeddings than texts",
            )
        })
    }

    /// Requests and skills are embedded in different ways.
    fn hash(&self, text: &str, kind: Kind) -> InputHash {
        match kind {
            Kind::Document => InputHash::of(self.embedder.model_id(), text),
            Kind::Query => InputHash::of(self.embedder.query_model_id(), &format!("query\n{text}")),
        }
    }
}

async fn embed(
    embedder: &dyn Embedder,
    texts: &[&str],
    kind: Kind,
) -> Result<Vec<Embedding>, skill_embeddings::EmbedError> {
    match kind {
        Kind::Document => embedder.embed_documents(texts).await,
        Kind::Query => {
            let mut embeddings = Vec::with_capacity(texts.len());
            for text in texts {
                embeddings.push(embedder.embed_query(text).await?);
            }
            Ok(embeddings)
        }
    }
}

fn write(file: Option<&mut File>, hash: &InputHash, embedding: &Embedding) -> Result<(), CliError> {
    let Some(file) = file else {
        return Ok(());
    };
    let mut bytes = hash.as_bytes().to_vec();
    for number in embedding.as_slice() {
        bytes.extend(number.to_le_bytes());
    }
    file.write_all(&bytes).map_err(|error| {
        CliError::new(
            CliErrorKind::Usage,
            format!("cannot keep the embeddings: {error}"),
        )
    })
}

fn read(bytes: &[u8], dimensions: usize) -> HashMap<InputHash, Embedding> {
    let entry = |entry: &[u8]| {
        let (hash, numbers) = entry.split_first_chunk::<HASH_BYTES>()?;
        let (numbers, _) = numbers.as_chunks::<4>();
        let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Some((InputHash::from_bytes(*hash), Embedding::new(numbers).ok()?))
    };
    let entries = bytes.chunks_exact(HASH_BYTES + dimensions * size_of::<f32>());
    entries.filter_map(entry).collect()
}

/// Shown only on a terminal.
fn bar(texts: usize) -> ProgressBar {
    let bar = ProgressBar::new(texts as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} texts, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
