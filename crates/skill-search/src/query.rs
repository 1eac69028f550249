//! Queries: a user's request as terms.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::language::Language;
use crate::language_guess;
use crate::names::NameKeys;
use crate::segmentation::{fold, without_umlauts};
use crate::stop_words::REQUEST;
use crate::term::TermKey;
use crate::tokenizer::{Token, TokenKind, Tokenizer, stem_keys};

/// Maximum number of characters of a query; the rest is ignored.
pub const MAX_QUERY_CHARS: usize = 2_000;

/// Maximum number of distinct words of a query, and also of its distinct phrases (pairs of adjacent words); the rest
/// is ignored. Bounds the cost of a search.
pub const MAX_QUERY_WORDS: usize = 64;

/// Maximum number of characters of a word in [`Match::term`](crate::Match::term). Some scripts write a sentence as one
/// word.
const MAX_WRITTEN_CHARS: usize = 32;

/// Queries of fewer words are names or topics rather than sentences.
const MIN_SENTENCE_WORDS: usize = 5;

/// A request in plain words. It has no syntax: quotes, brackets and operators only separate words.
#[derive(Debug, Clone)]
pub struct Query {
    /// Ordered by group.
    pub(crate) terms: Vec<QueryTerm>,
    pub(crate) groups: Vec<Group>,
    /// Number of distinct words, without stop words; in scripts without spaces, of pairs.
    pub(crate) words: usize,
    /// The whole text as a name.
    pub(crate) name: NameKeys,
    /// Whether the text ends with a word, which may be unfinished.
    pub(crate) is_open: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct QueryTerm {
    pub(crate) key: TermKey,
    pub(crate) kind: TermKind,
    /// Index of its group.
    pub(crate) group: usize,
    /// The word of the vocabulary, if it is not the word as written.
    pub(crate) word: Option<Box<str>>,
}

/// Terms of which a document needs one: a word and other forms of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// The word as written; empty for phrases and characters, which are not shown.
    pub(crate) written: String,
    /// The word with case, accents and width folded; empty in scripts without spaces.
    pub(crate) folded: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TermKind {
    /// A word, or a pair of characters in a script without spaces.
    Word,
    /// A word that is common in the language of the query, which is not English.
    StopWord,
    /// A word of a sentence that says what is asked for rather than about which topic.
    Request,
    Phrase,
    /// One character of a pair.
    Character,
    /// A word that is similar to the word as written, with this number of errors.
    Typo(usize),
    /// A word that begins with the word as written, of which the index has nothing.
    Completion,
    /// The same for a word that the index has.
    Continuation,
    /// Words that are apart in the query and joined in the text, or the reverse.
    Joined,
}

impl TermKind {
    /// Whether documents with the term have the word, rather than only something beside it.
    pub(crate) const fn is_word(self) -> bool {
        match self {
            Self::Word
            | Self::StopWord
            | Self::Request
            | Self::Typo(_)
            | Self::Completion
            | Self::Continuation
            | Self::Joined => true,
            Self::Phrase | Self::Character => false,
        }
    }
}

impl Query {
    /// Parses a request, up to [`MAX_QUERY_CHARS`] and [`MAX_QUERY_WORDS`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        let end = text
            .char_indices()
            .nth(MAX_QUERY_CHARS)
            .map_or(text.len(), |(at, _)| at);
        let text = text.get(..end).unwrap_or(text);
        let languages = language_guess::of_query(text);
        let mut tokenizer = Tokenizer::default();
        let mut query = Self {
            terms: Vec::new(),
            groups: Vec::new(),
            words: 0,
            name: NameKeys::new(&mut tokenizer, text),
            is_open: text.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_')),
        };
        let (mut words, mut phrases, mut characters) = (0_usize, 0_usize, 0_usize);
        // The group of the last word; `None` if the word is ignored, and so are its other forms.
        let mut word_group = None;
        tokenizer.tokens(text, &languages, &mut |token| {
            let count = match token.kind {
                TokenKind::Word => &mut words,
                TokenKind::Phrase => &mut phrases,
                TokenKind::Character => &mut characters,
                TokenKind::Stem => {
                    if let Some((group, kind)) = word_group {
                        query.add(token.key, kind, group, None);
                    }
                    return;
                }
            };
            let is_ignored = *count >= MAX_QUERY_WORDS || query.has(token.key);
            if !is_ignored {
                *count += 1;
            }
            if token.kind == TokenKind::Word {
                word_group = (!is_ignored).then(|| query.add_word(token, &languages));
            } else if !is_ignored {
                let kind = match token.kind {
                    TokenKind::Character => TermKind::Character,
                    TokenKind::Word | TokenKind::Stem | TokenKind::Phrase => TermKind::Phrase,
                };
                let group = query.add_group(Group::default());
                query.add(token.key, kind, group, None);
            }
        });
        query.words = words;
        if words >= MIN_SENTENCE_WORDS {
            query.mark_request_words();
        }
        query.sort();
        query
    }

