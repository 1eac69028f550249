//! The languages whose words are stemmed.

use rust_stemmers::{Algorithm, Stemmer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Language {
    Arabic,
    Danish,
    Dutch,
    English,
    Finnish,
    French,
    German,
    Greek,
    Hungarian,
    Italian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Tamil,
    Turkish,
}

impl Language {
    /// The languages of the Latin script, except English.
    pub(crate) const LATIN: [Self; 13] = [
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Portuguese,
        Self::Italian,
        Self::Dutch,
        Self::Danish,
        Self::Norwegian,
        Self::Swedish,
        Self::Finnish,
        Self::Hungarian,
        Self::Romanian,
        Self::Turkish,
    ];

    /// The language of a word in a script that one of the languages has for itself; English for other scripts.
    pub(crate) fn of_script(word: &str) -> Self {
        match word.chars().next() {
            Some('\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}') => Self::Greek,
            Some('\u{400}'..='\u{52f}') => Self::Russian,
            Some('\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}') => Self::Arabic,
            Some('\u{b80}'..='\u{bff}') => Self::Tamil,
            Some(_) | None => Self::English,
        }
    }

    pub(crate) fn stemmer(self) -> Stemmer {
        Stemmer::create(match self {
            Self::Arabic => Algorithm::Arabic,
            Self::Danish => Algorithm::Danish,
            Self::Dutch => Algorithm::Dutch,
            Self::English => Algorithm::English,
            Self::Finnish => Algorithm::Finnish,
            Self::French => Algorithm::French,
            Self::German => Algorithm::German,
            Self::Greek => Algorithm::Greek,
            Self::Hungarian => Algorithm::Hungarian,
            Self::Italian => Algorithm::Italian,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Romanian => Algorithm::Romanian,
            Self::Russian => Algorithm::Russian,
            Self::Spanish => Algorithm::Spanish,
            Self::Swedish => Algorithm::Swedish,
            Self::Tamil => Algorithm::Tamil,
            Self::Turkish => Algorithm::Turkish,
        })
    }
}
