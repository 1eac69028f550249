//! Combines what words found with what is near in meaning.

use std::collections::HashMap;
use std::hash::Hash;

use skill_embeddings::{CANDIDATES, DocumentVectors, QuantizedVector, WordAnswer, fuse};
use skill_search::{Field, Hit, Query};

/// Number of lexical hits that are combined. More do not change the first page.
pub const WORD_CANDIDATES: usize = CANDIDATES;
/// Number of skills that meaning may add to a search. Every skill has a distance to every query, so without a limit each search
/// would list all skills.
const MEANING_CANDIDATES: usize = 20;

/// The best `limit` hits, best first, and which of them only meaning found. `hits` are those of the words; for each search, at least
/// [`WORD_CANDIDATES`] of them. Skills that are near in meaning and pass `filter` are hits without matched words. `weight` is what
/// meaning counts, usually [`skill_embeddings::COSINE_WEIGHT`].
pub fn fused<Id: Copy + Ord + Hash>(
    hits: Vec<Hit<Id>>,
    query: &Query,
    vectors: &DocumentVectors<Id>,
    embedding: &QuantizedVector,
    weight: f32,
    limit: usize,
    filter: impl Fn(Id) -> bool,
) -> (Vec<Hit<Id>>, Vec<Id>) {
    let lexical: Vec<(Id, f32)> = hits.iter().map(|hit| (hit.id, hit.score)).collect();
    let best_hit_words = hits.first().map_or(0, words_outside_body);
    let answer = WordAnswer::of(query.word_count(), best_hit_words);
    let nearest = vectors.nearest(embedding, MEANING_CANDIDATES, filter);
    let cosine = |id| vectors.cosine(id, embedding);
    let order = fuse(&lexical, &nearest, cosine, answer, weight, limit);
    let mut hits: HashMap<Id, Hit<Id>> = hits.into_iter().map(|hit| (hit.id, hit)).collect();
    let by_meaning = order.iter().filter(|fused| fused.lexical.is_none());
    let by_meaning = by_meaning.map(|fused| fused.id).collect();
    let hits = order.iter().map(|fused| Hit {
        score: fused.score,
        ..hits.remove(&fused.id).unwrap_or_else(|| without_words(fused.id))
    });
    (hits.collect(), by_meaning)
}

/// The words of the query that a hit has in its name, tags, description or headings.
fn words_outside_body<Id>(hit: &Hit<Id>) -> usize {
    let outside = hit.matched.iter().filter(|matched| matched.field != Field::Body);
    outside.count()
}

const fn without_words<Id>(id: Id) -> Hit<Id> {
    Hit {
        id,
        score: 0.0,
        matched: Vec::new(),
        corrected: Vec::new(),
        signature: 0,
    }
}
