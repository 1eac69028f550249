//! The sums over the terms of a query, for each document.

use crate::bm25::FieldWeights;
use crate::document::Field;
use crate::live_term::{LiveTerm, name_share};
use crate::postings::Posting;
use crate::view::IndexView;
use crate::weights::Weights;

/// Sums over the query's terms that a document contains.
#[derive(Clone, Copy, Default)]
pub(crate) struct Accumulator {
    pub(crate) score: f32,
    pub(crate) matched_idf: f32,
    /// Sum over the terms in the name, by their frequency in names.
    pub(crate) name_idf: f32,
}

impl Accumulator {
    fn add(&mut self, other: Self) {
        self.score += other.score;
        self.matched_idf += other.matched_idf;
        self.name_idf += other.name_idf;
    }
}

/// The sums of each document, by slot. A query has very many postings, so this is most of the work of a search.
pub(crate) fn accumulate<V: IndexView>(
    view: &V,
    groups: &[Vec<LiveTerm<'_>>],
    weights: &Weights,
) -> Vec<Accumulator> {
    let effects = Effects::new(view, weights);
    let mut accumulators = vec![Accumulator::default(); view.slot_count()];
    // Of several forms of a word, the one with the most effect counts: the best of each document, and those documents.
    let mut best = Vec::new();
    let mut found: Vec<u32> = Vec::new();
    for terms in groups {
        if let [live] = terms.as_slice() {
            effects.for_each(live, |slot, sums| {
                if let Some(total) = accumulators.get_mut(slot as usize) {
                    total.add(sums);
                }
            });
            continue;
        }
        best.resize(view.slot_count(), Accumulator::default());
        for live in terms {
            effects.for_each(live, |slot, sums| {
                if let Some(total) = best.get_mut(slot as usize)
                    && sums.score > total.score
                {
                    if total.score <= 0.0 {
                        found.push(slot);
                    }
                    *total = sums;
                }
            });
        }
        for slot in found.drain(..) {
            let slot = slot as usize;
            if let (Some(total), Some(best)) = (accumulators.get_mut(slot), best.get_mut(slot)) {
                total.add(std::mem::take(best));
            }
        }
    }
    accumulators
}

/// Computes what a posting adds to the sums of its document.
struct Effects<'a, V> {
    view: &'a V,
    weights: &'a Weights,
    fields: FieldWeights,
    /// By slot: what an occurrence in the body counts. Together, so that the processor's cache holds them.
    body_scales: Vec<f32>,
}

impl<'a, V: IndexView> Effects<'a, V> {
    fn new(view: &'a V, weights: &'a Weights) -> Self {
        let fields = FieldWeights::new(weights, view.len(), view.total_lengths());
        // There are fewer than 2³² slots, since a posting has 32 bits for its slot.
        let slots = 0..u32::try_from(view.slot_count()).unwrap_or(u32::MAX);
        let body_scales = slots
            .map(|slot| {
                view.lengths(slot)
                    .map_or(0.0, |lengths| fields.body_scale(lengths))
            })
            .collect();
        Self {
            view,
            weights,
            fields,
            body_scales,
        }
    }

    /// Calls `each` for the documents of a term, with their slots.
    fn for_each(&self, live: &LiveTerm<'_>, mut each: impl FnMut(u32, Accumulator)) {
        let (share, coverage, name_idf) = (live.weight * live.idf, live.coverage(), name_share(live));
        for posting in live.postings {
            let occurrences = self.occurrences(posting);
            let effect = occurrences / (self.weights.k1 + occurrences) + self.weights.presence;
            let is_in_name = posting.counts.get(Field::Name) > 0;
            let sums = Accumulator {
                score: share * effect,
                matched_idf: coverage,
                name_idf: if is_in_name { name_idf } else { 0.0 },
            };
            each(posting.slot, sums);
        }
    }

    fn occurrences(&self, posting: &Posting) -> f32 {
        // Most postings have nothing else.
        if posting.counts.is_in_body_only() {
            let scale = self.body_scales.get(posting.slot as usize);
            return self.fields.effect(posting.counts.get(Field::Body)) * scale.copied().unwrap_or_default();
        }
        let lengths = self.view.lengths(posting.slot);
        lengths.map_or(0.0, |lengths| self.fields.occurrences(posting.counts, lengths))
    }
}
