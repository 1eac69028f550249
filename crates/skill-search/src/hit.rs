//! Search results.

use std::fmt::Write as _;

use crate::document::Field;

/// A word of the query that a document contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The word as written in the query.
    pub term: String,
    /// The field with the highest weight that contains the word.
    pub field: Field,
}

/// A word of the query that is probably written wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The word as written in the query.
    pub written: String,
    /// The word that the document contains instead, in lowercase.
    pub word: String,
}

/// A document that matches a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<Id> {
    pub id: Id,
    /// Higher is better. Comparable within one search only.
    pub score: f32,
    /// Whether its name is the query, however it is written. Such hits are before all others.
    pub is_named: bool,
    /// The words of the query that the document contains: by field, highest weight first, then in the query's order.
    pub matched: Vec<Match>,
    /// The words of `matched` that the document contains only in another spelling, in the query's order.
    pub corrected: Vec<Correction>,
    /// The signature of the body, see [`are_near_duplicates`].
    pub signature: u64,
}

/// Maximum number of bits in which the signatures of bodies that are nearly the same differ. Of 766 pairs of real skills
/// below it, 757 have at least half of their pairs of adjacent words in common.
const NEAR_DUPLICATE_BITS: u32 = 7;

/// Whether two bodies, given by their signatures, are nearly the same. Bodies without words are not.
#[must_use]
pub const fn are_near_duplicates(one: u64, other: u64) -> bool {
    one != 0 && other != 0 && (one ^ other).count_ones() <= NEAR_DUPLICATE_BITS
}

/// Puts hits whose bodies are nearly the same together: each hit with the later hits that are similar to it.
///
/// Reorders nothing, so the first of them in each group is the best.
pub fn fold_near_duplicates<Id>(hits: impl IntoIterator<Item = Hit<Id>>) -> Vec<(Hit<Id>, Vec<Hit<Id>>)> {
    let mut folded: Vec<(Hit<Id>, Vec<Hit<Id>>)> = Vec::new();
    for hit in hits {
        let similar = folded
            .iter_mut()
            .find(|(first, _)| are_near_duplicates(first.signature, hit.signature));
        match similar {
            Some((_, similar)) => similar.push(hit),
            None => folded.push((hit, Vec::new())),
        }
    }
    folded
}

impl<Id> Hit<Id> {
    /// The same hit with another form of the document's identifier.
    pub fn with_id<Other>(self, convert: impl FnOnce(Id) -> Other) -> Hit<Other> {
        Hit {
            id: convert(self.id),
            score: self.score,
            is_named: self.is_named,
            matched: self.matched,
            corrected: self.corrected,
            signature: self.signature,
        }
    }

    /// The reason for the hit, for example `name: pdf; description: extract, tables`, with at most `max_terms` words.
    #[must_use]
    pub fn why(&self, max_terms: usize) -> String {
        let mut why = String::new();
        let mut previous = None;
        for Match { term, field } in self.matched.iter().take(max_terms) {
            let written = if previous == Some(*field) {
                write!(why, ", {term}")
            } else {
                let separator = if why.is_empty() { "" } else { "; " };
                write!(why, "{separator}{}: {term}", field.as_str())
            };
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
            previous = Some(*field);
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(term: &str, field: Field) -> Match {
        Match {
            term: term.to_owned(),
            field,
        }
    }

    #[test]
    fn why_lists_matched_words_by_field() {
        let hit = Hit {
            id: 7,
            score: 1.0,
            is_named: false,
            matched: vec![
                matched("pdf", Field::Name),
                matched("extract", Field::Description),
                matched("tables", Field::Description),
                matched("page", Field::Body),
            ],
            corrected: Vec::new(),
            signature: 0,
        };
        assert_eq!(hit.why(9), "name: pdf; description: extract, tables; body: page");
        assert_eq!(hit.why(2), "name: pdf; description: extract");
        assert_eq!(hit.why(0), "");
    }

    #[test]
    fn near_duplicates_are_folded_into_the_best() {
        let hit = |id, signature| Hit {
            id,
            score: 1.0,
            is_named: false,
            matched: Vec::new(),
            corrected: Vec::new(),
            signature,
        };
        let hits = [
            hit(1, 0xff),
            hit(2, 0xff00),
            hit(3, 0xfe),
            hit(4, 0),
            hit(5, 0),
            hit(6, 0xff01),
        ];
        let folded: Vec<(i32, Vec<i32>)> = fold_near_duplicates(hits)
            .into_iter()
            .map(|(first, similar)| (first.id, similar.into_iter().map(|hit| hit.id).collect()))
            .collect();
        assert_eq!(folded, [(1, vec![3]), (2, vec![6]), (4, vec![]), (5, vec![])]);
    }
}
