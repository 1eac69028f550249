//! A cheap guess of the language of a text.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::language::Language;
use crate::segmentation::{Script, fold, next_word};
use crate::stop_words::{ENGLISH, FOREIGN};

/// Maximum number of words of a text that a guess reads.
const MAX_GUESSED_WORDS: usize = 400;

/// Maximum number of languages, beside English, in which the words of a text are stemmed.
const MAX_LANGUAGES: usize = 2;

/// The languages of [`Language::LATIN`] in which a word is common, as bits.
static STOP_WORD_LANGUAGES: LazyLock<HashMap<&'static str, u16>> = LazyLock::new(|| {
    let mut languages: HashMap<&'static str, u16> = HashMap::new();
    for (language, words) in FOREIGN {
        for word in words.split_whitespace() {
            *languages.entry(word).or_default() |= bit(*language);
        }
    }
    languages
});

fn bit(language: Language) -> u16 {
    let position = Language::LATIN.iter().position(|one| *one == language);
    position.map_or(0, |position| 1 << position)
}

/// Whether a folded word is common in one of `languages`.
pub(crate) fn is_stop_word(word: &str, languages: &[Language]) -> bool {
    let mask = STOP_WORD_LANGUAGES.get(word).copied().unwrap_or_default();
    languages.iter().any(|language| mask & bit(*language) != 0)
}

/// The languages of which a letter is typical, as bits. English has none of them.
fn letter_languages(letter: char) -> u16 {
    use Language::{
        Danish, Finnish, French, German, Hungarian, Italian, Norwegian, Portuguese, Romanian, Spanish,
        Swedish, Turkish,
    };
    let languages: &[Language] = match letter {
        'ß' => &[German],
        'ä' => &[German, Swedish, Finnish],
        'ö' => &[German, Swedish, Finnish, Turkish, Hungarian],
        'ü' => &[German, Turkish, Hungarian],
        'é' => &[French, Spanish, Portuguese, Hungarian],
        'è' | 'à' | 'ù' => &[French, Italian],
        'ê' | 'î' | 'û' | 'œ' | 'ë' => &[French],
        'â' => &[French, Portuguese, Romanian],
        'ç' => &[French, Portuguese, Turkish],
        'ñ' => &[Spanish],
        'á' | 'í' | 'ú' | 'ó' => &[Spanish, Portuguese, Hungarian],
        'ã' | 'õ' => &[Portuguese],
        'ì' | 'ò' => &[Italian],
        'å' => &[Swedish, Danish, Norwegian],
        'æ' | 'ø' => &[Danish, Norwegian],
        'ő' | 'ű' => &[Hungarian],
        'ğ' | 'ı' | 'ş' => &[Turkish],
        'ă' | 'ș' | 'ț' | 'ţ' => &[Romanian],
        _ => &[],
    };
    languages.iter().map(|language| bit(*language)).sum()
}

/// What a text shows of its language: how many different common words of each language it has.
struct Evidence {
    stop_words: [u32; Language::LATIN.len()],
    letters: [u32; Language::LATIN.len()],
    english: u32,
}

fn evidence(text: &str) -> Evidence {
    let mut evidence = Evidence {
        stop_words: [0; Language::LATIN.len()],
        letters: [0; Language::LATIN.len()],
        english: 0,
    };
    let mut seen: Vec<&str> = Vec::new();
    let mut folded = String::new();
    let mut rest = text;
    let mut count = 0;
    while let Some(word) = next_word(&mut rest) {
        count += 1;
        if count > MAX_GUESSED_WORDS {
            break;
        }
        if word.script == Script::Unspaced {
            continue;
        }
        fold(word.text, &mut folded);
        if ENGLISH.binary_search(&folded.as_str()).is_ok() {
            evidence.english += 1;
        } else if let Some((common, mask)) = STOP_WORD_LANGUAGES.get_key_value(folded.as_str())
            && !seen.contains(common)
        {
            seen.push(common);
            add(&mut evidence.stop_words, *mask);
        }
        if !word.text.is_ascii() {
            let letters = word.text.chars().flat_map(char::to_lowercase);
            add(
                &mut evidence.letters,
                letters.map(letter_languages).fold(0, |all, one| all | one),
            );
        }
    }
    evidence
}

