//! Quantised vectors in memory, and the exact search for the nearest ones.
//!
//! One byte per dimension instead of four: 100,000 skills with 384 dimensions take 39 MB. The scan reads every vector, so
//! there is no index to build, to tune or to keep in step with changes.

mod bytes;
mod quantized;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

pub use bytes::BadVectorBytes;
pub use quantized::QuantizedVector;
use quantized::dot;

use crate::error::EmbedError;

/// A document that is near to a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour<Id> {
    pub id: Id,
    /// The cosine, -1 to 1, with the error of the quantisation (below 0.01 for 384 dimensions).
    pub cosine: f32,
}

/// Vectors of one model by document. `Id` identifies a document, for example a UUID.
///
/// # Examples
/// ```
/// use skill_embeddings::{Embedding, Int8Vectors, QuantizedVector};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut vectors = Int8Vectors::new(3);
/// vectors.upsert(1, &QuantizedVector::new(&Embedding::new(vec![1.0, 0.0, 0.1])?))?;
/// vectors.upsert(2, &QuantizedVector::new(&Embedding::new(vec![0.0, 1.0, 0.0])?))?;
///
/// let query = QuantizedVector::new(&Embedding::new(vec![0.9, 0.1, 0.0])?);
/// let nearest = vectors.nearest(&query, 10, |_| true);
/// assert_eq!(nearest[0].id, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Int8Vectors<Id> {
    dimensions: usize,
    /// The vectors one after the other.
    values: Vec<i8>,
    scales: Vec<f32>,
    ids: Vec<Id>,
    /// Index of a document in `ids` and `scales`.
    positions: HashMap<Id, usize>,
}

impl<Id: Copy + Ord + Hash> Int8Vectors<Id> {
    /// Without vectors. Accepts only vectors of `dimensions` dimensions.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            values: Vec::new(),
            scales: Vec::new(),
            ids: Vec::new(),
            positions: HashMap::new(),
        }
    }

    #[must_use]
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Number of vectors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    #[must_use]
    pub fn contains(&self, id: Id) -> bool {
        self.positions.contains_key(&id)
    }

    /// Memory use in bytes, without the overhead of the allocator.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.values.capacity()
            + self.scales.capacity() * size_of::<f32>()
            + self.ids.capacity() * size_of::<Id>()
            // A HashMap has one control byte per bucket.
            + self.positions.capacity() * (size_of::<(Id, usize)>() + 1)
    }

    /// Adds a vector, or replaces the vector of the same document.
    ///
    /// # Errors
    /// [`EmbedError::WrongDimensions`] if the vector has another number of dimensions.
    pub fn upsert(&mut self, id: Id, vector: &QuantizedVector) -> Result<(), EmbedError> {
        if vector.values().len() != self.dimensions {
            return Err(EmbedError::WrongDimensions {
                expected: self.dimensions,
                returned: vector.values().len(),
            });
        }
        self.remove(id);
        self.positions.insert(id, self.ids.len());
        self.ids.push(id);
        self.scales.push(vector.scale());
        self.values.extend_from_slice(vector.values());
        Ok(())
    }

    /// Removes the vector of a document. Returns whether there was one.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some(position) = self.positions.remove(&id) else {
            return false;
        };
        // The last vector takes the free place.
        let last = self.ids.len() - 1;
        self.ids.swap_remove(position);
        self.scales.swap_remove(position);
        let start = last * self.dimensions;
        self.values.copy_within(start.., position * self.dimensions);
        self.values.truncate(start);
        if let Some(moved) = self.ids.get(position) {
            self.positions.insert(*moved, position);
        }
        true
    }

    /// The cosine of a document to a query. `None` if the document has no vector.
    #[must_use]
    pub fn cosine(&self, id: Id, query: &QuantizedVector) -> Option<f32> {
        let position = *self.positions.get(&id)?;
        let start = position * self.dimensions;
        let values = self.values.get(start..start + self.dimensions)?;
        Some(query.scale() * self.scales.get(position)? * dot(values, query.values()) as f32)
    }

    /// The `limit` documents with the highest cosine for which `filter` is true, best first. Equal cosines are ordered by
    /// ID. Calls `filter` only for documents that may be among them. A query of another number of dimensions finds
    /// nothing.
    ///
    /// Exact: reads all vectors. With 384 dimensions on one processor, 5,021 take 0.3 ms and 100,000 take 5 ms.
    #[must_use]
    pub fn nearest(
        &self,
        query: &QuantizedVector,
        limit: usize,
        filter: impl Fn(Id) -> bool,
    ) -> Vec<Neighbour<Id>> {
        if limit == 0 || self.dimensions == 0 || query.values().len() != self.dimensions {
            return Vec::new();
        }
        // The worst of the best is on top.
        let mut best: BinaryHeap<Reverse<Candidate<Id>>> =
            BinaryHeap::with_capacity(limit.min(self.len()) + 1);
        let mut worst = f32::NEG_INFINITY;
        let vectors = self.values.chunks_exact(self.dimensions);
        for ((values, scale), id) in vectors.zip(&self.scales).zip(&self.ids) {
            let score = scale * dot(values, query.values()) as f32;
            if score < worst || !filter(*id) {
                continue;
            }
            best.push(Reverse(Candidate {
                score,
                id: Reverse(*id),
            }));
            if best.len() > limit {
                best.pop();
            }
            if best.len() == limit {
                worst = best.peek().map_or(worst, |candidate| candidate.0.score);
            }
        }
        best.into_sorted_vec()
            .into_iter()
            .map(|Reverse(candidate)| Neighbour {
                id: candidate.id.0,
                cosine: candidate.score * query.scale(),
            })
            .collect()
    }
}

