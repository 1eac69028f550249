//! A reader's request as terms, read once.

use super::tokenizer::{TermKey, TermKind, Tokenizer};

/// How many characters of a query count. Longer ones are cut, because a request says what it is about early.
pub const MAX_QUERY_CHARS: usize = 2_000;

/// How many different words of a query count, the first ones; as many pairs of neighbours count besides. This bounds
/// the cost of a query whatever is in it.
pub const MAX_QUERY_WORDS: usize = 64;

/// How much of a word is repeated to the reader. Scripts without spaces may write a sentence as one word.
const MAX_WRITTEN_CHARS: usize = 32;

/// A request in a reader's own words. There is no syntax: quotes, brackets and operators separate words and mean
/// nothing else.
#[derive(Debug, Clone)]
pub struct Query {
    terms: Vec<QueryTerm>,
}

#[derive(Debug, Clone)]
pub(super) struct QueryTerm {
    pub(super) key: TermKey,
    pub(super) kind: TermKind,
    pub(super) written: String,
}

impl Query {
    /// Reads a request. Words beyond [`MAX_QUERY_CHARS`] and [`MAX_QUERY_WORDS`] are left out.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let end = text
            .char_indices()
            .nth(MAX_QUERY_CHARS)
            .map_or(text.len(), |(at, _)| at);
        let mut terms: Vec<QueryTerm> = Vec::new();
        let (mut words, mut phrases) = (0, 0);
        Tokenizer::default().tokens(text.get(..end).unwrap_or(text), &mut |token| {
            let count = match token.kind {
                TermKind::Word => &mut words,
                TermKind::Phrase => &mut phrases,
            };
            if *count < MAX_QUERY_WORDS && terms.iter().all(|term| term.key != token.key) {
                *count += 1;
                terms.push(QueryTerm {
                    key: token.key,
                    kind: token.kind,
                    written: token.written.chars().take(MAX_WRITTEN_CHARS).collect(),
                });
            }
        });
        Self { terms }
    }

    /// Whether nothing is left to search for: no text, or words such as "the" and "of" alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn terms(&self) -> &[QueryTerm] {
        &self.terms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn signs_are_plain_text() {
        let keys = |text| {
            Query::new(text)
                .terms()
                .iter()
                .map(|term| term.key)
                .collect::<Vec<_>>()
        };
        let plain = keys("pdf; table; name; draft");
        for text in [
            "\"pdf\" & table | name: !draft*",
            "(pdf) [table] {name} -draft",
            "pdf\0table\0name\0draft",
        ] {
            assert_eq!(keys(text), plain, "{text}");
        }
    }

    #[test]
    fn a_query_without_words_is_empty() {
        for text in ["", " \t", "!!! ((", "the of a", "\0"] {
            assert!(Query::new(text).is_empty(), "{text:?}");
        }
        assert!(!Query::new("pdf").is_empty());
    }

    #[test]
    fn a_word_said_twice_is_one_term_as_first_written() {
        let query = Query::new("Tables; table; TABLES");
        let written: Vec<_> = query.terms().iter().map(|term| term.written.as_str()).collect();
        assert_eq!(written, ["Tables"]);
    }

    proptest! {
        #[test]
        fn a_query_is_bounded(text in "(\\PC{0,4}[a-z0-9]{1,3} ?){0,900}") {
            prop_assert!(Query::new(&text).terms().len() <= 2 * MAX_QUERY_WORDS);
        }
    }
}
