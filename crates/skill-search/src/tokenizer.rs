//! Splits text into the terms of the index.
//!
//! Words are runs of letters and digits, folded (case, width, accents) and stemmed. Scripts without spaces become
//! overlapping pairs of characters (bigrams), which need no dictionary, and single characters. Two adjacent words are
//! also a phrase term.

use std::collections::HashMap;

use crate::language::Language;
use crate::segmentation::{Script, fold, identifier_parts, next_word};
use crate::stop_words::ENGLISH;
use crate::term::TermKey;

/// Longer words are ignored: they are digests, encoded data or noise.
const MAX_WORD_BYTES: usize = 64;

/// Maximum number of cached stems. Skills in English repeat a few thousand words, and stemming is most of the cost of
/// indexing.
const MAX_CACHED_STEMS: usize = 16_384;

/// What a token of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A word, or a pair of characters in a script without spaces.
    Word,
    /// The stem of the word before it in another language.
    Stem,
    /// Two adjacent words.
    Phrase,
    /// One of the characters of the pairs, if it has a meaning of its own.
    Character,
}

/// One occurrence of a term.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'t> {
    pub(crate) key: TermKey,
    pub(crate) kind: TokenKind,
    /// The word as written. For a phrase, its second word.
    pub(crate) written: &'t str,
}

/// Splits texts into tokens. Reuse it for many texts: it caches stems.
#[derive(Default)]
pub(crate) struct Tokenizer {
    /// The stem in English, or in the language of its script, of a folded word; `None` for a stop word.
    stems: HashMap<Box<str>, Option<Box<str>>>,
    /// Buffer for the current word.
    folded: String,
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

    /// Calls `each` with the tokens of `text`, in order. A word has a stem in English, or in the language of its
    /// script, and one in each of `languages` where it differs.
    pub(crate) fn tokens<'t>(
        &mut self,
        text: &'t str,
        languages: &[Language],
        each: &mut impl FnMut(Token<'t>),
    ) {
        let mut rest = text;
        let mut previous: Option<TermKey> = None;
        while let Some(word) = next_word(&mut rest) {
            if !word.is_adjacent {
                previous = None;
            }
            previous = match word.script {
                Script::Spaced => self.word_tokens(word.text, previous, languages, each),
                Script::Unspaced => {
                    self.bigram_tokens(word.text, each);
                    None
                }
            };
        }
    }

    /// Calls `each` with the folded words of `text`, stop words too. A run of a script without spaces is a word.
    pub(crate) fn words(&mut self, text: &str, each: &mut impl FnMut(&str, Script)) {
        let mut rest = text;
        while let Some(word) = next_word(&mut rest) {
            if word.text.len() <= MAX_WORD_BYTES {
                fold(word.text, &mut self.folded);
                each(&self.folded, word.script);
            }
        }
    }

    /// The key of a folded word; `None` for a stop word.
    pub(crate) fn word_key(&mut self, folded: &str) -> Option<TermKey> {
        self.keys(folded, None).map(|(key, _)| key)
    }

    /// The key of the phrase of a word and the next, folded word; `None` for a stop word.
    pub(crate) fn phrase_key(&mut self, previous: TermKey, folded: &str) -> Option<TermKey> {
        self.keys(folded, Some(previous)).and_then(|(_, phrase)| phrase)
    }

