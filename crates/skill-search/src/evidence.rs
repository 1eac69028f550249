//! What the best documents contain of the query: for the second stage, and for the reasons that a hit gives.

use crate::document::Field;
use crate::hit::{Correction, Match};
use crate::live_term::{LiveTerm, name_share};
use crate::postings::FieldCounts;
use crate::query::{Query, TermKind};
use crate::view::IndexView;

/// The terms of the query that one document contains.
#[derive(Default)]
pub(crate) struct Evidence {
    /// In the order of the query: index of the group, index of the term in it, occurrences.
    pub(crate) found: Vec<Found>,
}

#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) group: usize,
    pub(crate) term: usize,
    pub(crate) counts: FieldCounts,
}

/// The evidence of the documents with these slots, in that order.
pub(crate) fn collect<V: IndexView>(
    view: &V,
    groups: &[Vec<LiveTerm<'_>>],
    slots: impl Iterator<Item = u32>,
) -> Vec<Evidence> {
    let mut position_of_slot = vec![u32::MAX; view.slot_count()];
    let mut evidence: Vec<Evidence> = Vec::new();
    for (position, slot) in (0_u32..).zip(slots) {
        if let Some(entry) = position_of_slot.get_mut(slot as usize) {
            *entry = position;
        }
        evidence.push(Evidence::default());
    }
    for (group, terms) in groups.iter().enumerate() {
        for (term, live) in terms.iter().enumerate() {
            for posting in live.postings {
                let position = position_of_slot.get(posting.slot as usize);
                if let Some(evidence) = position.and_then(|position| evidence.get_mut(*position as usize)) {
                    evidence.found.push(Found {
                        group,
                        term,
                        counts: posting.counts,
                    });
                }
            }
        }
    }
    evidence
}

impl Evidence {
    /// The share of a document's name that the query contains. `name_idf` is the sum over the terms of the name.
    pub(crate) fn name_share(&self, groups: &[Vec<LiveTerm<'_>>], name_idf: f32) -> f32 {
        let of_groups = self.found.chunk_by(|one, next| one.group == next.group);
        let found: f32 = of_groups
            .map(|of_group| {
                let in_name = of_group.iter().filter(|found| found.counts.get(Field::Name) > 0);
                let shares =
                    in_name.filter_map(|found| Some(name_share(groups.get(found.group)?.get(found.term)?)));
                shares.fold(0.0, f32::max)
            })
            .sum();
        if name_idf > 0.0 { found / name_idf } else { 0.0 }
    }

    /// The words of the query that the document contains, by field, and those that it contains in another spelling.
    pub(crate) fn matches(
        &self,
        query: &Query,
        groups: &[Vec<LiveTerm<'_>>],
    ) -> (Vec<Match>, Vec<Correction>) {
        let mut matched: Vec<Match> = Vec::new();
        let mut corrected: Vec<Correction> = Vec::new();
        for of_group in self.found.chunk_by(|one, next| one.group == next.group) {
            // Terms are in the order in which they were added: the word as written is first.
            let Some((live, field)) = of_group.iter().find_map(|found| {
                let live = groups.get(found.group)?.get(found.term)?;
                let field = Field::ALL
                    .into_iter()
                    .find(|field| found.counts.get(*field) > 0)?;
                live.term.kind.is_word().then_some((live, field))
            }) else {
                continue;
            };
            let Some(group) = query.groups.get(live.term.group) else {
                continue;
            };
            // The parts of an identifier are terms of one written word.
            let is_shown = matched.iter().any(|earlier| earlier.term == group.written);
            if group.written.is_empty() || is_shown {
                continue;
            }
            matched.push(Match {
                term: group.written.clone(),
                field,
            });
            if let (TermKind::Typo(_), Some(word)) = (live.term.kind, &live.term.word) {
                corrected.push(Correction {
                    written: group.written.clone(),
                    word: word.to_string(),
                });
            }
        }
        matched.sort_by_key(|found| found.field);
        (matched, corrected)
    }
}
