//! Formulas of the first stage of the ranking.

use crate::document::Field;
use crate::postings::FieldCounts;
use crate::weights::Weights;

/// Inverse document frequency of a term that `matching` of `documents` contain. Never negative.
pub(crate) fn idf(documents: usize, matching: usize) -> f32 {
    let (documents, matching) = (documents as f32, matching as f32);
    (1.0 + (documents - matching + 0.5) / (matching + 0.5)).ln()
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
    pub(crate) fn new(weights: &Weights, documents: usize, total_lengths: [u64; Field::COUNT]) -> Self {
        let mut scales = [(0.0, 0.0); Field::COUNT];
        for ((scale, field), total) in scales.iter_mut().zip(Field::ALL).zip(total_lengths) {
            let (weight, b) = weight_and_b(weights, field);
            let average = total as f32 / documents as f32;
            // Without lengths, only keys of whole names are in the field.
            *scale = if average > 0.0 {
                ((1.0 - b) / weight, b / average / weight)
            } else {
                (1.0 / weight, 0.0)
            };
        }
        Self {
            scales,
            damped: damped_occurrences(weights.occurrence_exponent),
        }
    }

    /// What an occurrence in a body counts, by the lengths of its document.
    pub(crate) fn body_scale(&self, lengths: &[u32; Field::COUNT]) -> f32 {
        // The last field.
        let ([.., (base, slope)], [.., length]) = (self.scales, lengths);
        (base + slope * (*length).max(1) as f32).recip()
    }

    /// The sum of the occurrences in all fields, each weighted and normalised by the length of the field.
    pub(crate) fn occurrences(&self, counts: FieldCounts, lengths: &[u32; Field::COUNT]) -> f32 {
        let mut sum = 0.0;
        for ((field, (base, slope)), length) in Field::ALL.into_iter().zip(self.scales).zip(lengths) {
            let occurrences = counts.get(field);
            if occurrences > 0 {
                sum += self.effect(occurrences) / (base + slope * (*length).max(1) as f32);
            }
        }
        sum
    }

    /// The effect of so many occurrences in a field.
    pub(crate) fn effect(&self, occurrences: u8) -> f32 {
        self.damped
            .get(usize::from(occurrences))
            .copied()
            .unwrap_or_default()
    }
}

/// Weight of a field, and the strength of its length normalisation.
const fn weight_and_b(weights: &Weights, field: Field) -> (f32, f32) {
    match field {
        Field::Name => (weights.name_weight, weights.name_b),
        Field::Tags => (weights.tags_weight, weights.tags_b),
        Field::Description => (weights.description_weight, weights.description_b),
        Field::Headings => (weights.headings_weight, weights.headings_b),
        Field::Body => (weights.body_weight, weights.body_b),
    }
}

fn damped_occurrences(exponent: f32) -> [f32; 256] {
    let mut damped = [0.0; 256];
    for (effect, occurrences) in damped.iter_mut().zip(0_u16..) {
        *effect = f32::from(occurrences).powf(exponent);
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
        let damped = damped_occurrences(Weights::builtin().occurrence_exponent);
        let steps: Vec<f32> = damped.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.is_sorted_by(|earlier, later| earlier > later));
        assert!(steps.iter().all(|step| *step > 0.0));
    }
}
