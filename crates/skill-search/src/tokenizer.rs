//! Splits text into the terms of the index.
//!
//! Words are runs of letters and digits, folded (case, width, accents) and stemmed. Scripts without spaces become
//! overlapping pairs of characters (bigrams), which need no dictionary. Two adjacent words are also a phrase term.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};

use crate::segmentation::{Script, fold, identifier_parts, next_word};
use crate::term::TermKey;

/// Longer words are ignored: they are digests, encoded data or noise.
const MAX_WORD_BYTES: usize = 64;

/// Maximum number of cached stems. Skills in English repeat a few thousand words, and stemming is most of the cost of
/// indexing.
const MAX_CACHED_STEMS: usize = 16_384;

/// Words that occur in nearly every request and skill and do not describe its topic. Sorted.
const STOP_WORDS: &[&str] = &[
    "a", "about", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been", "between", "both",
    "but", "by", "can", "could", "did", "do", "does", "don", "during", "each", "every", "few", "for", "from",
    "had", "has", "have", "he", "her", "here", "his", "how", "i", "if", "in", "into", "is", "it", "its",
    "just", "may", "me", "might", "more", "most", "must", "my", "no", "not", "of", "on", "once", "only",
    "or", "other", "our", "out", "over", "own", "please", "same", "she", "should", "so", "some", "such",
    "than", "that", "the", "their", "then", "there", "these", "they", "this", "those", "through", "to",
    "too", "under", "up", "very", "was", "we", "were", "what", "when", "where", "which", "who", "why",
    "will", "with", "without", "would", "you", "your",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TermKind {
    /// A word, or a pair of characters in a script without spaces.
    Word,
    /// Two adjacent words.
    Phrase,
}

/// One occurrence of a term.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'t> {
    pub(crate) key: TermKey,
    pub(crate) kind: TermKind,
    /// The word as written. For a phrase, its second word.
    pub(crate) written: &'t str,
}

/// Splits texts into tokens. Reuse it for many texts: it caches stems.
pub(crate) struct Tokenizer {
    stemmer: Stemmer,
    /// The stem of a folded word; `None` for a stop word.
    stems: HashMap<Box<str>, Option<Box<str>>>,
    /// Buffer for the current word.
    folded: String,
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self {
            stemmer: Stemmer::create(Algorithm::English),
            stems: HashMap::new(),
            folded: String::new(),
        }
    }
}

