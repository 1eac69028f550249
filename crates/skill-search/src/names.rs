//! The keys by which a whole name is found, however it is written.

use crate::term::TermKey;
use crate::tokenizer::Tokenizer;

/// Start of the keys of whole names. No word contains these characters.
const LITERAL: &str = "\u{1}";
const COMPACT: &str = "\u{2}";

/// Longer names are found by their words only. In bytes, after folding.
const MAX_NAME_BYTES: usize = 128;

/// Longest word that is made of the words of a name, in bytes.
const MAX_JOINED_BYTES: usize = 64;

/// A name, or a query that may be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameKeys {
    /// Key of the folded words in their order: `Code review` is `code-review`, but `codereview` is not.
    pub(crate) literal: TermKey,
    /// Key of the letters and digits alone: `code-review` is `codereview`.
    pub(crate) compact: TermKey,
    /// Words that are made of the name's words: each two that are adjacent, and all. Folded.
    pub(crate) joined: Vec<String>,
    /// All words without space, if they are at most 64 bytes.
    pub(crate) whole: Option<String>,
    /// Number of words, stop words too.
    pub(crate) words: usize,
}

impl NameKeys {
    pub(crate) fn new(tokenizer: &mut Tokenizer, name: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut bytes = 0;
        tokenizer.words(name, &mut |word, _| {
            bytes += word.len();
            if bytes <= MAX_NAME_BYTES {
                words.push(word.to_owned());
            }
        });
        let is_whole = bytes <= MAX_NAME_BYTES && !words.is_empty();
        let key = |start: &str, separator: &str| {
            if is_whole {
                TermKey::EMPTY.extended(start).extended(&words.join(separator))
            } else {
                TermKey::EMPTY
            }
        };
        let mut joined: Vec<String> = words.windows(2).map(<[String]>::concat).collect();
        if words.len() > 2 && is_whole {
            joined.push(words.concat());
        }
        joined.retain(|word| word.len() <= MAX_JOINED_BYTES);
        joined.dedup();
        let whole = is_whole.then(|| words.concat());
        Self {
            literal: key(LITERAL, "-"),
            compact: key(COMPACT, ""),
            joined,
            whole: whole.filter(|whole| whole.len() <= MAX_JOINED_BYTES),
            words: words.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameKeys {
        NameKeys::new(&mut Tokenizer::default(), text)
    }

    #[test]
    fn names_are_the_same_however_written() {
        let expected = name("code-review");
        for text in ["Code Review", "code_review", "CODE  review!", "code.review"] {
            assert_eq!(name(text), expected, "{text}");
        }
        let joined = name("CodeReview");
        assert_eq!(joined.compact, expected.compact);
        assert_ne!(joined.literal, expected.literal);
        assert_ne!(name("code-reviews").compact, expected.compact);
        assert_eq!(expected.joined, ["codereview"]);
        assert_eq!(name("how-to-write").joined, ["howto", "towrite", "howtowrite"]);
        assert_eq!(name("写作-助手").whole.as_deref(), Some("写作助手"));
    }

    #[test]
    fn names_without_words_have_no_key() {
        for text in ["", "--", &"word-".repeat(200)] {
            assert_eq!(name(text).literal, TermKey::EMPTY);
            assert_eq!(name(text).compact, TermKey::EMPTY);
        }
    }
}
