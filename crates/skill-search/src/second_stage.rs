//! The second stage of the ranking: orders the best documents of the first by a weighted sum of features, which was
//! learned from requests whose right skill is known.

use crate::document::Field;
use crate::evidence::Evidence;
use crate::query::TermKind;
use crate::ranking::{LiveTerm, Ranked, highest, name_share};
use crate::view::DocumentEntry;
use crate::weights::Weights;

/// The names of the features, in the order of their weights. All are about 0 to 1.
pub const FEATURES: [&str; 36] = [
    // The score of the first stage, relative to the best document.
    "score",
    // The same, relative to the sum over the query's terms.
    "effect",
    // Shares of the query's words, weighted by idf, that are in the document, and in some of its fields.
    "coverage",
    "coverage_front",
    "coverage_description",
    "coverage_headings",
    "coverage_body",
    "coverage_name",
    // Shares of the query's phrases, weighted by idf.
    "phrases",
    "phrases_front",
    "phrases_body",
    // Share of the name that is in the query; 1 if all of it is.
    "name",
    "name_whole",
    // Whether the rarest word of the query is in the document, and in its front fields.
    "rarest",
    "rarest_front",
    // Occurrences in the body, damped.
    "frequency",
    // BM25 of each field alone, relative to the sum over the query's words.
    "bm25_name",
    "bm25_description",
    "bm25_headings",
    "bm25_body",
    // Share of the query's words, by the square of idf, by number, and by idf and topic.
    "coverage_rare",
    "coverage_count",
    "coverage_topic",
    "coverage_topic_front",
    "frequency_topic",
    "coverage_burst",
    "coverage_burst_front",
    "frequency_burst",
    "coverage_front_idf",
    "phrases_topic",
    "missed",
    "length_body_square",
    // Logarithms of lengths in terms.
    "length_name",
    "length_description",
    "length_headings",
    "length_body",
];

/// The features of a document for a query, in the order of [`FEATURES`].
pub type Features = [f32; FEATURES.len()];

/// Sums over the terms of a query.
pub(crate) struct QueryTotals {
    best_score: f32,
    all: f32,
    words: f32,
    names: f32,
    phrases: f32,
    rarest: f32,
    rare: f32,
    count: f32,
    topic: f32,
    burst: f32,
    front: f32,
    phrase_topic: f32,
    averages: [f32; Field::COUNT],
}

