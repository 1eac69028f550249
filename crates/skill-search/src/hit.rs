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
    /// The words of the query that the document contains: by field, highest weight first, then in the query's order.
    pub matched: Vec<Match>,
    /// The words of `matched` that the document contains only in another spelling, in the query's order.
    pub corrected: Vec<Correction>,
}

impl<Id> Hit<Id> {
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
            matched: vec![
                matched("pdf", Field::Name),
                matched("extract", Field::Description),
                matched("tables", Field::Description),
                matched("page", Field::Body),
            ],
            corrected: Vec::new(),
        };
        assert_eq!(hit.why(9), "name: pdf; description: extract, tables; body: page");
        assert_eq!(hit.why(2), "name: pdf; description: extract");
        assert_eq!(hit.why(0), "");
    }
}
