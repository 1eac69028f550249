//! Turns a document into what an index stores of it.

use std::collections::{HashMap, HashSet};

use crate::document::{Document, Field};
use crate::language::Language;
use crate::language_guess;
use crate::names::NameKeys;
use crate::postings::FieldCounts;
use crate::segmentation::Script;
use crate::stop_words::ENGLISH;
use crate::term::TermKey;
use crate::tokenizer::{TokenKind, Tokenizer};
use crate::view::DocumentEntry;
use crate::vocabulary::MIN_WORD_CHARS;

/// Maximum number of bytes of a body that are indexed. Measured on real skills, text beyond it does not change the
/// ranking. Bounds the time for which one large document delays the searches after it.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Maximum number of bytes of each other field that are indexed; tags and headings are counted together.
pub const MAX_FIELD_BYTES: usize = 16 * 1024;

/// Maximum number of bytes of a body that are read to guess its language.
const GUESSED_BODY_BYTES: usize = 4 * 1024;

/// Analyses documents. Reuse it for many documents: it caches stems.
#[derive(Default)]
pub struct Analyzer {
    tokenizer: Tokenizer,
}

/// What an index stores of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnalyzedDocument<Id> {
    pub entry: DocumentEntry<Id>,
    /// The distinct terms of the name, in the order of their first occurrence.
    pub name_keys: Box<[TermKey]>,
    /// The distinct terms in the order of their first occurrence; those of the name are first.
    pub terms: Vec<(TermKey, FieldCounts)>,
    /// The distinct words for the vocabulary of the index: those of name, tags, description and headings. Sorted.
    pub words: Vec<Box<str>>,
}

impl Analyzer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Analyses the first [`MAX_BODY_BYTES`] of the body and the first [`MAX_FIELD_BYTES`] of each other field.
    pub fn analyze<Id: Copy>(&mut self, document: &Document<'_, Id>) -> AnalyzedDocument<Id> {
        let languages = languages(document);
        let (mut terms, lengths) = self.count_terms(document, &languages);
        let name_keys: Box<[TermKey]> = terms
            .iter()
            .take_while(|(_, counts)| counts.get(Field::Name) > 0)
            .map(|(key, _)| *key)
            .collect();
        let signature = signature(&terms);
        let name = NameKeys::new(&mut self.tokenizer, truncated(document.name, MAX_FIELD_BYTES));
        self.add_name_terms(&mut terms, name_keys.len(), &name);
        AnalyzedDocument {
            entry: DocumentEntry {
                id: document.id,
                lengths,
                signature,
            },
            name_keys,
            words: self.words(document, &name),
            terms,
        }
    }

    /// Adds the keys of the whole name and of its joined words, each as one occurrence in the name. `name_terms` is
    /// the number of terms in the name so far.
    fn add_name_terms(
        &mut self,
        terms: &mut Vec<(TermKey, FieldCounts)>,
        name_terms: usize,
        name: &NameKeys,
    ) {
        let joined = name
            .joined
            .iter()
            .filter_map(|word| self.tokenizer.word_key(word));
        let keys: Vec<TermKey> = joined.chain([name.literal, name.compact]).collect();
        for key in keys.into_iter().filter(|key| *key != TermKey::EMPTY) {
            let known = terms.iter().position(|(known, _)| *known == key);
            if known.is_some_and(|at| at < name_terms) {
                continue;
            }
            let mut counts = known.map_or_else(FieldCounts::default, |at| terms.remove(at).1);
            counts.increment(Field::Name);
            terms.insert(name_terms.min(terms.len()), (key, counts));
        }
    }

    /// Size of the stem cache in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.tokenizer.memory_bytes()
    }

    /// Counts the occurrences of each term per field, in the order of first occurrence. Also returns the lengths of
    /// the fields in terms.
    fn count_terms<Id>(
        &mut self,
        document: &Document<'_, Id>,
        languages: &[Language],
    ) -> (Vec<(TermKey, FieldCounts)>, [u32; Field::COUNT]) {
        let mut terms: Vec<(TermKey, FieldCounts)> = Vec::new();
        let mut positions: HashMap<TermKey, usize> =
            HashMap::with_capacity(document.body.len().min(MAX_BODY_BYTES) / 16);
        let lengths = Field::ALL.map(|field| {
            let mut length = 0_u32;
            for_each_text(document, field, &mut |text| {
                self.tokenizer.tokens(text, languages, &mut |token| {
                    // Other forms of a word do not make a text longer.
                    let is_counted = match token.kind {
                        TokenKind::Word | TokenKind::Phrase => 1,
                        TokenKind::Stem | TokenKind::Character => 0,
                    };
                    length = length.saturating_add(is_counted);
                    let position = *positions.entry(token.key).or_insert_with(|| {
                        terms.push((token.key, FieldCounts::default()));
                        terms.len() - 1
                    });
                    if let Some((_, counts)) = terms.get_mut(position) {
                        counts.increment(field);
                    }
                });
            });
            length
        });
        (terms, lengths)
    }

    fn words<Id>(&mut self, document: &Document<'_, Id>, name: &NameKeys) -> Vec<Box<str>> {
        let mut words: HashSet<Box<str>> = name.joined.iter().map(|word| word.as_str().into()).collect();
        for field in Field::ALL.into_iter().filter(|field| *field != Field::Body) {
            for_each_text(document, field, &mut |text| {
                self.tokenizer.words(text, &mut |word, script| {
                    let is_known = script == Script::Unspaced
                        || word.chars().count() < MIN_WORD_CHARS
                        || ENGLISH.binary_search(&word).is_ok()
                        || words.contains(word);
                    if !is_known {
                        words.insert(word.into());
                    }
                });
            });
        }
        let mut words: Vec<Box<str>> = words.into_iter().collect();
        words.sort_unstable();
        words
    }
}

