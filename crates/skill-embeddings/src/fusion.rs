//! Combines a lexical ranking with the nearest vectors.
//!
//! The scores are added: the lexical score as a share of the best one, and the cosine times [`COSINE_WEIGHT`]. A search by
//! words alone gives no high place to a skill that uses other words, however near it is, because every lexical hit has a
//! head start. So if words answer weakly, some places are kept for the nearest skills.
//!
//! Measured on 6,128 requests and 230 wishes in other words than their skill uses, see README.md.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::vectors::Neighbour;

/// What a cosine of 1 adds to a lexical score of 0 to 1. Measured with MiniLM-L6 and the built-in adapter; without adapter,
/// weights up to 0.5 are as good, and 1 costs the requests 0.001 nDCG@10.
pub const COSINE_WEIGHT: f32 = 1.0;

/// How many lexical hits and how many neighbours a caller should hand in. More do not change the first ten.
pub const CANDIDATES: usize = 200;

/// Places that are kept for the nearest skills if words answer weakly, from 0. The first one is not: keeping it found fewer of
/// the wishes that no adapter was trained with (28 instead of 30 %), and cost the requests 0.011 nDCG@10.
const KEPT_IF_WEAK: &[usize] = &[1, 2, 3, 4, 6, 8];
/// The same if words answer in part.
const KEPT_IF_PARTIAL: &[usize] = &[3, 4];

/// Words outside of the body that a weak best hit has at most.
const WEAK_WORDS: usize = 2;
/// As many as this, if they are few of the query's, are an answer in part.
const PARTIAL_WORDS: usize = 3;
/// A query of fewer words is a name or a keyword, which a skill has or has not.
const MIN_WORDS: usize = 3;

/// How well the words of a query answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordAnswer {
    Strong,
    /// The best hit has some words of a longer query, and less than half of them.
    Partial,
    /// The best hit has few of the words, except in its body, where almost any word can be found.
    Weak,
}

impl WordAnswer {
    /// `query_words` is the number of distinct words of the query without stop words. `best_hit_words` is how many of
    /// them the best lexical hit has in its name, tags, description or headings; 0 if there is no hit.
    #[must_use]
    pub const fn of(query_words: usize, best_hit_words: usize) -> Self {
        if query_words < MIN_WORDS || best_hit_words * 2 >= query_words || best_hit_words > PARTIAL_WORDS {
            Self::Strong
        } else if best_hit_words <= WEAK_WORDS {
            Self::Weak
        } else {
            Self::Partial
        }
    }

    const fn kept_places(self) -> &'static [usize] {
        match self {
            Self::Strong => &[],
            Self::Partial => KEPT_IF_PARTIAL,
            Self::Weak => KEPT_IF_WEAK,
        }
    }
}

/// A result of [`fuse`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused<Id> {
    pub id: Id,
    /// Never above that of an earlier result. That of a result in a kept place is between those of its
    /// neighbours.
    pub score: f32,
    /// The lexical score as it was; `None` if the document has none of the words.
    pub lexical: Option<f32>,
    /// `None` if the document has no vector.
    pub cosine: Option<f32>,
}

/// The best `limit` documents of two rankings, best first. Equal scores are ordered by ID.
///
/// `lexical` and `nearest` are best first, and already restricted to what the caller may see: nothing else can be in the
/// result. `cosine` gives the cosine of a lexical hit that is not among the nearest, see
/// [`Int8Vectors::cosine`](crate::Int8Vectors::cosine). `weight` is what a cosine of 1 adds to a lexical score of 0 to 1, usually
/// [`COSINE_WEIGHT`]. Without neighbours, the lexical order is unchanged.
///
/// # Examples
/// ```
/// use skill_embeddings::{COSINE_WEIGHT, Neighbour, WordAnswer, fuse};
///
/// let lexical = [("pdf-tools", 8.0), ("csv-tools", 7.8)];
/// let nearest = [Neighbour { id: "csv-tools", cosine: 0.7 }, Neighbour { id: "sheets", cosine: 0.6 }];
/// let fused = fuse(&lexical, &nearest, |_| Some(0.1), WordAnswer::Strong, COSINE_WEIGHT, 10);
/// let ids: Vec<&str> = fused.iter().map(|fused| fused.id).collect();
/// assert_eq!(ids, ["csv-tools", "pdf-tools", "sheets"]);
/// ```
#[must_use]
pub fn fuse<Id: Copy + Ord + Hash>(
    lexical: &[(Id, f32)],
    nearest: &[Neighbour<Id>],
    cosine: impl Fn(Id) -> Option<f32>,
    answer: WordAnswer,
    weight: f32,
    limit: usize,
) -> Vec<Fused<Id>> {
    let mut fused = added(lexical, nearest, cosine, weight);
    if !answer.kept_places().is_empty() && !nearest.is_empty() {
        fused = with_kept_places(fused, nearest, answer.kept_places());
    }
    fused.truncate(limit);
    fused
}

