//! The best of many documents, in order.

use std::cmp::Reverse;

use crate::view::IndexView;

/// A document with its score.
pub(crate) struct Scored<Id> {
    pub(crate) id: Id,
    pub(crate) slot: u32,
    pub(crate) score: f32,
}

/// Yields documents in the order of their scores, best first; equal scores in the order of their IDs, so that pages are stable.
///
/// Most callers need few of them, so only the best part is ordered at first, and the rest when it is asked for.
pub(crate) struct Best<'a, V: IndexView> {
    view: &'a V,
    /// Not yet ordered. Positive floats are ordered like their bits.
    rest: Vec<(u32, u32)>,
    /// The number to order next.
    next: usize,
    /// Worst first.
    ordered: Vec<Scored<V::Id>>,
}

impl<'a, V: IndexView> Best<'a, V> {
    /// `scores` are not negative. About `wanted` of the documents will be asked for.
    pub(crate) fn new(view: &'a V, scores: Vec<(u32, f32)>, wanted: usize) -> Self {
        Self {
            view,
            rest: scores
                .into_iter()
                .map(|(slot, score)| (score.to_bits(), slot))
                .collect(),
            next: wanted.max(1),
            ordered: Vec::new(),
        }
    }

    /// Orders the next part, with all documents that have the score of its last one.
    fn order(&mut self) {
        let by_score = |(bits, _): &(u32, u32)| *bits;
        let worse = self.rest.len().saturating_sub(self.next);
        self.next = self.next.saturating_mul(4);
        if worse > 0 {
            let (_, (last, _), _) = self.rest.select_nth_unstable_by_key(worse, by_score);
            let last = *last;
            let is_worse = |(bits, _): &(u32, u32)| *bits < last;
            // Those with the same score may be on both sides.
            let mut kept = 0;
            for at in 0..self.rest.len() {
                if self.rest.get(at).is_some_and(is_worse) {
                    self.rest.swap(kept, at);
                    kept += 1;
                }
            }
            self.take_from(kept);
        } else {
            self.take_from(0);
        }
    }

    fn take_from(&mut self, start: usize) {
        let part = self.rest.split_off(start.min(self.rest.len()));
        let scored = part.into_iter().filter_map(|(bits, slot)| {
            Some(Scored {
                id: self.view.document(slot)?.id,
                slot,
                score: f32::from_bits(bits),
            })
        });
        self.ordered = scored.collect();
        self.ordered
            .sort_unstable_by_key(|scored| (scored.score.to_bits(), Reverse(scored.id)));
    }
}

impl<V: IndexView> Iterator for Best<'_, V> {
    type Item = Scored<V::Id>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ordered.is_empty() && !self.rest.is_empty() {
            self.order();
        }
        self.ordered.pop()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::Document;
    use crate::index::SearchIndex;

    proptest! {
        #[test]
        fn order_is_that_of_a_whole_sort(scores in prop::collection::vec(0..20_u8, 0..300), wanted in 0..40_usize) {
            let mut index = SearchIndex::new();
            for id in 0..scores.len() {
                index.upsert(&Document { id, name: "a", description: "", tags: &[], headings: &[], body: "" });
            }
            let scores: Vec<(u32, f32)> = (0..).zip(scores.into_iter().map(f32::from)).collect();
            let best: Vec<(u32, f32)> = Best::new(&index, scores.clone(), wanted)
                .map(|scored| (scored.slot, scored.score))
                .collect();
            let mut sorted = scores;
            // The sort is stable, and ids are in the order of slots.
            sorted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
            prop_assert_eq!(best, sorted);
        }
    }
}