impl Tokenizer {
    /// Size of the stem cache in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let texts: usize = self
            .stems
            .iter()
            .map(|(word, stem)| word.len() + stem.as_deref().map_or(0, str::len))
            .sum();
        self.stems.capacity() * (size_of::<(Box<str>, Option<Box<str>>)>() + 1) + texts
    }

    /// Calls `each` with the tokens of `text`, in order.
    pub(crate) fn tokens<'t>(&mut self, text: &'t str, each: &mut impl FnMut(Token<'t>)) {
        let mut rest = text;
        let mut previous: Option<TermKey> = None;
        while let Some(word) = next_word(&mut rest) {
            if !word.is_adjacent {
                previous = None;
            }
            previous = match word.script {
                Script::Spaced => self.word_tokens(word.text, previous, each),
                Script::Unspaced => {
                    self.bigram_tokens(word.text, each);
                    None
                }
            };
        }
    }

    /// Calls `each` with the folded words of `text` that are separated by spaces, except stop words.
    pub(crate) fn words(&mut self, text: &str, each: &mut impl FnMut(&str)) {
        let mut rest = text;
        while let Some(word) = next_word(&mut rest) {
            if word.script == Script::Spaced && word.text.len() <= MAX_WORD_BYTES {
                fold(word.text, &mut self.folded);
                if STOP_WORDS.binary_search(&self.folded.as_str()).is_err() {
                    each(&self.folded);
                }
            }
        }
    }

    /// Returns the key of the word if the next word may form a phrase with it.
    fn word_tokens<'t>(
        &mut self,
        word: &'t str,
        previous: Option<TermKey>,
        each: &mut impl FnMut(Token<'t>),
    ) -> Option<TermKey> {
        if word.len() > MAX_WORD_BYTES {
            return None;
        }
        let (key, phrase) = self.keys(word, previous)?;
        let mut emit = |key, kind| {
            each(Token {
                key,
                kind,
                written: word,
            });
        };
        emit(key, TermKind::Word);
        if let Some(phrase) = phrase {
            emit(phrase, TermKind::Phrase);
        }
        for part in identifier_parts(word).into_iter().flatten() {
            if let Some((key, _)) = self.keys(part, None) {
                emit(key, TermKind::Word);
            }
        }
        Some(key)
    }

    /// The key of a word, and the key of the phrase with the previous word. `None` for a stop word.
    fn keys(&mut self, word: &str, previous: Option<TermKey>) -> Option<(TermKey, Option<TermKey>)> {
        fold(word, &mut self.folded);
        let keys = |stem: &str| {
            (
                TermKey::EMPTY.extended(stem),
                previous.map(|previous| previous.extended(stem)),
            )
        };
        if let Some(stem) = self.stems.get(self.folded.as_str()) {
            return stem.as_deref().map(keys);
        }
        let is_stop_word = STOP_WORDS.binary_search(&self.folded.as_str()).is_ok();
        let stem = (!is_stop_word).then(|| self.stemmer.stem(&self.folded));
        if self.stems.len() < MAX_CACHED_STEMS {
            self.stems
                .insert(self.folded.as_str().into(), stem.as_deref().map(Box::from));
        }
        stem.as_deref().map(keys)
    }

    fn bigram_tokens<'t>(&mut self, run: &'t str, each: &mut impl FnMut(Token<'t>)) {
        fold(run, &mut self.folded);
        let folded = self.folded.as_str();
        let mut token = |start: usize, end: usize| {
            let Some(pair) = folded.get(start..end) else {
                return;
            };
            // If folding changed the text, the offsets do not apply to the run as written.
            let written = if folded == run {
                run.get(start..end).unwrap_or(run)
            } else {
                run
            };
            each(Token {
                key: TermKey::EMPTY.extended(pair),
                kind: TermKind::Word,
                written,
            });
        };
        let seconds = folded.char_indices().skip(1);
        let mut pairs = folded.char_indices().zip(seconds).peekable();
        if pairs.peek().is_none() && !folded.is_empty() {
            token(0, folded.len());
        }
        for ((start, _), (second, last)) in pairs {
            token(start, second + last.len_utf8());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(text: &str, kind: TermKind) -> Vec<TermKey> {
        let mut keys = Vec::new();
        Tokenizer::default().tokens(text, &mut |token| {
            if token.kind == kind {
                keys.push(token.key);
            }
        });
        keys
    }

    fn words(text: &str) -> Vec<TermKey> {
        keys(text, TermKind::Word)
    }

    #[test]
    fn stop_words_are_sorted_for_binary_search() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn forms_of_a_word_are_one_term() {
        for (one, other) in [
            ("Extracting", "extracts"),
            ("user's", "users"),
            ("user\u{2019}s", "user"),
            ("Caf\u{e9}", "cafe\u{301}"),
            ("caf\u{e9}", "cafe"),
            ("\u{ff30}\u{ff24}\u{ff26}", "pdf"),
        ] {
            assert_eq!(words(one), words(other), "{one} {other}");
            assert_eq!(words(one).len(), 1, "{one}");
        }
    }

    #[test]
    fn language_names_with_different_suffix_are_different_terms() {
        let languages = ["c", "c++", "C#", "f#"].map(words);
        for (i, one) in languages.iter().enumerate() {
            assert_eq!(one.len(), 1);
            assert!(languages.iter().skip(i + 1).all(|other| one != other));
        }
        assert_eq!(words("c++,"), words("C++"));
        assert_eq!(words("a+b"), words("a b"));
    }

    #[test]
    fn compounds_match_however_they_are_joined() {
        let joined = words("codereview");
        for text in ["code review", "code-review", "Code_Review", "code/reviews"] {
            assert_eq!(keys(text, TermKind::Phrase), joined, "{text}");
        }
        for text in ["code, review", "code. Review", "code\nreview", "code and review"] {
            assert_eq!(keys(text, TermKind::Phrase), [], "{text}");
        }
    }

    #[test]
    fn identifiers_are_split_and_names_are_not() {
        assert_eq!(words("parseJSONFile"), words("parsejsonfile parse json file"));
        assert_eq!(words("useEffect"), words("useeffect use effect"));
        assert_eq!(words("GitHub"), words("github"));
        assert_eq!(words("PDF"), words("pdf"));
    }

    #[test]
    fn scripts_without_spaces_become_bigrams() {
        assert_eq!(words("装修合同"), words("装修 修合 合同"));
        assert_eq!(words("字").len(), 1);
        assert_eq!(words("PDF変換"), words("pdf 変換"));
        assert_eq!(words("ｶﾀｶﾅ"), words("カタカナ"));
    }

    #[test]
    fn long_words_stop_words_and_symbols_are_ignored() {
        assert_eq!(words(&"x".repeat(MAX_WORD_BYTES + 1)), []);
        assert_eq!(words("the of AND \u{1f600} -- ()"), []);
    }

    proptest! {
        #[test]
        fn tokens_of_any_text_occur_in_it(text in ".*") {
            Tokenizer::default().tokens(&text, &mut |token| assert!(text.contains(token.written)));
        }

        #[test]
        fn cached_stems_do_not_change_tokens(text in "[a-zA-Z' ]{0,60}") {
            let mut tokenizer = Tokenizer::default();
            let [mut first, mut second] = [Vec::new(), Vec::new()];
            tokenizer.tokens(&text, &mut |token| first.push(token.key));
            tokenizer.tokens(&text, &mut |token| second.push(token.key));
            prop_assert_eq!(first, second);
        }
    }
}
