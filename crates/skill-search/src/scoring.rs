//! The score of the first stage of the ranking, from the sums of a document, and its upper bound.

use crate::accumulate::Accumulator;
use crate::bm25::idf;
use crate::live_term::{LiveTerm, highest};
use crate::query::Query;
use crate::second_stage;
use crate::view::IndexView;
use crate::weights::Weights;

/// Steps of the covered share of a query for which the upper bound of the factor is computed.
const COVERAGE_STEPS: usize = 128;
/// So much more than the score is its upper bound, because both are rounded.
const ROUNDING: f32 = 1.000_01;

/// What turns the sums of a document into its score.
pub(crate) struct Scoring<'a, V> {
    view: &'a V,
    weights: &'a Weights,
    name_weight: f32,
    /// The sum over all terms of the query.
    query_idf: f32,
    /// By the covered share of the query, in steps of `1 / COVERAGE_STEPS`: the factor for the next higher share.
    coverage_bounds: [f32; COVERAGE_STEPS + 1],
}

impl<'a, V: IndexView> Scoring<'a, V> {
    pub(crate) fn new(
        view: &'a V,
        query: &Query,
        groups: &[Vec<LiveTerm<'_>>],
        weights: &'a Weights,
    ) -> Self {
        let sentence = second_stage::sentence(query.words);
        let mut coverage_bounds = [1.0; COVERAGE_STEPS + 1];
        for (bound, next) in coverage_bounds.iter_mut().zip(1_u16..) {
            let share = (f32::from(next) / COVERAGE_STEPS as f32).min(1.0);
            *bound = share.powf(weights.coverage_exponent) * ROUNDING;
        }
        Self {
            view,
            weights,
            name_weight: weights.name_bonus * sentence + weights.short_name_bonus * (1.0 - sentence),
            query_idf: groups
                .iter()
                .map(|terms| highest(terms, LiveTerm::coverage))
                .sum(),
            coverage_bounds,
        }
    }

    pub(crate) fn score(&self, slot: u32, sums: &Accumulator) -> f32 {
        let coverage = (sums.matched_idf / self.query_idf).powf(self.weights.coverage_exponent);
        sums.score * coverage + self.name_weight * self.name_bonus(slot, sums.name_idf)
    }

    /// At least the score, for a fraction of the work.
    pub(crate) fn upper_bound(&self, sums: &Accumulator) -> f32 {
        let step = (sums.matched_idf / self.query_idf * COVERAGE_STEPS as f32) as usize;
        let coverage = self.coverage_bounds.get(step).copied().unwrap_or(ROUNDING);
        sums.score * coverage + self.name_weight * sums.name_idf * ROUNDING
    }

    /// The bonus for a document whose name occurs in the query, higher if more of the name does. `matched_idf` is the sum over the
    /// name's terms that the query contains. At most `matched_idf`.
    fn name_bonus(&self, slot: u32, matched_idf: f32) -> f32 {
        if matched_idf <= 0.0 {
            return 0.0;
        }
        // A name of stop words has no terms.
        let name_idf = name_idf(self.view, slot).max(matched_idf);
        let share = matched_idf / name_idf;
        matched_idf * share.powf(self.weights.name_coverage_exponent)
    }
}

/// The sum over the terms of a document's name.
pub(crate) fn name_idf<V: IndexView>(view: &V, slot: u32) -> f32 {
    let frequencies = view.name_keys(slot).map(|key| view.name_frequency(key));
    frequencies
        .map(|frequency| idf(view.len(), frequency as usize))
        .sum()
}
