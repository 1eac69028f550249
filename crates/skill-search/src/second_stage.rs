//! The second stage of the ranking: orders the best documents of the first by a weighted sum of features, which was
//! learned from requests whose right skill is known.

use crate::document::Field;
use crate::evidence::{Evidence, Found};
use crate::live_term::{LiveTerm, highest};
use crate::query::TermKind;
use crate::ranked::Ranked;
use crate::weights::{FEATURES, Weights};

/// The features of a document for a query, in the order of [`FEATURES`].
pub type Features = [f32; FEATURES.len()];

/// Occurrences in a body at which a word has half of its effect in the features, and the strength of the normalisation
/// by length in `bm25_body`.
const HALF_EFFECT: f32 = 4.0;
const BODY_K: f32 = 6.0;
const BODY_B: f32 = 0.7;

/// Up to this number of words, only the first stage orders: such queries are names or parts of names, and the weights
/// were learned from sentences. From the second number on, the second stage has its full effect.
const SHORT_WORDS: f32 = 3.0;
const LONG_WORDS: f32 = 8.0;

/// How much a query of this number of words is a sentence rather than a name, 0 to 1.
pub(crate) fn sentence(words: usize) -> f32 {
    ((words as f32 - SHORT_WORDS) / (LONG_WORDS - SHORT_WORDS)).clamp(0.0, 1.0)
}

/// Sums over the words of a query, or over those that a document contains, each by its form with the highest value.
#[derive(Default, Clone, Copy)]
struct Words {
    idf: f32,
    squares: f32,
    count: f32,
    topic: f32,
    burst: f32,
    front_idf: f32,
    rarest: f32,
}

/// Sums over the terms of a query.
pub(crate) struct QueryTotals {
    best_score: f32,
    words: Words,
    phrases: f32,
    average_body: f32,
    sentence: f32,
}

