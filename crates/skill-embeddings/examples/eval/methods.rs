//! The rankings that are compared.

use std::collections::HashMap;

use skill_embeddings::{
    CANDIDATES, COSINE_WEIGHT, DocumentVectors, Embedding, Fused, Int8Vectors, QuantizedVector, WordAnswer,
    fuse,
};
use skill_search::{Field, Hit, Query, SearchIndex};

use crate::corpus::Skills;

/// The usual constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009).
const RRF_CONSTANT: f64 = 60.0;

/// What the methods read.
pub(crate) struct Index {
    lexical: SearchIndex<usize>,
    /// One vector for each skill.
    vectors: Int8Vectors<usize>,
    /// With vectors of passages.
    documents: DocumentVectors<usize>,
    exact: Vec<(usize, Embedding)>,
}

impl Index {
    /// Of some of the skills. `embeddings` has those of all skills, each with the embeddings of its passages after its own.
    pub(crate) fn new(skills: &Skills, embeddings: &[Vec<Embedding>], some: &[usize]) -> Self {
        let dimensions = embeddings[0][0].dimensions();
        let mut index = Self {
            lexical: skills.index(some.iter().copied()),
            vectors: Int8Vectors::new(dimensions),
            documents: DocumentVectors::new(dimensions),
            exact: Vec::with_capacity(some.len()),
        };
        for &id in some {
            let vectors: Vec<QuantizedVector> = embeddings[id].iter().map(QuantizedVector::new).collect();
            let of_skill = index.vectors.upsert(id, &vectors[0]);
            let with_passages = index.documents.upsert(id, &vectors);
            of_skill
                .and(with_passages)
                .expect("each vector has the model's dimensions");
            index.exact.push((id, embeddings[id][0].clone()));
        }
        index
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Lexical,
    /// The cosine alone, with 32-bit floats.
    Exact,
    /// The cosine alone, with a byte per dimension.
    Meaning,
    /// The same, with passages of the body.
    Passages,
    ReciprocalRanks,
    /// Scores added, without kept places.
    Added,
    /// As `Added`, with places kept for the nearest if words answer weakly.
    Chosen,
}

impl Method {
    pub(crate) const ALL: [(Self, &str); 7] = [
        (Self::Lexical, "words alone"),
        (Self::Exact, "meaning alone, 32-bit floats"),
        (Self::Meaning, "meaning alone, int8"),
        (Self::Passages, "meaning alone, with passages"),
        (Self::ReciprocalRanks, "reciprocal rank fusion"),
        (Self::Added, "scores added"),
        (Self::Chosen, "added, places kept if weak"),
    ];

    /// The first `limit` skills for a request.
    pub(crate) fn rank(self, index: &Index, text: &str, embedding: &Embedding, limit: usize) -> Vec<usize> {
        let query = Query::new(text);
        let hits = || index.lexical.search(&query, CANDIDATES, |_| true);
        let quantized = QuantizedVector::new(embedding);
        match self {
            Self::Lexical => hits().iter().take(limit).map(|hit| hit.id).collect(),
            Self::Exact => {
                let cosines = index
                    .exact
                    .iter()
                    .map(|(id, document)| (*id, document.cosine(embedding)));
                let mut all: Vec<(usize, f32)> = cosines.collect();
                all.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
                all.into_iter().take(limit).map(|(id, _)| id).collect()
            }
            Self::Meaning => {
                let nearest = index.vectors.nearest(&quantized, limit, |_| true);
                nearest.iter().map(|near| near.id).collect()
            }
            Self::Passages => {
                let nearest = index.documents.nearest(&quantized, limit, |_| true);
                nearest.iter().map(|near| near.id).collect()
            }
            Self::ReciprocalRanks => reciprocal_ranks(index, &hits(), &quantized, limit),
            Self::Added => fused(index, &hits(), &quantized, WordAnswer::Strong, limit),
            Self::Chosen => {
                let hits = hits();
                let answer = WordAnswer::of(query.word_count(), hits.first().map_or(0, words_outside_body));
                fused(index, &hits, &quantized, answer, limit)
            }
        }
    }
}

fn words_outside_body(hit: &Hit<usize>) -> usize {
    hit.matched
        .iter()
        .filter(|matched| matched.field != Field::Body)
        .count()
}

fn fused(
    index: &Index,
    hits: &[Hit<usize>],
    query: &QuantizedVector,
    answer: WordAnswer,
    limit: usize,
) -> Vec<usize> {
    let lexical: Vec<(usize, f32)> = hits.iter().map(|hit| (hit.id, hit.score)).collect();
    let nearest = index.documents.nearest(query, CANDIDATES, |_| true);
    let cosine = |id| index.documents.cosine(id, query);
    let fused: Vec<Fused<usize>> = fuse(&lexical, &nearest, cosine, answer, COSINE_WEIGHT, limit);
    fused.iter().map(|fused| fused.id).collect()
}

fn reciprocal_ranks(index: &Index, hits: &[Hit<usize>], query: &QuantizedVector, limit: usize) -> Vec<usize> {
    let nearest = index.documents.nearest(query, CANDIDATES, |_| true);
    let mut scores: HashMap<usize, f64> = HashMap::new();
    let rankings: [Vec<usize>; 2] = [
        hits.iter().map(|hit| hit.id).collect(),
        nearest.iter().map(|near| near.id).collect(),
    ];
    for (rank, id) in rankings.iter().flat_map(|ids| ids.iter().enumerate()) {
        *scores.entry(*id).or_default() += 1.0 / (RRF_CONSTANT + rank as f64);
    }
    let mut scores: Vec<(usize, f64)> = scores.into_iter().collect();
    scores.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    scores.into_iter().take(limit).map(|(id, _)| id).collect()
}
