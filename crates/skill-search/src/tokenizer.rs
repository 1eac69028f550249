//! Cuts text into the terms of the index.
//!
//! Words are runs of letters and digits, folded (case, width, accents) and stemmed. Scripts that are written without
//! spaces become overlapping pairs of characters, which needs no dictionary. Two words that stand next to each other
//! make a phrase term as well.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};

use super::segmentation::{Script, fold, identifier_humps, next_word};

/// Words longer than this are digests, encoded data or noise, and nobody searches for them.
const MAX_WORD_BYTES: usize = 64;

/// How many stems are remembered. English skills repeat a few thousand words, and stemming is most of the work of
/// indexing.
const MAX_REMEMBERED_STEMS: usize = 16_384;

/// Words that nearly every request and skill has and that say nothing of what it is about.
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

/// A term of the index: a 64-bit FNV-1a hash of the stem.
///
/// The hash of two stems one after the other equals the hash of the joined word, so `code review`, `code-review` and
/// `codereview` are one term without a string being built. A made-up collision gains nothing: whoever can publish
/// the colliding word can publish the word itself. The maps that hold these keys hash them again with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TermKey(u64);

impl TermKey {
    const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    fn followed_by(self, text: &str) -> Self {
        let hash = text.bytes().fold(self.0, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash)
    }
}

/// What a term stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TermKind {
    /// A word, or a pair of characters of a script without spaces.
    Word,
    /// Two neighbouring words.
    Phrase,
}

/// One occurrence of a term.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) key: TermKey,
    pub(super) kind: TermKind,
    /// The text as written; of a phrase, its second word.
    pub(super) written: &'t str,
}

/// Turns texts into tokens. Kept between texts for the stems that it remembers.
pub(super) struct Tokenizer {
    stemmer: Stemmer,
    /// A folded word's stem; `None` for a stop word.
    stems: HashMap<Box<str>, Option<Box<str>>>,
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
    /// What the remembered stems take, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let texts: usize = self
            .stems
            .iter()
            .map(|(word, stem)| word.len() + stem.as_deref().map_or(0, str::len))
            .sum();
        self.stems.capacity() * (size_of::<(Box<str>, Option<Box<str>>)>() + 1) + texts
    }

    /// Calls `each` for the tokens of `text`, in order.
    pub(super) fn tokens<'t>(&mut self, text: &'t str, each: &mut impl FnMut(Token<'t>)) {
        let mut rest = text;
        let mut before: Option<TermKey> = None;
        while let Some(word) = next_word(&mut rest) {
            if !word.touches_previous {
                before = None;
            }
            before = match word.script {
                Script::Spaced => self.word(word.text, before, each),
                Script::Unspaced => {
                    self.character_pairs(word.text, each);
                    None
                }
            };
        }
    }

    /// The tokens of a word; its key where a phrase may go on from it.
    fn word<'t>(
        &mut self,
        word: &'t str,
        before: Option<TermKey>,
        each: &mut impl FnMut(Token<'t>),
    ) -> Option<TermKey> {
        if word.len() > MAX_WORD_BYTES {
            return None;
        }
        let (key, phrase) = self.keys(word, before)?;
        each(Token {
            key,
            kind: TermKind::Word,
            written: word,
        });
        if let Some(key) = phrase {
            each(Token {
                key,
                kind: TermKind::Phrase,
                written: word,
            });
        }
        if let Some(humps) = identifier_humps(word) {
            for hump in humps {
                if let Some((key, _)) = self.keys(hump, None) {
                    each(Token {
                        key,
                        kind: TermKind::Word,
                        written: word,
                    });
                }
            }
        }
        Some(key)
    }

    /// The key of a word, and that of the phrase with the word before. `None` for a stop word.
    fn keys(&mut self, word: &str, before: Option<TermKey>) -> Option<(TermKey, Option<TermKey>)> {
        fold(word, &mut self.folded);
        let keys = |stem: &str| {
            (
                TermKey::EMPTY.followed_by(stem),
                before.map(|before| before.followed_by(stem)),
            )
        };
        if let Some(stem) = self.stems.get(self.folded.as_str()) {
            return stem.as_deref().map(keys);
        }
        let is_stop_word = STOP_WORDS.binary_search(&self.folded.as_str()).is_ok();
        let stem = (!is_stop_word).then(|| self.stemmer.stem(&self.folded));
        if self.stems.len() < MAX_REMEMBERED_STEMS {
            self.stems
                .insert(self.folded.as_str().into(), stem.as_deref().map(Box::from));
        }
        stem.as_deref().map(keys)
    }

    fn character_pairs<'t>(&mut self, run: &'t str, each: &mut impl FnMut(Token<'t>)) {
        fold(run, &mut self.folded);
        let folded = self.folded.as_str();
        let mut token = |start: usize, end: usize| {
            let Some(pair) = folded.get(start..end) else {
                return;
            };
            // Folding may have moved the characters; then the run stands for its pairs.
            let written = if folded == run {
                run.get(start..end).unwrap_or(run)
            } else {
                run
            };
            each(Token {
                key: TermKey::EMPTY.followed_by(pair),
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
    fn stop_words_are_in_order_for_the_search_among_them() {
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
    fn languages_that_differ_by_a_sign_are_different_terms() {
        let languages = ["c", "c++", "C#", "f#"].map(words);
        for (i, one) in languages.iter().enumerate() {
            assert_eq!(one.len(), 1);
            assert!(languages.iter().skip(i + 1).all(|other| one != other));
        }
        assert_eq!(words("c++,"), words("C++"));
        assert_eq!(words("a+b"), words("a b"));
    }

    #[test]
    fn compound_words_meet_however_they_are_joined() {
        let joined = words("codereview");
        for text in ["code review", "code-review", "Code_Review", "code/reviews"] {
            assert_eq!(keys(text, TermKind::Phrase), joined, "{text}");
        }
        for text in ["code, review", "code. Review", "code\nreview", "code and review"] {
            assert_eq!(keys(text, TermKind::Phrase), [], "{text}");
        }
    }

    #[test]
    fn identifiers_are_found_by_their_words_and_names_are_not_cut() {
        assert_eq!(words("parseJSONFile"), words("parsejsonfile parse json file"));
        assert_eq!(words("useEffect"), words("useeffect use effect"));
        assert_eq!(words("GitHub"), words("github"));
        assert_eq!(words("PDF"), words("pdf"));
    }

    #[test]
    fn scripts_without_spaces_become_pairs_of_characters() {
        assert_eq!(words("装修合同"), words("装修 修合 合同"));
        assert_eq!(words("字").len(), 1);
        assert_eq!(words("PDF変換"), words("pdf 変換"));
        assert_eq!(words("ｶﾀｶﾅ"), words("カタカナ"));
    }

    #[test]
    fn words_that_nobody_types_are_left_out() {
        assert_eq!(words(&"x".repeat(MAX_WORD_BYTES + 1)), []);
        assert_eq!(words("the of AND \u{1f600} -- ()"), []);
    }

    proptest! {
        #[test]
        fn any_text_has_tokens_that_stand_in_it(text in ".*") {
            Tokenizer::default().tokens(&text, &mut |token| assert!(text.contains(token.written)));
        }

        #[test]
        fn remembered_stems_change_nothing(text in "[a-zA-Z' ]{0,60}") {
            let mut tokenizer = Tokenizer::default();
            let [mut first, mut second] = [Vec::new(), Vec::new()];
            tokenizer.tokens(&text, &mut |token| first.push(token.key));
            tokenizer.tokens(&text, &mut |token| second.push(token.key));
            prop_assert_eq!(first, second);
        }
    }
}