impl QueryTotals {
    pub(crate) fn new(
        groups: &[Vec<LiveTerm<'_>>],
        best_score: f32,
        documents: usize,
        total_lengths: [u64; Field::COUNT],
    ) -> Self {
        let mut totals = Self {
            best_score,
            all: 0.0,
            words: 0.0,
            names: 0.0,
            phrases: 0.0,
            rarest: 0.0,
            rare: 0.0,
            count: 0.0,
            topic: 0.0,
            burst: 0.0,
            front: 0.0,
            phrase_topic: 0.0,
            averages: total_lengths.map(|total| (total as f32 / documents as f32).max(1.0)),
        };
        for terms in groups {
            totals.all += highest(terms, |live| live.weight * live.idf);
            let idf = highest(terms, LiveTerm::coverage);
            if is_phrase(terms) {
                totals.phrases += idf;
                totals.phrase_topic += highest(terms, |live| live.topic * live.coverage());
            } else {
                totals.words += idf;
                totals.names += highest(terms, name_share);
                totals.rarest = totals.rarest.max(idf);
                totals.rare += idf * idf;
                totals.count += 1.0;
                totals.topic += highest(terms, |live| live.topic * live.coverage());
                totals.burst += highest(terms, |live| live.burst * live.coverage());
                totals.front += highest(terms, |live| live.front_idf);
            }
        }
        totals
    }
}

fn is_phrase(terms: &[LiveTerm<'_>]) -> bool {
    terms.iter().all(|live| match live.term.kind {
        TermKind::Phrase | TermKind::Character => true,
        TermKind::Word
        | TermKind::StopWord
        | TermKind::Typo(_)
        | TermKind::Completion
        | TermKind::Continuation
        | TermKind::Joined => false,
    })
}

/// Sums over the groups of the query that a document contains.
#[derive(Default)]
struct Sums {
    words: [f32; Field::COUNT],
    phrases: [f32; Field::COUNT],
    any_word: f32,
    front_words: f32,
    any_phrase: f32,
    front_phrases: f32,
    name: f32,
    name_words: f32,
    frequency: f32,
    rarest: f32,
    rarest_front: f32,
    bm25: [f32; Field::COUNT],
    rare: f32,
    count: f32,
    topic: f32,
    topic_front: f32,
    frequency_topic: f32,
    burst: f32,
    burst_front: f32,
    frequency_burst: f32,
    front_idf: f32,
    phrase_topic: f32,
    best_found: f32,
}

/// The features of a document. `name_idf` is the sum over the terms of its name.
pub(crate) fn features<Id>(
    query: &QueryTotals,
    groups: &[Vec<LiveTerm<'_>>],
    document: &DocumentEntry<Id>,
    evidence: &Evidence,
    score: f32,
    name_idf: f32,
) -> Features {
    let sums = sums(query, groups, &document.lengths, evidence);
    let share = |part: f32, whole: f32| if whole > 0.0 { (part / whole).min(1.0) } else { 0.0 };
    let [name, _, description, headings, body] = document.lengths.map(|length| (1.0 + length as f32).ln());
    let [_, _, description_words, headings_words, body_words] = sums.words;
    let [bm25_name, _, bm25_description, bm25_headings, bm25_body] = sums.bm25;
    let [.., body_phrases] = sums.phrases;
    let name_share = share(sums.name, name_idf);
    [
        share(score, query.best_score),
        share(score, query.all),
        share(sums.any_word, query.words),
        share(sums.front_words, query.words),
        share(description_words, query.words),
        share(headings_words, query.words),
        share(body_words, query.words),
        share(sums.name_words, query.names),
        share(sums.any_phrase, query.phrases),
        share(sums.front_phrases, query.phrases),
        share(body_phrases, query.phrases),
        name_share,
        if name_share > 0.99 { 1.0 } else { 0.0 },
        sums.rarest,
        sums.rarest_front,
        share(sums.frequency, query.words),
        share(bm25_name, query.words),
        share(bm25_description, query.words),
        share(bm25_headings, query.words),
        share(bm25_body, query.words),
        share(sums.rare, query.rare),
        share(sums.count, query.count),
        share(sums.topic, query.topic),
        share(sums.topic_front, query.topic),
        share(sums.frequency_topic, query.topic),
        share(sums.burst, query.burst),
        share(sums.burst_front, query.burst),
        share(sums.frequency_burst, query.burst),
        share(sums.front_idf, query.front),
        share(sums.phrase_topic, query.phrase_topic),
        share(sums.best_found, query.rarest),
        body * body / 81.0,
        name / 3.0,
        description / 5.0,
        headings / 6.0,
        body / 9.0,
    ]
}

fn sums(
    query: &QueryTotals,
    groups: &[Vec<LiveTerm<'_>>],
    lengths: &[u32; Field::COUNT],
    evidence: &Evidence,
) -> Sums {
    let mut sums = Sums::default();
    for of_group in evidence.found.chunk_by(|one, next| one.group == next.group) {
        let Some(terms) = of_group.first().and_then(|found| groups.get(found.group)) else {
            continue;
        };
        let is_phrase = is_phrase(terms);
        let mut per_field = [0.0_f32; Field::COUNT];
        let (mut name, mut frequency) = (0.0_f32, 0.0_f32);
        let (mut topic, mut topic_front, mut frequency_topic) = (0.0_f32, 0.0_f32, 0.0_f32);
        let (mut burst, mut burst_front, mut frequency_burst, mut front_idf) =
            (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
        let mut bm25 = [0.0_f32; Field::COUNT];
        for found in of_group {
            let Some(live) = terms.get(found.term) else {
                continue;
            };
            let idf = live.coverage();
            for (highest, field) in per_field.iter_mut().zip(Field::ALL) {
                if found.counts.get(field) > 0 {
                    *highest = highest.max(idf);
                }
            }
            if found.counts.get(Field::Name) > 0 {
                name = name.max(name_share(live));
            }
            let occurrences = f32::from(found.counts.get(Field::Body));
            frequency = frequency.max(idf * occurrences / (4.0 + occurrences));
            frequency_topic = frequency_topic.max(live.topic * idf * occurrences / (4.0 + occurrences));
            topic = topic.max(live.topic * idf);
            burst = burst.max(live.burst * idf);
            frequency_burst = frequency_burst.max(live.burst * idf * occurrences / (4.0 + occurrences));
            if found.counts.is_in_front() {
                topic_front = topic_front.max(live.topic * idf);
                burst_front = burst_front.max(live.burst * idf);
                front_idf = front_idf.max(live.front_idf);
            }
            let of_fields = bm25
                .iter_mut()
                .zip(Field::ALL)
                .zip(lengths.iter().zip(query.averages));
            for ((highest, field), (length, average)) in of_fields {
                let occurrences = f32::from(found.counts.get(field));
                let k = if field == Field::Body { 6.0 } else { 1.2 };
                let norm = k * (0.3 + 0.7 * *length as f32 / average);
                *highest = highest.max(idf * occurrences / (norm + occurrences));
            }
        }
        let any = per_field.iter().copied().fold(0.0, f32::max);
        let [front @ .., _] = per_field;
        let front = front.iter().copied().fold(0.0, f32::max);
        sums.name += name;
        let (of_field, of_any, of_front) = if is_phrase {
            (&mut sums.phrases, &mut sums.any_phrase, &mut sums.front_phrases)
        } else {
            (&mut sums.words, &mut sums.any_word, &mut sums.front_words)
        };
        for (sum, value) in of_field.iter_mut().zip(per_field) {
            *sum += value;
        }
        *of_any += any;
        *of_front += front;
        if is_phrase {
            sums.phrase_topic += topic;
        }
        if !is_phrase {
            sums.name_words += name;
            sums.frequency += frequency;
            sums.frequency_topic += frequency_topic;
            sums.topic += topic;
            sums.burst += burst;
            sums.burst_front += burst_front;
            sums.frequency_burst += frequency_burst;
            sums.front_idf += front_idf;
            sums.best_found = sums.best_found.max(any);
            sums.topic_front += topic_front;
            sums.rare += any * any;
            sums.count += if any > 0.0 { 1.0 } else { 0.0 };
            for (sum, value) in sums.bm25.iter_mut().zip(bm25) {
                *sum += value;
            }
            let is_rarest = |value: f32| {
                if value >= query.rarest && value > 0.0 {
                    1.0
                } else {
                    0.0
                }
            };
            sums.rarest = sums.rarest.max(is_rarest(any));
            sums.rarest_front = sums.rarest_front.max(is_rarest(front));
        }
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