/// The greatest is the best: the highest score, then the lowest ID, so that pages are stable.
struct Candidate<Id> {
    score: f32,
    id: Reverse<Id>,
}

impl<Id: Ord> Ord for Candidate<Id> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| self.id.cmp(&other.id))
    }
}

impl<Id: Ord> PartialOrd for Candidate<Id> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<Id: Ord> PartialEq for Candidate<Id> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<Id: Ord> Eq for Candidate<Id> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedder::Embedding;

    fn vector(numbers: &[f32]) -> QuantizedVector {
        QuantizedVector::new(&Embedding::new(numbers.to_vec()).unwrap())
    }

    fn ids(found: &[Neighbour<u32>]) -> Vec<u32> {
        found.iter().map(|neighbour| neighbour.id).collect()
    }

    #[test]
    fn nearest_are_ordered_by_cosine_then_id() {
        let mut vectors = Int8Vectors::new(2);
        for (id, numbers) in [(5, [0.0, 1.0]), (4, [1.0, 0.0]), (3, [1.0, 0.0]), (2, [1.0, 1.0])] {
            vectors.upsert(id, &vector(&numbers)).unwrap();
        }
        let query = vector(&[1.0, 0.0]);
        assert_eq!(ids(&vectors.nearest(&query, 9, |_| true)), [3, 4, 2, 5]);
        assert_eq!(ids(&vectors.nearest(&query, 1, |_| true)), [3]);
        assert_eq!(ids(&vectors.nearest(&query, 2, |id| id != 3)), [4, 2]);
        assert_eq!(vectors.nearest(&query, 0, |_| true), []);
        assert_eq!(vectors.nearest(&vector(&[1.0]), 9, |_| true), []);
        assert!((vectors.cosine(2, &query).unwrap() - 0.707).abs() < 0.01);
        assert_eq!(vectors.cosine(9, &query), None);
    }

    #[test]
    fn vector_of_another_model_is_rejected() {
        let mut vectors = Int8Vectors::new(2);
        assert_eq!(
            vectors.upsert(1, &vector(&[1.0, 0.0, 0.0])),
            Err(EmbedError::WrongDimensions {
                expected: 2,
                returned: 3
            })
        );
        assert!(vectors.is_empty());
    }

    proptest! {
        /// Changes in any order give the same answers as a plain list.
        #[test]
        fn changes_match_a_list(
            changes in proptest::collection::vec((0_u32..8, proptest::option::of(proptest::array::uniform3(-1.0_f32..1.0))), 0..40)
        ) {
            let mut vectors = Int8Vectors::new(3);
            let mut list = std::collections::BTreeMap::new();
            for (id, numbers) in changes {
                match numbers.and_then(|numbers| Embedding::new(numbers.to_vec()).ok()) {
                    Some(embedding) => {
                        vectors.upsert(id, &QuantizedVector::new(&embedding)).unwrap();
                        list.insert(id, QuantizedVector::new(&embedding));
                    }
                    None => prop_assert_eq!(vectors.remove(id), list.remove(&id).is_some()),
                }
            }
            prop_assert_eq!(vectors.len(), list.len());
            let query = vector(&[0.3, -0.8, 0.5]);
            let mut expected: Vec<(u32, f32)> = list.iter().map(|(id, vector)| (*id, query.cosine(vector))).collect();
            expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let found = vectors.nearest(&query, 8, |_| true);
            for (neighbour, (_, cosine)) in found.iter().zip(&expected) {
                prop_assert!((neighbour.cosine - cosine).abs() < 1e-5);
            }
            prop_assert_eq!(found.len(), expected.len());
            for (id, cosine) in expected {
                prop_assert!((vectors.cosine(id, &query).unwrap() - cosine).abs() < 1e-5);
            }
        }
    }
}
