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
/// meaning counts, usually [`skill_embeddings::COSINE_WEIGHT`]. Skills whose name is the query stay first.
pub fn fused<Id: Copy + Ord + Hash>(
    hits: Vec<Hit<Id>>,
    query: &Query,
    vectors: &DocumentVectors<Id>,
    embedding: &QuantizedVector,
    weight: f32,
    limit: usize,
    filter: impl Fn(Id) -> bool,
) -> (Vec<Hit<Id>>, Vec<Id>) {
    let best_hit_words = hits.first().map_or(0, words_outside_body);
    let answer = WordAnswer::of(query.word_count(), best_hit_words);
    let (mut named, hits): (Vec<Hit<Id>>, Vec<Hit<Id>>) = hits.into_iter().partition(|hit| hit.is_named);
    named.truncate(limit);
    let lexical: Vec<(Id, f32)> = hits.iter().map(|hit| (hit.id, hit.score)).collect();
    let nearest = vectors.nearest(embedding, MEANING_CANDIDATES, |id| {
        named.iter().all(|hit| hit.id != id) && filter(id)
    });
    let cosine = |id| vectors.cosine(id, embedding);
    let order = fuse(&lexical, &nearest, cosine, answer, weight, limit - named.len());
    let mut hits: HashMap<Id, Hit<Id>> = hits.into_iter().map(|hit| (hit.id, hit)).collect();
    let by_meaning = order.iter().filter(|fused| fused.lexical.is_none());
    let by_meaning = by_meaning.map(|fused| fused.id).collect();
    let best_score = order.first().map_or(0.0, |fused| fused.score);
    let above = (0..named.len())
        .rev()
        .map(|behind| best_score + 1.0 + behind as f32);
    let named = named
        .into_iter()
        .zip(above)
        .map(|(hit, score)| Hit { score, ..hit });
    let others = order.iter().map(|fused| Hit {
        score: fused.score,
        ..hits.remove(&fused.id).unwrap_or_else(|| without_words(fused.id))
    });
    (named.chain(others).collect(), by_meaning)
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
        is_named: false,
        matched: Vec::new(),
        corrected: Vec::new(),
        signature: 0,
    }
}

#[cfg(test)]
mod tests {
    use skill_embeddings::{COSINE_WEIGHT, Embedding};

    use super::*;

    fn quantized(numbers: [f32; 2]) -> QuantizedVector {
        QuantizedVector::new(&Embedding::new(numbers.to_vec()).unwrap())
    }

    #[test]
    fn skill_whose_name_is_the_query_is_first_however_far_its_meaning_is() {
        let hit = |id, score, is_named| Hit {
            score,
            is_named,
            ..without_words(id)
        };
        let mut vectors = DocumentVectors::new(2);
        for (id, vector) in [(1, [0.0, 1.0]), (2, [1.0, 0.0]), (3, [1.0, 0.1])] {
            vectors.upsert(id, &[quantized(vector)]).unwrap();
        }
        let hits = vec![hit(1, 1.0, true), hit(2, 0.99, false)];
        let query = Query::new("pdf tools");
        let found = |limit| {
            let embedding = quantized([1.0, 0.0]);
            let (hits, by_meaning) = fused(
                hits.clone(),
                &query,
                &vectors,
                &embedding,
                COSINE_WEIGHT,
                limit,
                |_| true,
            );
            assert!(hits.is_sorted_by(|one, other| one.score >= other.score));
            (hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), by_meaning)
        };
        assert_eq!(found(10), (vec![1, 2, 3], vec![3]));
        assert_eq!(found(1).0, [1]);
    }
}
