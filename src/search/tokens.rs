//! Cuts text into the terms of the index.
//!
//! Words are runs of letters and digits, folded (case, width, accents) and stemmed. Scripts that are written without
//! spaces become overlapping pairs of characters, which needs no dictionary. Two words that stand next to each other
//! make a phrase term as well.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

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
    stems: HashMap<Box<str>, Box<str>>,
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
            .map(|(word, stem)| word.len() + stem.len())
            .sum();
        self.stems.capacity() * (size_of::<(Box<str>, Box<str>)>() + 1) + texts
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
        if STOP_WORDS.binary_search(&self.folded.as_str()).is_ok() {
            return None;
        }
        if let Some(stem) = self.stems.get(self.folded.as_str()) {
            return Some((
                TermKey::EMPTY.followed_by(stem),
                before.map(|key| key.followed_by(stem)),
            ));
        }
        let stem = self.stemmer.stem(&self.folded);
        let keys = (
            TermKey::EMPTY.followed_by(&stem),
            before.map(|key| key.followed_by(&stem)),
        );
        if self.stems.len() < MAX_REMEMBERED_STEMS {
            self.stems
                .insert(self.folded.as_str().into(), stem.as_ref().into());
        }
        Some(keys)
    }

    fn character_pairs<'t>(&mut self, run: &'t str, each: &mut impl FnMut(Token<'t>)) {
        fold(run, &mut self.folded);
        let mut token = |text: &str| {
            each(Token {
                key: TermKey::EMPTY.followed_by(text),
                kind: TermKind::Word,
                written: run,
            });
        };
        let after_first = self.folded.chars().next().map_or(0, char::len_utf8);
        let (starts, seconds) = (self.folded.char_indices(), self.folded.char_indices().skip(1));
        let mut pairs = starts.zip(seconds).peekable();
        if pairs.peek().is_none() && after_first > 0 {
            token(&self.folded);
        }
        for ((start, _), (second, last)) in pairs {
            if let Some(pair) = self.folded.get(start..second + last.len_utf8()) {
                token(pair);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Spaced,
    Unspaced,
}

struct Word<'t> {
    text: &'t str,
    script: Script,
    /// One character that joins, or a single space, is all that stands between this word and the one before.
    touches_previous: bool,
}

/// Takes the next word off the front of `rest`.
fn next_word<'t>(rest: &mut &'t str) -> Option<Word<'t>> {
    let start = rest.find(char::is_alphanumeric)?;
    let (gap, from_word) = rest.split_at(start);
    let touches_previous = matches!(gap, " " | "-" | "." | "_" | "/");
    let script = if from_word.starts_with(is_unspaced) {
        Script::Unspaced
    } else {
        Script::Spaced
    };
    let goes_on = |c: char| match script {
        Script::Spaced => is_word_char(c) && !is_unspaced(c),
        Script::Unspaced => is_unspaced(c),
    };
    let end = from_word.find(|c| !goes_on(c)).unwrap_or(from_word.len());
    let (text, after) = from_word.split_at(end);
    let (text, after) = match script {
        Script::Spaced => (with_language_signs(from_word, text), after),
        Script::Unspaced => (text, after),
    };
    *rest = without_contraction(after);
    Some(Word {
        text,
        script,
        touches_previous,
    })
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && is_combining_mark(c))
}

/// Letters of scripts that do not separate words with spaces, and Hangul, whose particles hang on the words.
fn is_unspaced(c: char) -> bool {
    match u32::from(c) {
        // Thai, Lao, Myanmar and Khmer.
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff
        // Kana, Han and Hangul, with their compatibility forms.
        | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff
        | 0xff66..=0xff9f | 0x2_0000..=0x3_ffff => is_word_char(c),
        _ => false,
    }
}

/// `C`, `F` or `j` with the signs that make it `C++`, `F#` or `j#`: another language.
fn with_language_signs<'t>(from_word: &'t str, word: &'t str) -> &'t str {
    if word.len() > 2 {
        return word;
    }
    let after = from_word.strip_prefix(word).unwrap_or_default();
    let signs = after.len() - after.trim_start_matches(['+', '#']).len();
    let ends = !after.trim_start_matches(['+', '#']).starts_with(is_word_char);
    if (1..=2).contains(&signs) && ends {
        from_word.get(..word.len() + signs).unwrap_or(word)
    } else {
        word
    }
}

/// Skips the `'s` of `user's` and the `'t` of `don't`, which are no words.
fn without_contraction(after: &str) -> &str {
    let Some(letters) = after.strip_prefix(['\'', '\u{2019}']) else {
        return after;
    };
    let end = letters.find(|c| !is_word_char(c)).unwrap_or(letters.len());
    match letters.split_at_checked(end) {
        Some((contraction, rest)) if (1..=2).contains(&contraction.len()) => rest,
        Some(_) | None => after,
    }
}

/// The words of an identifier such as `useEffect`, `XmlHttpRequest` or `parseJSONFile`.
///
/// `None` for one word, and for two that begin with a capital: `GitHub` is a name, and about neither gits nor hubs.
fn identifier_humps(word: &str) -> Option<impl Iterator<Item = &str>> {
    if !word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut starts = vec![0];
    let next_two = word
        .chars()
        .skip(1)
        .zip(word.chars().skip(2).map(Some).chain([None]));
    for ((at, previous), (current, next)) in word.char_indices().zip(next_two) {
        let rises = previous.is_lowercase() && current.is_uppercase();
        let acronym_ends =
            previous.is_uppercase() && current.is_uppercase() && next.is_some_and(char::is_lowercase);
        if rises || acronym_ends {
            starts.push(at + previous.len_utf8());
        }
    }
    let is_name = word.starts_with(char::is_uppercase) && starts.len() == 2;
    if starts.len() < 2 || is_name {
        return None;
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([word.len()]).collect();
    Some(
        starts
            .into_iter()
            .zip(ends)
            .filter_map(|(start, end)| word.get(start..end))
            .filter(|hump| hump.len() > 1),
    )
}

/// Lowers case, widths (NFKC) and accents of Latin letters, so that `Café` and `ＣＡＦＥ` are found with `cafe`.
fn fold(word: &str, folded: &mut String) {
    folded.clear();
    if word.is_ascii() {
        folded.push_str(word);
        folded.make_ascii_lowercase();
        return;
    }
    for c in word.nfkc().flat_map(char::to_lowercase) {
        match c {
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => {
                let mut base = None;
                decompose_canonical(c, |part| base = base.or(Some(part)));
                folded.push(base.unwrap_or(c));
            }
            _ => folded.push(c),
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
