//! Undoes spellings that keep a person from seeing, or a pattern from matching, what a model reads.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::characters::{is_invisible, latin_lookalike, plain_variant};

/// Appends the line in its plainest spelling: without invisible characters and accents, compatibility variants replaced
/// (`ｉｇｎｏｒｅ`), and Cyrillic and Greek letters inside Latin words replaced by the Latin letters they look like.
///
/// A character grows to at most 18 characters (U+FDFA).
pub(crate) fn push_normalised(line: &str, out: &mut String) {
    if line.is_ascii() {
        out.extend(line.chars().map(plain_control));
        return;
    }
    let mut word = String::new();
    let plain = line
        .chars()
        .filter(|c| !is_invisible(*c))
        .nfkd()
        .filter(|c| !is_combining_mark(*c));
    for c in plain {
        let c = plain_control(plain_variant(c).unwrap_or(c));
        if c.is_alphabetic() {
            word.push(c);
        } else {
            push_word(&mut word, out);
            out.push(c);
        }
    }
    push_word(&mut word, out);
}

/// NUL and other control characters separate words in what follows.
const fn plain_control(c: char) -> char {
    if c.is_ascii_control() && c != '\t' { ' ' } else { c }
}

/// A word of one script is left alone: it is a word of another language.
fn push_word(word: &mut String, out: &mut String) {
    if has_mixed_scripts(word) {
        out.extend(word.chars().map(|c| latin_lookalike(c).unwrap_or(c)));
    } else {
        out.push_str(word);
    }
    word.clear();
}

/// Returns whether the word has Latin letters and letters of other scripts that look like them, and nothing else.
pub(crate) fn has_mixed_scripts(word: &str) -> bool {
    let is_latin = |c: char| c.is_ascii_alphabetic();
    word.chars().any(is_latin)
        && word.chars().any(|c| latin_lookalike(c).is_some())
        && word.chars().all(|c| is_latin(c) || latin_lookalike(c).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(line: &str) -> String {
        let mut out = String::new();
        push_normalised(line, &mut out);
        out
    }

    #[test]
    fn disguised_words_become_plain() {
        for line in [
            "ig\u{200B}no\u{2060}re",
            "ｉｇｎｏｒｅ",
            "іgnоrе",
            "i\u{301}gnöre",
            "𝗂𝗀𝗇𝗈𝗋𝖾",
            "ign\u{E0041}ore",
        ] {
            assert_eq!(normalised(line), "ignore", "{line:?}");
        }
        assert_eq!(normalised("a\0b\u{2014}\u{201C}"), "a b-\"");
    }

    #[test]
    fn words_of_one_script_are_left_alone() {
        for line in ["совет", "λόγος", "茶会计划", "plain text"] {
            let letters = |text: &str| text.nfkd().filter(|c| !is_combining_mark(*c)).collect::<String>();
            assert_eq!(normalised(line), letters(line));
        }
    }
}
