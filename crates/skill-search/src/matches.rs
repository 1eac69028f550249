//! Why a skill was found: which words of the query it has, and where.

use super::index::SearchIndex;
use super::postings::Posting;
use super::query::Query;
use super::tokenizer::TermKind;
use super::{Field, Match};

impl SearchIndex {
    /// For each skill, by slot, which of the query's words it has and where.
    pub(super) fn matches(&self, query: &Query, chosen: &[u32]) -> Vec<Vec<Match>> {
        let mut matched: Vec<Vec<Match>> = chosen.iter().map(|_| Vec::new()).collect();
        let mut order = vec![None; self.slots().len()];
        for (at, slot) in chosen.iter().enumerate() {
            if let Some(place) = order.get_mut(*slot as usize) {
                *place = Some(at);
            }
        }
        for term in query.terms().iter().filter(|term| term.kind == TermKind::Word) {
            for Posting { slot, counts } in self.postings(term.key) {
                let Some(at) = order.get(*slot as usize).copied().flatten() else {
                    continue;
                };
                let field = Field::ALL.into_iter().find(|field| counts.get(*field) > 0);
                if let (Some(matched), Some(field)) = (matched.get_mut(at), field) {
                    // The parts of an identifier were written as one word.
                    if matched.iter().all(|earlier| earlier.term != term.written) {
                        matched.push(Match {
                            term: term.written.clone(),
                            field,
                        });
                    }
                }
            }
        }
        for matched in &mut matched {
            matched.sort_by_key(|found| found.field);
        }
        matched
    }
}