    /// Returns the key of the word if the next word may form a phrase with it.
    fn word_tokens<'t>(
        &mut self,
        word: &'t str,
        previous: Option<TermKey>,
        languages: &[Language],
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
        emit(key, TokenKind::Word);
        for stem in stem_keys(&self.folded, languages) {
            if stem != key {
                emit(stem, TokenKind::Stem);
            }
        }
        if let Some(phrase) = phrase {
            emit(phrase, TokenKind::Phrase);
        }
        for part in identifier_parts(word).into_iter().flatten() {
            if let Some((key, _)) = self.keys(part, None) {
                emit(key, TokenKind::Word);
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
        let is_stop_word = ENGLISH.binary_search(&self.folded.as_str()).is_ok();
        let stemmer = Language::of_script(&self.folded).stemmer();
        let stem = (!is_stop_word).then(|| stemmer.stem(&self.folded));
        if self.stems.len() < MAX_CACHED_STEMS {
            self.stems
                .insert(self.folded.as_str().into(), stem.as_deref().map(Box::from));
        }
        stem.as_deref().map(keys)
    }

    fn bigram_tokens<'t>(&mut self, run: &'t str, each: &mut impl FnMut(Token<'t>)) {
        fold(run, &mut self.folded);
        let folded = self.folded.as_str();
        let mut token = |start: usize, end: usize, kind: TokenKind| {
            let Some(characters) = folded.get(start..end) else {
                return;
            };
            // If folding changed the length, the offsets do not apply to the run as written.
            let written = if folded.len() == run.len() {
                run.get(start..end).unwrap_or(run)
            } else {
                run
            };
            each(Token {
                key: TermKey::EMPTY.extended(characters),
                kind,
                written,
            });
        };
        let mut characters = folded.char_indices().peekable();
        let mut is_first = true;
        while let Some((start, c)) = characters.next() {
            let end = start + c.len_utf8();
            match characters.peek() {
                Some((second, next)) => {
                    token(start, second + next.len_utf8(), TokenKind::Word);
                    if has_meaning_alone(c) {
                        token(start, end, TokenKind::Character);
                    }
                }
                None if is_first => token(start, end, TokenKind::Word),
                None if has_meaning_alone(c) => token(start, end, TokenKind::Character),
                None => {}
            }
            is_first = false;
        }
    }
}

/// The keys of a folded word in the spelling of some languages.
pub(crate) fn stem_keys(folded: &str, languages: &[Language]) -> Vec<TermKey> {
    let mut keys = Vec::new();
    for language in languages {
        let key = TermKey::EMPTY.extended(&language.stemmer().stem(folded));
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// Han characters and Hangul syllables. A single kana, or a letter of another script without spaces, tells nothing.
const fn has_meaning_alone(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(text: &str, kind: TokenKind) -> Vec<TermKey> {
        let mut keys = Vec::new();
        Tokenizer::default().tokens(text, &[], &mut |token| {
            if token.kind == kind {
                keys.push(token.key);
            }
        });
        keys
    }

    fn words(text: &str) -> Vec<TermKey> {
        keys(text, TokenKind::Word)
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
            assert_eq!(keys(text, TokenKind::Phrase), joined, "{text}");
        }
        for text in ["code, review", "code. Review", "code\nreview", "code and review"] {
            assert_eq!(keys(text, TokenKind::Phrase), [], "{text}");
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
        assert_eq!(keys("装修", TokenKind::Character), words("装 修"));
        assert_eq!(keys("ファイル", TokenKind::Character), []);
        assert_eq!(words("字").len(), 1);
        assert_eq!(words("PDF変換"), words("pdf 変換"));
        assert_eq!(words("ｶﾀｶﾅ"), words("カタカナ"));
    }

    #[test]
    fn words_have_a_stem_in_each_language() {
        let mut kinds = Vec::new();
        Tokenizer::default().tokens("Rechnungen", &[Language::German, Language::Dutch], &mut |token| {
            kinds.push(token.kind);
        });
        assert_eq!(kinds.first(), Some(&TokenKind::Word));
        assert!(kinds.iter().skip(1).all(|kind| *kind == TokenKind::Stem));
        assert!(kinds.len() > 1);
        assert_eq!(words("файлы"), words("файлов"));
    }

    #[test]
    fn long_words_stop_words_and_symbols_are_ignored() {
        assert_eq!(words(&"x".repeat(MAX_WORD_BYTES + 1)), []);
        assert_eq!(words("the of AND \u{1f600} -- ()"), []);
    }

    proptest! {
        #[test]
        fn tokens_of_any_text_occur_in_it(text in ".*") {
            Tokenizer::default().tokens(&text, &[], &mut |token| assert!(text.contains(token.written)));
        }

        #[test]
        fn cached_stems_do_not_change_tokens(text in "[a-zA-Z' ]{0,60}") {
            let mut tokenizer = Tokenizer::default();
            let [mut first, mut second] = [Vec::new(), Vec::new()];
            tokenizer.tokens(&text, &[], &mut |token| first.push(token.key));
            tokenizer.tokens(&text, &[], &mut |token| second.push(token.key));
            prop_assert_eq!(first, second);
        }
    }
}