fn added<Id: Copy + Ord + Hash>(
    lexical: &[(Id, f32)],
    nearest: &[Neighbour<Id>],
    cosine: impl Fn(Id) -> Option<f32>,
    weight: f32,
) -> Vec<Fused<Id>> {
    let best = lexical.first().map_or(0.0, |(_, score)| *score);
    let share = |score: f32| if best > 0.0 { score / best } else { 0.0 };
    let cosines: HashMap<Id, f32> = nearest.iter().map(|near| (near.id, near.cosine)).collect();
    let lexical_ids: HashSet<Id> = lexical.iter().map(|(id, _)| *id).collect();
    let hits = lexical.iter().map(|(id, score)| {
        // Without any vector near the query, cosines would only reorder what words found.
        let known = cosines.get(id).copied();
        let cosine = known.or_else(|| if nearest.is_empty() { None } else { cosine(*id) });
        Fused {
            id: *id,
            score: share(*score) + weight * cosine.unwrap_or(0.0),
            lexical: Some(*score),
            cosine,
        }
    });
    let others = nearest.iter().filter(|near| !lexical_ids.contains(&near.id));
    let others = others.map(|near| Fused {
        id: near.id,
        score: weight * near.cosine,
        lexical: None,
        cosine: Some(near.cosine),
    });
    let mut fused: Vec<Fused<Id>> = hits.chain(others).collect();
    fused.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then_with(|| one.id.cmp(&other.id))
    });
    fused
}

/// Moves the nearest documents that are further behind to the kept places.
fn with_kept_places<Id: Copy + Ord + Hash>(
    fused: Vec<Fused<Id>>,
    nearest: &[Neighbour<Id>],
    places: &[usize],
) -> Vec<Fused<Id>> {
    let by_id: HashMap<Id, Fused<Id>> = fused.iter().map(|fused| (fused.id, *fused)).collect();
    let mut nearest = nearest.iter().filter_map(|near| by_id.get(&near.id)).copied();
    let mut others = fused.iter().copied();
    let mut placed: HashSet<Id> = HashSet::with_capacity(fused.len());
    let mut ordered = Vec::with_capacity(fused.len());
    while ordered.len() < fused.len() {
        let is_kept = places.contains(&ordered.len());
        let near = if is_kept {
            nearest.find(|fused| !placed.contains(&fused.id))
        } else {
            None
        };
        let Some(next) = near.or_else(|| others.find(|fused| !placed.contains(&fused.id))) else {
            break;
        };
        placed.insert(next.id);
        ordered.push(next);
    }
    scores_in_order(&mut ordered);
    ordered
}

