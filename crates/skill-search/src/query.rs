//! Queries: a user's request as terms.

use crate::term::TermKey;
use crate::tokenizer::{TermKind, Tokenizer};
use crate::view::IndexView;

/// Maximum number of characters of a query; the rest is ignored.
pub const MAX_QUERY_CHARS: usize = 2_000;

/// Maximum number of distinct words of a query, and also of its distinct phrases (pairs of adjacent words); the rest
/// is ignored. Bounds the cost of a search.
pub const MAX_QUERY_WORDS: usize = 64;

/// Maximum number of characters of a word in [`Match::term`](crate::Match::term). Some scripts write a sentence as one
/// word.
const MAX_WRITTEN_CHARS: usize = 32;

/// A request in plain words. It has no syntax: quotes, brackets and operators only separate words.
#[derive(Debug, Clone)]
pub struct Query {
    terms: Vec<QueryTerm>,
}

#[derive(Debug, Clone)]
pub(crate) struct QueryTerm {
    pub(crate) key: TermKey,
    pub(crate) kind: TermKind,
    /// The word as written.
    pub(crate) written: String,
}

impl Query {
    /// Parses a request, up to [`MAX_QUERY_CHARS`] and [`MAX_QUERY_WORDS`].
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

    /// The terms whose postings a search reads, each once.
    pub fn keys(&self) -> impl Iterator<Item = TermKey> {
        self.terms.iter().map(|term| term.key)
    }

    /// The query with further terms, for words of which the index contains few. Reads the postings of
    /// [`keys`](Self::keys). Their keys come first, in the same order.
    #[must_use]
    pub fn expanded(&self, _view: &impl IndexView) -> Self {
        self.clone()
    }

    /// Whether there is nothing to search for: no words, or only stop words such as "the".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The number of distinct words, without stop words. The parts of an identifier are words.
    #[must_use]
    pub fn word_count(&self) -> usize {
        self.words().count()
    }

    /// Whether it has a word of `other`, in any form that a search treats as the same.
    #[must_use]
    pub fn shares_word_with(&self, other: &Self) -> bool {
        self.words()
            .any(|word| other.words().any(|other| other.key == word.key))
    }

    fn words(&self) -> impl Iterator<Item = &QueryTerm> {
        self.terms.iter().filter(|term| term.kind == TermKind::Word)
    }

    pub(crate) fn terms(&self) -> &[QueryTerm] {
        &self.terms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn operators_are_plain_text() {
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
    fn query_without_words_is_empty() {
        for text in ["", " \t", "!!! ((", "the of a", "\0"] {
            assert!(Query::new(text).is_empty(), "{text:?}");
        }
        assert!(!Query::new("pdf").is_empty());
    }

    #[test]
    fn repeated_word_is_one_term_as_first_written() {
        let query = Query::new("Tables; table; TABLES");
        let written: Vec<_> = query.terms().iter().map(|term| term.written.as_str()).collect();
        assert_eq!(written, ["Tables"]);
    }

    #[test]
    fn queries_share_words_in_any_form() {
        let query = Query::new("fill in the PDF tables");
        assert_eq!(query.word_count(), 3);
        assert!(query.shares_word_with(&Query::new("a table")));
        assert!(!query.shares_word_with(&Query::new("the sign")));
        assert!(!query.shares_word_with(&Query::new("")));
    }

    proptest! {
        #[test]
        fn number_of_terms_is_limited(text in "(\\PC{0,4}[a-z0-9]{1,3} ?){0,900}") {
            prop_assert!(Query::new(&text).terms().len() <= 2 * MAX_QUERY_WORDS);
        }
    }
}