/// The languages of a document beside English: of its description, and of the start of its body.
fn languages<Id>(document: &Document<'_, Id>) -> Vec<Language> {
    let mut languages = language_guess::of_document(truncated(document.description, MAX_FIELD_BYTES));
    for language in language_guess::of_document(truncated(document.body, GUESSED_BODY_BYTES)) {
        if !languages.contains(&language) {
            languages.push(language);
        }
    }
    languages
}

/// Bodies of fewer distinct terms have no signature: what they share is mostly a template.
const MIN_SIGNED_TERMS: usize = 60;

/// A 64-bit SimHash (Charikar 2002) of the terms of the body, each weighted by its damped number of occurrences. 0 for a short
/// body.
fn signature(terms: &[(TermKey, FieldCounts)]) -> u64 {
    let mut sums = [0_i64; 64];
    let mut signed = 0;
    for (key, counts) in terms {
        let occurrences = counts.get(Field::Body);
        if occurrences == 0 {
            continue;
        }
        signed += 1;
        // 1 + log2 of the occurrences: a repeated word decides no bit alone.
        let weight = i64::from(occurrences.ilog2()) + 1;
        let mixed = mix(key.to_u64());
        for (bit, sum) in sums.iter_mut().enumerate() {
            *sum += if mixed >> bit & 1 == 1 { weight } else { -weight };
        }
    }
    if signed < MIN_SIGNED_TERMS {
        return 0;
    }
    sums.iter()
        .enumerate()
        .filter(|(_, sum)| **sum > 0)
        .fold(0, |signature, (bit, _)| signature | 1 << bit)
}

/// Spreads the bits of an FNV-1a hash, whose high bits depend on few characters of short words (the finaliser of
/// SplitMix64).
const fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Calls `each` with the texts of a field, up to the field's limit in bytes.
fn for_each_text<Id>(document: &Document<'_, Id>, field: Field, each: &mut impl FnMut(&str)) {
    let mut bytes_left = MAX_FIELD_BYTES;
    let mut each_item = |items: &[String]| {
        for item in items {
            let item = truncated(item, bytes_left);
            bytes_left -= item.len();
            each(item);
        }
    };
    match field {
        Field::Name => each(truncated(document.name, MAX_FIELD_BYTES)),
        Field::Tags => each_item(document.tags),
        Field::Description => each(truncated(document.description, MAX_FIELD_BYTES)),
        Field::Headings => each_item(document.headings),
        Field::Body => each(truncated(document.body, MAX_BODY_BYTES)),
    }
}

/// The longest prefix of at most `max_bytes` bytes that ends between two characters.
fn truncated(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_body_is_cut_between_characters() {
        assert_eq!(truncated("\u{e9}\u{e9}", 3), "\u{e9}");
        assert_eq!(truncated("\u{e9}", 0), "");
        assert_eq!(truncated("pdf", 9), "pdf");
        let body = format!("early {} late", "\u{2014}".repeat(MAX_BODY_BYTES));
        let analyzed = Analyzer::new().analyze(&document("pdf", &body));
        // The name with its two keys, and the first word; "late" is after the limit.
        assert_eq!(analyzed.terms.len(), 4);
    }

    #[test]
    fn vocabulary_has_no_words_of_the_body() {
        let analyzed = Analyzer::new().analyze(&Document {
            description: "Extracts the Tables",
            tags: &["Finance".to_owned()],
            headings: &["Merging, \u{dc}bersicht".to_owned()],
            ..document("pdf-tools", "Secret")
        });
        let words: Vec<&str> = analyzed.words.iter().map(|word| &**word).collect();
        assert_eq!(
            words,
            [
                "extracts",
                "finance",
                "merging",
                "pdf",
                "pdftools",
                "tables",
                "tools",
                "ubersicht"
            ]
        );
    }

    #[test]
    fn signatures_of_similar_bodies_differ_in_few_bits() {
        let long: String = (0..300).map(|n| format!("word{n} ")).collect();
        let other: String = (300..600).map(|n| format!("word{n} ")).collect();
        let signature_of = |body: &str| Analyzer::new().analyze(&document("pdf", body)).entry.signature;
        let first = signature_of(&long);
        let changed = signature_of(&long.replace("word7 ", "changed "));
        assert!((first ^ changed).count_ones() <= 6);
        assert!((first ^ signature_of(&other)).count_ones() > 16);
        assert_eq!(signature_of(""), 0);
    }

    fn document<'a>(name: &'a str, body: &'a str) -> Document<'a, u8> {
        Document {
            id: 1,
            name,
            description: "",
            tags: &[],
            headings: &[],
            body,
        }
    }
}
