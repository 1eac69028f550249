//! Parameters and formulas of the ranking.
//!
//! The parameters were tuned on one half of about 6,000 requests for real skills and confirmed on the other half.
//! Small changes of each parameter do not change the quality, so they need no tuning per tenant.

use crate::document::Field;
use crate::postings::FieldCounts;
use crate::query::QueryTerm;
use crate::tokenizer::TermKind;

/// Weighted occurrences at which a term has half of its maximum effect (BM25's k1). High, because skills are long and
/// repeat the words of their topic.
pub(crate) const K1: f32 = 6.0;
/// Added for the presence of a term, as a share of its maximum effect. Keeps documents with long bodies above those
/// without the term.
pub(crate) const PRESENCE_BONUS: f32 = 0.05;
/// Each further occurrence in a field counts less.
const OCCURRENCE_EXPONENT: f32 = 0.85;
/// Weight of a phrase of two adjacent words, in addition to the two words.
const PHRASE_WEIGHT: f32 = 0.35;
/// Preference for documents that contain more of the query's terms.
pub(crate) const COVERAGE_EXPONENT: f32 = 0.2;
/// Weight of the bonus for names whose words occur in the query.
pub(crate) const NAME_WEIGHT: f32 = 0.5;
/// Reduction of that bonus by words of the name that are not in the query.
pub(crate) const NAME_COVERAGE_EXPONENT: f32 = 0.5;

/// Weight of a field, and the strength of its length normalisation, 0 to 1 (BM25F's b).
pub(crate) const fn weight_and_b(field: Field) -> (f32, f32) {
    match field {
        Field::Name => (9.0, 1.0),
        Field::Tags => (3.0, 0.75),
        Field::Description => (3.0, 0.75),
        Field::Headings => (1.5, 0.75),
        Field::Body => (1.0, 0.9),
    }
}

/// Inverse document frequency of a term that `matching` of `documents` contain. Never negative.
pub(crate) fn idf(documents: usize, matching: usize) -> f32 {
    let (documents, matching) = (documents as f32, matching as f32);
    (1.0 + (documents - matching + 0.5) / (matching + 0.5)).ln()
}

pub(crate) const fn term_weight(term: &QueryTerm) -> f32 {
    match term.kind {
        TermKind::Word => 1.0,
        TermKind::Phrase => PHRASE_WEIGHT,
    }
}

/// Weighs the occurrences of a term in the fields of a document.
pub(crate) struct FieldWeights {
    /// Per field, the reciprocal of an occurrence's weight is `.0 + .1 * length`.
    scales: [(f32, f32); Field::COUNT],
    /// The effect of 0 to 255 occurrences in a field.
    damped: [f32; 256],
}

impl FieldWeights {
    /// Weights for an index of `documents` with `total_lengths` of their fields, in the order of [`Field::ALL`].
    pub(crate) fn new(documents: usize, total_lengths: [u64; Field::COUNT]) -> Self {
        let mut scales = [(0.0, 0.0); Field::COUNT];
        for ((scale, field), total) in scales.iter_mut().zip(Field::ALL).zip(total_lengths) {
            let (weight, b) = weight_and_b(field);
            let average = total as f32 / documents as f32;
            *scale = (
                (1.0 - b) / weight,
                if average > 0.0 { b / average / weight } else { 0.0 },
            );
        }
        Self {
            scales,
            damped: damped_occurrences(),
        }
    }

    /// The sum of the occurrences in all fields, each weighted and normalised by the length of the field.
    pub(crate) fn occurrences(&self, counts: FieldCounts, lengths: &[u32; Field::COUNT]) -> f32 {
        let mut sum = 0.0;
        for ((field, (base, slope)), length) in Field::ALL.into_iter().zip(self.scales).zip(lengths) {
            let occurrences = counts.get(field);
            if occurrences > 0 {
                let effect = self
                    .damped
                    .get(usize::from(occurrences))
                    .copied()
                    .unwrap_or_default();
                sum += effect / (base + slope * (*length).max(1) as f32);
            }
        }
        sum
    }
}

fn damped_occurrences() -> [f32; 256] {
    let mut damped = [0.0; 256];
    for (effect, occurrences) in damped.iter_mut().zip(0_u16..) {
        *effect = f32::from(occurrences).powf(OCCURRENCE_EXPONENT);
    }
    damped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idf_decreases_with_frequency_and_stays_positive() {
        let idfs = [1, 10, 500, 1_000].map(|matching| idf(1_000, matching));
        assert!(idfs.is_sorted_by(|rare, common| rare > common));
        assert!(idfs.iter().all(|idf| *idf > 0.0));
    }

    #[test]
    fn each_further_occurrence_adds_less() {
        let damped = damped_occurrences();
        let steps: Vec<f32> = damped.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.is_sorted_by(|earlier, later| earlier > later));
        assert!(steps.iter().all(|step| *step > 0.0));
    }
}