fn add(counts: &mut [u32; Language::LATIN.len()], mask: u16) {
    for (position, count) in counts.iter_mut().enumerate() {
        *count += u32::from(mask >> position & 1);
    }
}

/// The languages with the highest of `counts`, highest first, if it is at least `minimum`.
fn best(counts: [u32; Language::LATIN.len()], minimum: u32, limit: usize) -> Vec<Language> {
    let mut ranked: Vec<(u32, Language)> = counts
        .into_iter()
        .zip(Language::LATIN)
        .filter(|(count, _)| *count >= minimum)
        .collect();
    // Stable: the more frequent languages are first in the list.
    ranked.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let highest = ranked.first().map_or(0, |(count, _)| *count);
    ranked
        .into_iter()
        .filter(|(count, _)| 3 * count >= 2 * highest)
        .map(|(_, language)| language)
        .take(limit)
        .collect()
}

/// The languages of a document's text, beside English; empty for most texts.
pub(crate) fn of_document(text: &str) -> Vec<Language> {
    let evidence = evidence(text);
    let minimum = (evidence.english / 6).clamp(3, 12);
    best(evidence.stop_words, minimum, MAX_LANGUAGES)
}

/// The languages in which a query may be written, beside English. One common word is enough, or a letter.
pub(crate) fn of_query(text: &str) -> Vec<Language> {
    let evidence = evidence(text);
    let by_words = best(evidence.stop_words, 1, MAX_LANGUAGES + 1);
    if by_words.is_empty() {
        best(evidence.letters, 1, MAX_LANGUAGES + 1)
    } else {
        by_words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_guessed_from_common_words() {
        for (text, expected) in [
            (
                "Wie kann ich meine Rechnungen mit dem Programm pr\u{fc}fen und ablegen?",
                Language::German,
            ),
            (
                "Je veux traduire les messages de mon application dans une autre langue",
                Language::French,
            ),
            (
                "Quiero escribir una carta para los clientes de la empresa",
                Language::Spanish,
            ),
            (
                "Eu quero escrever uma carta para os clientes da empresa e n\u{e3}o sei como",
                Language::Portuguese,
            ),
            (
                "Vorrei scrivere una lettera per i clienti della mia azienda",
                Language::Italian,
            ),
            (
                "Ik wil een brief schrijven voor de klanten van het bedrijf",
                Language::Dutch,
            ),
            (
                "Jag vill skriva ett brev till kunderna och det \u{e4}r br\u{e5}ttom",
                Language::Swedish,
            ),
        ] {
            assert_eq!(of_query(text).first(), Some(&expected), "{text}");
        }
        assert_eq!(of_query("pr\u{fc}fung").first(), Some(&Language::German));
        assert_eq!(of_query("extract the tables from a report"), []);
        assert_eq!(of_query(""), []);
    }

    #[test]
    fn english_documents_have_no_other_language() {
        let text = "Use this skill when the user wants to extract tables from PDF files. Do not use it on scans, \
                    as they have no text. Die early on errors; run in an order that is safe per file.";
        assert_eq!(of_document(text), []);
        let german = "Verwende diese F\u{e4}higkeit, wenn der Benutzer Tabellen aus PDF-Dateien lesen will. \
                      Nicht f\u{fc}r gescannte Dateien, weil sie keinen Text haben.";
        assert_eq!(of_document(german).first(), Some(&Language::German));
    }

    #[test]
    fn scripts_tell_the_language() {
        assert_eq!(
            Language::of_script("\u{444}\u{430}\u{439}\u{43b}"),
            Language::Russian
        );
        assert_eq!(Language::of_script("file"), Language::English);
        assert_eq!(Language::of_script(""), Language::English);
    }

    #[test]
    fn stop_words_are_folded_and_not_english() {
        let mut folded = String::new();
        for word in FOREIGN.iter().flat_map(|(_, words)| words.split_whitespace()) {
            fold(word, &mut folded);
            assert_eq!(folded, word);
            assert!(ENGLISH.binary_search(&word).is_err(), "{word}");
        }
        assert!(ENGLISH.is_sorted());
        assert!(
            Language::LATIN
                .iter()
                .all(|language| FOREIGN.iter().any(|(of, _)| of == language))
        );
    }
}