/// Gives each result in a kept place a score between its neighbours: a caller who adds a little to the scores, and orders by
/// them, must not undo the kept places.
fn scores_in_order<Id>(ordered: &mut [Fused<Id>]) {
    let mut best_behind = f32::NEG_INFINITY;
    let raised = ordered.iter_mut().rev().map(|fused| {
        let is_raised = fused.score < best_behind;
        best_behind = best_behind.max(fused.score);
        fused.score = best_behind;
        is_raised
    });
    let raised: Vec<bool> = raised.collect();
    let mut before: Option<f32> = None;
    for (fused, is_raised) in ordered.iter_mut().zip(raised.into_iter().rev()) {
        if let (true, Some(before)) = (is_raised, before) {
            fused.score = f32::midpoint(before, fused.score);
        }
        before = Some(fused.score);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(pairs: &[(u32, f32)]) -> Vec<Neighbour<u32>> {
        pairs
            .iter()
            .map(|(id, cosine)| Neighbour {
                id: *id,
                cosine: *cosine,
            })
            .collect()
    }

    fn ids(fused: &[Fused<u32>]) -> Vec<u32> {
        fused.iter().map(|fused| fused.id).collect()
    }

    #[test]
    fn without_vectors_the_lexical_order_is_unchanged() {
        let lexical = [(3, 9.0), (1, 4.0), (2, 4.0)];
        let fused = fuse(&lexical, &[], |_| Some(1.0), WordAnswer::Weak, COSINE_WEIGHT, 10);
        assert_eq!(ids(&fused), [3, 1, 2]);
        assert_eq!(fused[0].cosine, None);
    }

    #[test]
    fn without_lexical_hits_the_nearest_are_the_result() {
        let fused = fuse(
            &[],
            &near(&[(5, 0.9), (4, 0.8)]),
            |_| None,
            WordAnswer::Weak,
            COSINE_WEIGHT,
            1,
        );
        assert_eq!(ids(&fused), [5]);
        assert_eq!(fused[0].lexical, None);
    }

    #[test]
    fn words_that_do_not_answer_leave_places_to_the_nearest() {
        let lexical: Vec<(u32, f32)> = (0..10).map(|id| (id, 10.0 - id as f32 * 0.1)).collect();
        let nearest = near(&[(0, 0.5), (20, 0.4), (21, 0.39), (9, 0.38), (22, 0.37), (23, 0.36)]);
        let found = |answer, limit| {
            let fused = fuse(&lexical, &nearest, |_| Some(0.0), answer, 0.25, limit);
            assert!(
                fused.is_sorted_by(|one, other| one.score >= other.score),
                "{fused:?}"
            );
            ids(&fused)
        };
        let weak = fuse(&lexical, &nearest, |_| Some(0.0), WordAnswer::Weak, 0.25, 7);
        let scores: Vec<f32> = weak.iter().map(|fused| fused.score).collect();
        // 0 has 1 + 0.125, 9 has 0.91 + 0.095, and 1 has 0.99; 20, 21, 22 and 23 are between their neighbours.
        let expected = [1.125, 1.065, 1.035, 1.005, 0.9975, 0.99, 0.985];
        let differs = |(one, other): (&f32, &f32)| (one - other).abs() > 1e-5;
        assert!(!scores.iter().zip(&expected).any(differs), "{scores:?}");
        assert_eq!(found(WordAnswer::Strong, 5), [0, 9, 1, 2, 3]);
        assert_eq!(found(WordAnswer::Partial, 7), [0, 9, 1, 20, 21, 2, 3]);
        assert_eq!(found(WordAnswer::Weak, 11), [0, 20, 21, 9, 22, 1, 23, 2, 3, 4, 5]);
    }

    #[test]
    fn answer_is_weak_if_the_best_hit_has_few_of_several_words() {
        for (query, hit, expected) in [
            (6, 1, WordAnswer::Weak),
            (6, 2, WordAnswer::Weak),
            (6, 3, WordAnswer::Strong),
            (7, 3, WordAnswer::Partial),
            (14, 3, WordAnswer::Partial),
            (14, 4, WordAnswer::Strong),
            (4, 2, WordAnswer::Strong),
            (3, 1, WordAnswer::Weak),
            (2, 0, WordAnswer::Strong),
            (0, 0, WordAnswer::Strong),
        ] {
            assert_eq!(WordAnswer::of(query, hit), expected, "{query} {hit}");
        }
    }

    proptest! {
        #[test]
        fn every_document_is_in_the_result_once(
            lexical in proptest::collection::btree_map(0_u32..20, 0.0_f32..9.0, 0..10),
            nearest in proptest::collection::btree_map(0_u32..20, -1.0_f32..1.0, 0..10),
            answer in prop_oneof![
                Just(WordAnswer::Strong),
                Just(WordAnswer::Partial),
                Just(WordAnswer::Weak)
            ]
        ) {
            let mut lexical: Vec<(u32, f32)> = lexical.into_iter().collect();
            lexical.sort_by(|one, other| other.1.total_cmp(&one.1));
            let mut nearest: Vec<(u32, f32)> = nearest.into_iter().collect();
            nearest.sort_by(|one, other| other.1.total_cmp(&one.1));
            let mut found = ids(&fuse(&lexical, &near(&nearest), |_| None, answer, COSINE_WEIGHT, 100));
            found.sort_unstable();
            let mut expected: Vec<u32> = lexical.iter().chain(&nearest).map(|(id, _)| *id).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(found, expected);
        }
    }
}
