//! The terms of a query that some documents contain, with what they tell.

use crate::bm25::idf;
use crate::document::Field;
use crate::postings::Posting;
use crate::query::{Query, QueryTerm, TermKind};
use crate::view::IndexView;
use crate::weights::Weights;

/// A term of the query that some documents contain.
pub(crate) struct LiveTerm<'a> {
    pub(crate) term: &'a QueryTerm,
    pub(crate) postings: &'a [Posting],
    /// Share of the term's effect, by its kind.
    pub(crate) weight: f32,
    pub(crate) idf: f32,
    /// The same by its frequency in names.
    pub(crate) name_idf: f32,
    /// Share of its documents that have it in name, tags or description: words of topics have a high one.
    pub(crate) topic: f32,
    /// Inverse document frequency in name, tags and description.
    pub(crate) front_idf: f32,
    /// Mean number of occurrences in the bodies that have it, as 0 to 1: words of topics are repeated.
    pub(crate) burst: f32,
}

/// The terms of each group of the query that some documents contain.
pub(crate) fn live_groups<'a, V: IndexView>(
    view: &'a V,
    query: &'a Query,
    weights: &Weights,
) -> Vec<Vec<LiveTerm<'a>>> {
    let live = |term: &'a QueryTerm| {
        let postings = view.postings(term.key);
        (!postings.is_empty()).then(|| {
            let front = postings
                .iter()
                .filter(|posting| posting.counts.is_in_front())
                .count();
            let topic = (front as f32 + 0.5) / (postings.len() as f32 + 1.0);
            let (mut bodies, mut occurrences) = (0_u32, 0_u32);
            for posting in postings {
                let count = u32::from(posting.counts.get(Field::Body));
                bodies += u32::from(count > 0);
                occurrences += count.min(20);
            }
            let mean = (occurrences as f32 + 2.0) / (bodies as f32 + 1.0);
            LiveTerm {
                term,
                postings,
                weight: weight(term.kind, weights)
                    * topic.powf(weights.topic_exponent)
                    * mean.powf(weights.burst_exponent),
                idf: idf(view.len(), postings.len()),
                name_idf: idf(view.len(), view.name_frequency(term.key) as usize),
                topic,
                front_idf: idf(view.len(), front),
                burst: mean / (4.0 + mean),
            }
        })
    };
    query
        .alternatives()
        .map(|terms| terms.iter().filter_map(live).collect::<Vec<_>>())
        .filter(|terms| !terms.is_empty())
        .collect()
}

const fn weight(kind: TermKind, weights: &Weights) -> f32 {
    match kind {
        TermKind::Word => 1.0,
        TermKind::StopWord => weights.foreign_stop_word,
        TermKind::Request => weights.request_word,
        TermKind::Phrase => weights.phrase,
        TermKind::Character => weights.character,
        TermKind::Typo(errors) => {
            if errors < 2 {
                weights.typo_one
            } else {
                weights.typo_two
            }
        }
        TermKind::Completion => weights.completion,
        TermKind::Continuation => weights.continuation,
        TermKind::Joined => weights.joined,
    }
}

impl LiveTerm<'_> {
    /// What the term adds to the part of the query that a document covers.
    pub(crate) fn coverage(&self) -> f32 {
        match self.term.kind {
            TermKind::Word | TermKind::Phrase | TermKind::Joined => self.idf,
            TermKind::StopWord
            | TermKind::Request
            | TermKind::Character
            | TermKind::Typo(_)
            | TermKind::Completion
            | TermKind::Continuation => self.weight * self.idf,
        }
    }
}

/// What a term adds to the part of a name that the query covers.
pub(crate) fn name_share(live: &LiveTerm<'_>) -> f32 {
    match live.term.kind {
        TermKind::Word | TermKind::Phrase | TermKind::Joined => live.name_idf,
        TermKind::StopWord
        | TermKind::Request
        | TermKind::Character
        | TermKind::Typo(_)
        | TermKind::Completion
        | TermKind::Continuation => live.weight * live.name_idf,
    }
}

/// The highest value of the terms of a group.
pub(crate) fn highest<'a>(terms: &[LiveTerm<'a>], value: impl Fn(&LiveTerm<'a>) -> f32) -> f32 {
    terms.iter().map(value).fold(0.0, f32::max)
}
