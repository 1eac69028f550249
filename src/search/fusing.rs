//! Combines what words found with what is near in meaning.

use std::collections::HashMap;

use skill_embeddings::{CANDIDATES, Int8Vectors, QuantizedVector, WordAnswer, fuse};
use skill_search::{Field, Hit, Query};

use crate::ids::SkillId;

/// Number of lexical hits that are combined. More do not change the first page.
pub(super) const WORD_CANDIDATES: usize = CANDIDATES;
/// Number of skills that meaning may add to a search. Every skill has a distance to every query, so without a limit each search
/// would list all skills.
const MEANING_CANDIDATES: usize = 20;

/// The best `limit` hits, best first, and which of them only meaning found. `hits` are those of the words. Skills that are near in
/// meaning and pass `filter` are hits without matched words.
pub(super) fn fused(
    hits: Vec<Hit<SkillId>>,
    query: &Query,
    vectors: &Int8Vectors<SkillId>,
    embedding: &QuantizedVector,
    limit: usize,
    filter: impl Fn(SkillId) -> bool,
) -> (Vec<Hit<SkillId>>, Vec<SkillId>) {
    let lexical: Vec<(SkillId, f32)> = hits.iter().map(|hit| (hit.id, hit.score)).collect();
    let best_hit_words = hits.first().map_or(0, words_outside_body);
    let answer = WordAnswer::of(query.word_count(), best_hit_words);
    let nearest = vectors.nearest(embedding, MEANING_CANDIDATES, filter);
    let cosine = |skill| vectors.cosine(skill, embedding);
    let order = fuse(&lexical, &nearest, cosine, answer, limit);
    let mut hits: HashMap<SkillId, Hit<SkillId>> = hits.into_iter().map(|hit| (hit.id, hit)).collect();
    let by_meaning = order.iter().filter(|fused| fused.lexical.is_none());
    let by_meaning = by_meaning.map(|fused| fused.id).collect();
    let hits = order.iter().map(|fused| Hit {
        score: fused.score,
        ..hits.remove(&fused.id).unwrap_or_else(|| without_words(fused.id))
    });
    (hits.collect(), by_meaning)
}

/// The words of the query that a hit has in its name, tags, description or headings.
fn words_outside_body(hit: &Hit<SkillId>) -> usize {
    let outside = hit.matched.iter().filter(|matched| matched.field != Field::Body);
    outside.count()
}

const fn without_words(id: SkillId) -> Hit<SkillId> {
    Hit {
        id,
        score: 0.0,
        matched: Vec::new(),
        corrected: Vec::new(),
        signature: 0,
    }
}