    /// Adds a word with its group, and its spelling without umlauts. Returns the group and the kind.
    fn add_word(&mut self, token: Token<'_>, languages: &[Language]) -> (usize, TermKind) {
        let mut folded = String::new();
        fold(token.written, &mut folded);
        let kind = if language_guess::is_stop_word(&folded, languages) {
            TermKind::StopWord
        } else {
            TermKind::Word
        };
        let group = self.add_group(Group {
            written: token.written.chars().take(MAX_WRITTEN_CHARS).collect(),
            folded,
        });
        self.add(token.key, kind, group, None);
        if let Some(spelled) = without_umlauts(token.written) {
            for key in stem_keys(&spelled, languages) {
                self.add(key, kind, group, None);
            }
        }
        (group, kind)
    }

    fn mark_request_words(&mut self) {
        for term in &mut self.terms {
            if term.kind == TermKind::Word && is_request_word(term.key) {
                term.kind = TermKind::Request;
            }
        }
    }

    pub(crate) fn has(&self, key: TermKey) -> bool {
        self.terms.iter().any(|term| term.key == key)
    }

    pub(crate) fn add_group(&mut self, group: Group) -> usize {
        self.groups.push(group);
        self.groups.len() - 1
    }

    /// Adds a term, unless the query has its key.
    pub(crate) fn add(&mut self, key: TermKey, kind: TermKind, group: usize, word: Option<&str>) {
        if !self.has(key) {
            self.terms.push(QueryTerm {
                key,
                kind,
                group,
                word: word.map(Box::from),
            });
        }
    }

    pub(crate) fn sort(&mut self) {
        self.terms.sort_by_key(|term| term.group);
    }

    /// The terms whose postings a search reads, each once.
    pub fn keys(&self) -> impl Iterator<Item = TermKey> {
        let name = [self.name.literal, self.name.compact];
        let name = name.into_iter().filter(|key| *key != TermKey::EMPTY);
        self.terms.iter().map(|term| term.key).chain(name)
    }

    /// Whether there is nothing to search for: no words, or only stop words such as "the".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The number of distinct words, without stop words. The parts of an identifier are words.
    #[must_use]
    pub fn word_count(&self) -> usize {
        self.words
    }

    /// Whether it has a word of `other`, in any form that a search treats as the same.
    #[must_use]
    pub fn shares_word_with(&self, other: &Self) -> bool {
        self.terms.iter().any(|term| {
            let is_same = |other: &QueryTerm| other.key == term.key && other.kind.is_word();
            term.kind.is_word() && other.terms.iter().any(is_same)
        })
    }

    /// The terms of each group.
    pub(crate) fn alternatives(&self) -> impl Iterator<Item = &[QueryTerm]> {
        self.terms.chunk_by(|one, next| one.group == next.group)
    }
}

/// Whether a word, in any form, is one of [`REQUEST`].
fn is_request_word(key: TermKey) -> bool {
    static KEYS: LazyLock<HashSet<TermKey>> = LazyLock::new(|| {
        let mut tokenizer = Tokenizer::default();
        REQUEST
            .split_whitespace()
            .filter_map(|word| tokenizer.word_key(word))
            .collect()
    });
    KEYS.contains(&key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn operators_are_plain_text() {
        let keys = |text| {
            let query = Query::new(text);
            query.terms.iter().map(|term| term.key).collect::<Vec<_>>()
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
        let written: Vec<_> = query.groups.iter().map(|group| group.written.as_str()).collect();
        assert_eq!(written, ["Tables"]);
    }

    #[test]
    fn words_of_a_request_count_less_in_sentences_only() {
        let kinds = |text| {
            Query::new(text)
                .terms
                .into_iter()
                .map(|term| term.kind)
                .collect::<Vec<_>>()
        };
        let sentence = kinds("Please explaining two sorts of Kubernetes networking, ingress");
        let requested = sentence.iter().filter(|kind| **kind == TermKind::Request).count();
        assert_eq!(requested, 2);
        assert!(!kinds("explain diff").contains(&TermKind::Request));
    }

    #[test]
    fn keys_are_different() {
        let query = Query::new("code review, code-review \u{88c5}\u{4fee} \u{4fee}");
        let keys: Vec<TermKey> = query.keys().collect();
        let mut different = keys.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), keys.len());
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
            prop_assert!(Query::new(&text).groups.len() <= 3 * MAX_QUERY_WORDS);
        }
    }
}
