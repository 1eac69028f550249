//! Finds the words of the query that each hit contains, and their fields.

use crate::document::Field;
use crate::hit::Match;
use crate::postings::Posting;
use crate::query::Query;
use crate::tokenizer::TermKind;
use crate::view::IndexView;

/// The matches of each document of `slots`, in that order.
pub(crate) fn matches<V: IndexView>(view: &V, query: &Query, slots: &[u32]) -> Vec<Vec<Match>> {
    let mut matches: Vec<Vec<Match>> = slots.iter().map(|_| Vec::new()).collect();
    let mut position_of_slot = vec![None; view.slot_count()];
    for (position, slot) in slots.iter().enumerate() {
        if let Some(entry) = position_of_slot.get_mut(*slot as usize) {
            *entry = Some(position);
        }
    }
    for term in query.terms().iter().filter(|term| term.kind == TermKind::Word) {
        for Posting { slot, counts } in view.postings(term.key) {
            let Some(position) = position_of_slot.get(*slot as usize).copied().flatten() else {
                continue;
            };
            let field = Field::ALL.into_iter().find(|field| counts.get(*field) > 0);
            if let (Some(matched), Some(field)) = (matches.get_mut(position), field) {
                // The parts of an identifier are terms of one written word.
                if matched.iter().all(|earlier| earlier.term != term.written) {
                    matched.push(Match {
                        term: term.written.clone(),
                        field,
                    });
                }
            }
        }
    }
    for matched in &mut matches {
        matched.sort_by_key(|found| found.field);
    }
    matches
}
