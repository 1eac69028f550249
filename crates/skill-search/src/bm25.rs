//! The numbers and formulas of the ranking.
//!
//! The numbers were tuned on one half of some six thousand requests for real skills and confirmed on the other half;
//! each stands on a flat top, so none needs to be tuned for a tenant.

use super::Field;
use super::postings::Counts;
use super::query::QueryTerm;
use super::tokenizer::TermKind;

/// How many fields there are.
pub(super) const FIELDS: usize = Field::ALL.len();

/// Weighted occurrences at which a term has half of its effect. High, because skills are long and what they are
/// about is said many times.
pub(super) const K1: f32 = 6.0;
/// What the mere presence of a term adds, in parts of its full effect: a long body must not lose to one without it.
pub(super) const PRESENCE: f32 = 0.05;
/// Each further occurrence in a field tells a little less.
pub(super) const OCCURRENCE_EXPONENT: f32 = 0.85;
/// What two neighbouring words of the query that are neighbours in the skill add, beside the two words.
pub(super) const PHRASE_WEIGHT: f32 = 0.35;
/// How much a skill is preferred that has more of the query's words.
pub(super) const COVERAGE_EXPONENT: f32 = 0.2;
/// What a name adds whose words the query says.
pub(super) const NAME_WEIGHT: f32 = 0.5;
/// How much a name loses by words that the query does not say.
pub(super) const NAME_COVERAGE_EXPONENT: f32 = 0.5;

/// A field's weight, and how far its length counts against it (BM25F's b).
pub(super) const fn weight_and_b(field: Field) -> (f32, f32) {
    match field {
        Field::Name => (9.0, 1.0),
        Field::Tags => (3.0, 0.75),
        Field::Description => (3.0, 0.75),
        Field::Headings => (1.5, 0.75),
        Field::Body => (1.0, 0.9),
    }
}

/// How telling a term is that `having` of `skills` have: BM25's inverse document frequency, never below zero.
pub(super) fn rarity(skills: usize, having: usize) -> f32 {
    let (skills, having) = (as_f32(skills as u64), as_f32(having as u64));
    (1.0 + (skills - having + 0.5) / (having + 0.5)).ln()
}

pub(super) const fn weight(term: &QueryTerm) -> f32 {
    match term.kind {
        TermKind::Word => 1.0,
        TermKind::Phrase => PHRASE_WEIGHT,
    }
}

pub(super) fn weighted_occurrences(counts: Counts, norms: &[f32; FIELDS], effects: &[f32; 256]) -> f32 {
    let mut sum = 0.0;
    for (field, norm) in Field::ALL.into_iter().zip(norms) {
        sum += norm
            * effects
                .get(usize::from(counts.get(field)))
                .copied()
                .unwrap_or_default();
    }
    sum
}

/// The effect of each number of occurrences.
pub(super) fn occurrence_effects() -> [f32; 256] {
    let mut effects = [0.0; 256];
    for (effect, occurrences) in effects.iter_mut().zip(0_u16..) {
        *effect = f32::from(occurrences).powf(OCCURRENCE_EXPONENT);
    }
    effects
}

/// Counts of words and skills need no more digits than an f32 has.
#[expect(
    clippy::cast_precision_loss,
    reason = "scores compare sizes; the 24 bits of an f32 are plenty"
)]
pub(super) const fn as_f32(count: u64) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_term_tells_more_than_a_common_one_and_none_tells_against() {
        let rarities = [1, 10, 500, 1_000].map(|having| rarity(1_000, having));
        assert!(rarities.is_sorted_by(|rare, common| rare > common));
        assert!(rarities.iter().all(|rarity| *rarity > 0.0));
    }

    #[test]
    fn a_further_occurrence_adds_but_less_than_the_one_before() {
        let effects = occurrence_effects();
        let steps: Vec<f32> = effects.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.is_sorted_by(|earlier, later| earlier > later));
        assert!(steps.iter().all(|step| *step > 0.0));
    }
}
