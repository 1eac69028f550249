//! The best of many documents.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Yields documents in the order of their scores, highest first.
///
/// Most callers need few of them, so only the best part is ordered at first, and the rest when it is asked for.
pub(crate) struct Descending {
    /// Not yet ordered: the bits of the score, which order positive floats as their values do, and the slot.
    rest: Vec<(u32, u32)>,
    /// The number to order next.
    next: usize,
    /// Lowest first.
    ordered: Vec<(u32, u32)>,
}

impl Descending {
    /// `scores` are slots with scores, which are not negative. About `wanted` of the documents will be asked for.
    pub(crate) fn new(scores: impl Iterator<Item = (u32, f32)>, wanted: usize) -> Self {
        Self {
            rest: scores.map(|(slot, score)| (score.to_bits(), slot)).collect(),
            next: wanted.max(1),
            ordered: Vec::new(),
        }
    }

    fn order(&mut self) {
        let lower = self.rest.len().saturating_sub(self.next);
        self.next = self.next.saturating_mul(4);
        if lower > 0 {
            self.rest.select_nth_unstable(lower);
        }
        self.ordered = self.rest.split_off(lower);
        self.ordered.sort_unstable();
    }
}

impl Iterator for Descending {
    type Item = (u32, f32);

    fn next(&mut self) -> Option<Self::Item> {
        if self.ordered.is_empty() && !self.rest.is_empty() {
            self.order();
        }
        let (bits, slot) = self.ordered.pop()?;
        Some((slot, f32::from_bits(bits)))
    }
}

/// Keeps the documents with the highest scores, and of equal scores those with the lowest IDs, so that pages are stable.
pub(crate) struct BestDocuments<Id> {
    limit: usize,
    /// The worst first: the bits of the score, the ID, the slot.
    kept: BinaryHeap<Reverse<(u32, Reverse<Id>, u32)>>,
}

impl<Id: Ord> BestDocuments<Id> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: BinaryHeap::new(),
        }
    }

    /// Whether a document with this score would not be kept, however low its ID is.
    pub(crate) fn excludes(&self, score: f32) -> bool {
        let is_worse = |Reverse((bits, ..)): &Reverse<(u32, Reverse<Id>, u32)>| score.to_bits() < *bits;
        self.kept.len() >= self.limit && self.kept.peek().is_none_or(is_worse)
    }

    /// `score` is not negative.
    pub(crate) fn add(&mut self, score: f32, id: Id, slot: u32) {
        self.kept.push(Reverse((score.to_bits(), Reverse(id), slot)));
        if self.kept.len() > self.limit {
            self.kept.pop();
        }
    }

    /// The scores, IDs and slots of the documents, in no order.
    pub(crate) fn into_documents(self) -> impl Iterator<Item = (f32, Id, u32)> {
        self.kept
            .into_iter()
            .map(|Reverse((bits, Reverse(id), slot))| (f32::from_bits(bits), id, slot))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn order_is_that_of_a_whole_sort(scores in prop::collection::vec(0..20_u8, 0..300), wanted in 0..40_usize) {
            let scores: Vec<(u32, f32)> = (0..).zip(scores.into_iter().map(f32::from)).collect();
            let order: Vec<(u32, f32)> = Descending::new(scores.iter().copied(), wanted).collect();
            let mut sorted = scores;
            sorted.sort_by(|(slot, one), (other_slot, other)| other.total_cmp(one).then(other_slot.cmp(slot)));
            prop_assert_eq!(order, sorted);
        }

        #[test]
        fn best_documents_are_those_of_a_whole_sort(scores in prop::collection::vec(0..20_u8, 0..300), limit in 0..40_usize) {
            let mut best = BestDocuments::new(limit);
            let scores: Vec<(u32, f32)> = (0..).zip(scores.into_iter().map(f32::from)).collect();
            for (slot, score) in &scores {
                if best.excludes(*score) {
                    continue;
                }
                best.add(*score, slot / 2, *slot);
            }
            let mut kept: Vec<(f32, u32, u32)> = best.into_documents().collect();
            let mut sorted: Vec<(f32, u32, u32)> =
                scores.into_iter().map(|(slot, score)| (score, slot / 2, slot)).collect();
            let order = |one: &(f32, u32, u32), other: &(f32, u32, u32)| {
                other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)).then(other.2.cmp(&one.2))
            };
            sorted.sort_by(order);
            sorted.truncate(limit);
            kept.sort_by(order);
            prop_assert_eq!(kept, sorted);
        }
    }
}
