//! Splits text into words and folds case, width and accents.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

use crate::traditional::simplified;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// Words are separated by spaces.
    Spaced,
    Unspaced,
}

pub(crate) struct Word<'t> {
    pub(crate) text: &'t str,
    pub(crate) script: Script,
    /// Whether only a single space or joining character is between this word and the previous one.
    pub(crate) is_adjacent: bool,
}

/// Removes the next word from the front of `rest` and returns it.
pub(crate) fn next_word<'t>(rest: &mut &'t str) -> Option<Word<'t>> {
    let start = rest.find(char::is_alphanumeric)?;
    let (gap, from_word) = rest.split_at(start);
    let is_adjacent = matches!(gap, " " | "-" | "." | "_" | "/");
    let script = if from_word.starts_with(is_unspaced) {
        Script::Unspaced
    } else {
        Script::Spaced
    };
    let continues = |c: char| match script {
        Script::Spaced => is_word_char(c) && !is_unspaced(c),
        Script::Unspaced => is_unspaced(c),
    };
    let end = from_word.find(|c| !continues(c)).unwrap_or(from_word.len());
    let (text, after) = from_word.split_at(end);
    let text = match script {
        Script::Spaced => with_language_suffix(from_word, text),
        Script::Unspaced => text,
    };
    *rest = without_contraction(after);
    Some(Word {
        text,
        script,
        is_adjacent,
    })
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && is_combining_mark(c))
}

/// Letters of scripts that do not separate words with spaces, and Hangul, which attaches particles to words.
fn is_unspaced(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    match u32::from(c) {
        // Thai, Lao, Myanmar and Khmer.
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff
        // Kana, Han and Hangul, with their compatibility forms.
        | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff
        | 0xff66..=0xff9f | 0x2_0000..=0x3_ffff => is_word_char(c),
        _ => false,
    }
}

/// Extends a word of one or two bytes by one or two `+` or `#`, so that `C`, `C++` and `C#` are different words.
fn with_language_suffix<'t>(from_word: &'t str, word: &'t str) -> &'t str {
    if word.len() > 2 {
        return word;
    }
    let after = from_word.strip_prefix(word).unwrap_or_default();
    let after_suffix = after.trim_start_matches(['+', '#']);
    let suffix = after.len() - after_suffix.len();
    if (1..=2).contains(&suffix) && !after_suffix.starts_with(is_word_char) {
        from_word.get(..word.len() + suffix).unwrap_or(word)
    } else {
        word
    }
}

/// Skips the `'s` of `user's` and the `'t` of `don't`, which are not words.
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

/// The words in an identifier such as `useEffect`, `XmlHttpRequest` or `parseJSONFile`.
///
/// `None` for a single word, and for two words that start with a capital: `GitHub` is a name, its parts do not describe
/// it.
pub(crate) fn identifier_parts(word: &str) -> Option<impl Iterator<Item = &str>> {
    if !word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut starts = vec![0];
    let next_two = word
        .chars()
        .skip(1)
        .zip(word.chars().skip(2).map(Some).chain([None]));
    for ((at, previous), (current, next)) in word.char_indices().zip(next_two) {
        let starts_capitalised = previous.is_lowercase() && current.is_uppercase();
        let acronym_ends =
            previous.is_uppercase() && current.is_uppercase() && next.is_some_and(char::is_lowercase);
        if starts_capitalised || acronym_ends {
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
            .filter(|part| part.len() > 1),
    )
}

/// Writes `word` to `folded` in lowercase, with compatibility characters (NFKC) and accents of Latin letters removed
/// (`Café` and `ＣＡＦＥ` become `cafe`), and traditional Chinese characters simplified.
pub(crate) fn fold(word: &str, folded: &mut String) {
    folded.clear();
    if word.is_ascii() {
        folded.push_str(word);
        folded.make_ascii_lowercase();
        return;
    }
    for c in word.nfkc().flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' => folded.push('d'),
            'ı' => folded.push('i'),
            // Accents that no composed letter has.
            '\u{300}'..='\u{36f}' => {}
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => {
                let mut base = None;
                decompose_canonical(c, |part| base = base.or(Some(part)));
                folded.push(base.unwrap_or(c));
            }
            _ => folded.push(simplified(c)),
        }
    }
}

/// A word with German umlauts in the spelling without them: `prüfen` as `pruefen`. `None` for other words.
pub(crate) fn without_umlauts(word: &str) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    let composed: String = word.nfkc().flat_map(char::to_lowercase).collect();
    let spelled = composed.replace('ä', "ae").replace('ö', "oe").replace('ü', "ue");
    (spelled != composed).then_some(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(mut text: &str) -> Vec<&str> {
        std::iter::from_fn(|| next_word(&mut text))
            .map(|word| word.text)
            .collect()
    }

    #[test]
    fn words_end_where_their_script_ends_them() {
        assert_eq!(
            words("user's C++ (v2), don\u{2019}t!"),
            ["user", "C++", "v2", "don"]
        );
        assert_eq!(words("PDF変換を1回"), ["PDF", "変換を", "1", "回"]);
        assert_eq!(
            words("\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}"),
            ["\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}"]
        );
        assert_eq!(words("rock'n'roll 'quoted'"), ["rock", "roll", "quoted"]);
        assert_eq!(words(" \u{1f600} -- "), [""; 0]);
    }

    #[test]
    fn folding_ignores_case_accents_and_traditional_forms() {
        let folded = |word| {
            let mut folded = String::new();
            fold(word, &mut folded);
            folded
        };
        for (word, expected) in [
            ("Café", "cafe"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("smørebrød", "smorebrod"),
            ("İstanbul", "istanbul"),
            ("ＰＤＦ", "pdf"),
            ("檔案", "档案"),
            ("файл", "файл"),
        ] {
            assert_eq!(folded(word), expected, "{word}");
        }
        assert_eq!(without_umlauts("Prüfung"), Some("pruefung".to_owned()));
        assert_eq!(without_umlauts("café"), None);
    }

    #[test]
    fn identifiers_have_parts_and_names_have_none() {
        let parts = |word| identifier_parts(word).map(|parts| parts.collect::<Vec<_>>());
        assert_eq!(parts("parseJSONFile"), Some(vec!["parse", "JSON", "File"]));
        assert_eq!(parts("XmlHttpRequest"), Some(vec!["Xml", "Http", "Request"]));
        for name in ["GitHub", "PDF", "word", "Word", ""] {
            assert_eq!(parts(name), None, "{name}");
        }
    }
}
