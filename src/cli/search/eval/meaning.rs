//! The rankings that use meaning, with several weights.

use std::collections::BTreeMap;

use agent_skills::SkillDocument;
use skill_embeddings::{DocumentVectors, QuantizedVector, passages_of, text_of};
use skill_search::evaluation::relevant_ranks;
use skill_search::{Query, SearchIndex};

use super::embeddings::{Embeddings, Kind};
use crate::error::{CliError, CliErrorKind};
use crate::search::{WORD_CANDIDATES, fused};

/// What meaning counts beside words, see [`skill_embeddings::fuse`].
const WEIGHTS: [f32; 5] = [0.25, 0.5, 0.75, 1.0, 1.5];

/// The ranks of the right skills among the first `k`, with meaning alone, and with meaning and words for each of [`WEIGHTS`]. A
/// request is its text and its right skill.
pub(super) async fn measure(
    mut embeddings: Embeddings<'_>,
    skills: &BTreeMap<String, SkillDocument>,
    index: &SearchIndex<&str>,
    requests: &[(&str, &str)],
    k: usize,
) -> Result<Vec<(String, Vec<Vec<usize>>)>, CliError> {
    let vectors = vectors(&mut embeddings, skills).await?;
    let texts: Vec<&str> = requests.iter().map(|(query, _)| *query).collect();
    let queries = embeddings.of(&texts, Kind::Query).await?;
    let mut measured: Vec<(String, Vec<Vec<usize>>)> = vec![("meaning alone".to_owned(), Vec::new())];
    let weights = WEIGHTS.iter().map(|weight| format!("words, meaning x {weight}"));
    measured.extend(weights.map(|name| (name, Vec::new())));
    for ((text, right), embedding) in requests.iter().zip(&queries) {
        let embedding = QuantizedVector::new(embedding);
        let query = Query::new(text);
        let hits = index.search(&query, WORD_CANDIDATES, |_| true);
        let nearest = vectors.nearest(&embedding, k, |_| true);
        let mut rankings: Vec<Vec<&str>> = vec![nearest.iter().map(|near| near.id).collect()];
        rankings.extend(WEIGHTS.iter().map(|weight| {
            let (hits, _) = fused(hits.clone(), &query, &vectors, &embedding, *weight, k, |_| true);
            hits.iter().map(|hit| hit.id).collect()
        }));
        for ((_, ranks), ranking) in measured.iter_mut().zip(rankings) {
            ranks.push(relevant_ranks(ranking, |id| id == right));
        }
    }
    Ok(measured)
}

async fn vectors<'a>(
    embeddings: &mut Embeddings<'_>,
    skills: &'a BTreeMap<String, SkillDocument>,
) -> Result<DocumentVectors<&'a str>, CliError> {
    let texts_of = |document: &SkillDocument| {
        let text = text_of(document.name.as_str(), &document.description, &document.headings);
        let passages = passages_of(&document.body);
        std::iter::once(text).chain(passages).collect::<Vec<String>>()
    };
    let texts: Vec<Vec<String>> = skills.values().map(texts_of).collect();
    let all: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
    let mut embedded = embeddings.of(&all, Kind::Document).await?.into_iter();
    let mut vectors = DocumentVectors::new(embeddings.dimensions());
    for (id, texts) in skills.keys().zip(&texts) {
        let own = embedded.by_ref().take(texts.len());
        let own: Vec<QuantizedVector> = own.map(|embedding| QuantizedVector::new(&embedding)).collect();
        vectors
            .upsert(id.as_str(), &own)
            .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()))?;
    }
    Ok(vectors)
}