impl QueryTotals {
    /// `words` is the number of words of the query, `average_body` the average length of a body in terms.
    pub(crate) fn new(
        groups: &[Vec<LiveTerm<'_>>],
        best_score: f32,
        words: usize,
        average_body: f32,
    ) -> Self {
        let mut totals = Self {
            best_score,
            words: Words::default(),
            phrases: 0.0,
            average_body: average_body.max(1.0),
            sentence: sentence(words),
        };
        for terms in groups {
            if is_phrase(terms) {
                totals.phrases += highest(terms, LiveTerm::coverage);
            } else {
                totals.words.add(&Words {
                    idf: highest(terms, LiveTerm::coverage),
                    topic: highest(terms, |live| live.topic * live.coverage()),
                    burst: highest(terms, |live| live.burst * live.coverage()),
                    front_idf: highest(terms, |live| live.front_idf),
                    ..Words::default()
                });
            }
        }
        totals
    }
}

impl Words {
    /// Adds one word. The other sums follow from its idf.
    fn add(&mut self, word: &Self) {
        self.idf += word.idf;
        self.squares += word.idf * word.idf;
        self.count += if word.idf > 0.0 { 1.0 } else { 0.0 };
        self.topic += word.topic;
        self.burst += word.burst;
        self.front_idf += word.front_idf;
        self.rarest = self.rarest.max(word.idf);
    }
}

fn is_phrase(terms: &[LiveTerm<'_>]) -> bool {
    terms.iter().all(|live| match live.term.kind {
        TermKind::Phrase | TermKind::Character => true,
        TermKind::Word
        | TermKind::StopWord
        | TermKind::Request
        | TermKind::Typo(_)
        | TermKind::Completion
        | TermKind::Continuation
        | TermKind::Joined => false,
    })
}

/// What a document contains of a query.
#[derive(Default)]
struct Sums {
    words: Words,
    phrases: f32,
    description: f32,
    body: f32,
    front_burst: f32,
    frequency: f32,
    frequency_topic: f32,
    frequency_burst: f32,
    bm25_body: f32,
}

/// The features of a document. `name_share` is the share of its name that the query contains.
pub(crate) fn features(
    query: &QueryTotals,
    groups: &[Vec<LiveTerm<'_>>],
    lengths: &[u32; Field::COUNT],
    evidence: &Evidence,
    score: f32,
    name_share: f32,
) -> Features {
    let [_, _, description, _, body] = lengths.map(|length| length as f32);
    let norm = BODY_K * (1.0 - BODY_B + BODY_B * body / query.average_body);
    let sums = sums(groups, evidence, norm);
    let share = |part: f32, whole: f32| if whole > 0.0 { (part / whole).min(1.0) } else { 0.0 };
    let of = query.words;
    let (description, body) = ((1.0 + description).ln() / 5.0, (1.0 + body).ln() / 9.0);
    let mut features = [
        share(score, query.best_score),
        share(sums.description, of.idf),
        share(sums.body, of.idf),
        share(sums.words.squares, of.squares),
        share(sums.words.count, of.count),
        share(sums.words.topic, of.topic),
        share(sums.words.burst, of.burst),
        share(sums.front_burst, of.burst),
        share(sums.words.front_idf, of.front_idf),
        share(sums.words.rarest, of.rarest),
        share(sums.phrases, query.phrases),
        if name_share > 0.99 { 1.0 } else { 0.0 },
        share(sums.frequency, of.idf),
        share(sums.frequency_topic, of.topic),
        share(sums.frequency_burst, of.burst),
        share(sums.bm25_body, of.idf),
        description,
        body,
        body * body,
    ];
    for feature in features.iter_mut().skip(1) {
        *feature *= query.sentence;
    }
    features
}

fn sums(groups: &[Vec<LiveTerm<'_>>], evidence: &Evidence, norm: f32) -> Sums {
    let mut sums = Sums::default();
    for found in evidence.found.chunk_by(|one, next| one.group == next.group) {
        let Some(terms) = found.first().and_then(|found| groups.get(found.group)) else {
            continue;
        };
        // The highest value of the found terms.
        let best = |value: &dyn Fn(&LiveTerm<'_>, &Found) -> f32| {
            let values = found
                .iter()
                .filter_map(|found| Some(value(terms.get(found.term)?, found)));
            values.fold(0.0, f32::max)
        };
        let idf = best(&|live, _| live.coverage());
        if is_phrase(terms) {
            sums.phrases += idf;
            continue;
        }
        let if_in = |is_in: bool, value: f32| if is_in { value } else { 0.0 };
        let body = |found: &Found| f32::from(found.counts.get(Field::Body));
        let damped = |found: &Found| body(found) / (HALF_EFFECT + body(found));
        sums.words.add(&Words {
            idf,
            topic: best(&|live, _| live.topic * live.coverage()),
            burst: best(&|live, _| live.burst * live.coverage()),
            front_idf: best(&|live, found| if_in(found.counts.is_in_front(), live.front_idf)),
            ..Words::default()
        });
        sums.description +=
            best(&|live, found| if_in(found.counts.get(Field::Description) > 0, live.coverage()));
        sums.body += best(&|live, found| if_in(body(found) > 0.0, live.coverage()));
        sums.front_burst +=
            best(&|live, found| if_in(found.counts.is_in_front(), live.burst * live.coverage()));
        sums.frequency += best(&|live, found| live.coverage() * damped(found));
        sums.frequency_topic += best(&|live, found| live.topic * live.coverage() * damped(found));
        sums.frequency_burst += best(&|live, found| live.burst * live.coverage() * damped(found));
        sums.bm25_body += best(&|live, found| live.coverage() * body(found) / (norm + body(found)));
    }
    sums
}

/// Orders the first documents, of which `features` are given, by their weighted sum. Exact names stay first.
///
/// The new scores are on the scale of the first stage: the best document keeps the highest score, and a difference of
/// the weighted sums counts as much as the same difference by the first stage's score alone. No document falls below
/// those that follow.
pub(crate) fn reorder<Id>(
    chosen: &mut Vec<Ranked<Id>>,
    evidence: &mut Vec<Evidence>,
    features: &[Features],
    weights: &Weights,
) {
    let rest = chosen.split_off(features.len().min(chosen.len()));
    let rest_evidence = evidence.split_off(features.len().min(evidence.len()));
    let best_score = chosen
        .iter()
        .map(|ranked| ranked.own_score)
        .fold(0.0, f32::max)
        .max(1.0);
    let least_score = rest.first().map_or(best_score * 1e-3, |ranked| ranked.score);
    let weighted = |features: &Features| -> f32 {
        features
            .iter()
            .zip(weights.second_stage)
            .map(|(feature, weight)| feature * weight)
            .sum()
    };
    let mut ordered: Vec<(f32, Ranked<Id>, Evidence)> = features
        .iter()
        .map(weighted)
        .zip(chosen.drain(..).zip(evidence.drain(..)))
        .map(|(sum, (ranked, evidence))| (sum, ranked, evidence))
        .collect();
    // Stable: documents with equal sums keep their order.
    ordered.sort_by(|(one, one_ranked, _), (other, other_ranked, _)| {
        let by_exactness = other_ranked.exactness.cmp(&one_ranked.exactness);
        by_exactness.then(other.total_cmp(one))
    });
    let highest = ordered.iter().map(|(sum, _, _)| *sum).fold(f32::MIN, f32::max);
    let [score_weight, ..] = weights.second_stage;
    let scale = best_score / score_weight.max(1.0);
    let mut previous = f32::MAX;
    for (sum, mut ranked, of) in ordered {
        let own = (best_score - (highest - sum) * scale).max(least_score);
        let score = own + best_score * f32::from(ranked.exactness);
        ranked.score = score.min(previous);
        previous = ranked.score;
        chosen.push(ranked);
        evidence.push(of);
    }
    chosen.extend(rest);
    evidence.extend(rest_evidence);
}
