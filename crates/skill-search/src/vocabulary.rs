//! The words of an index, by which queries are corrected and completed.

use std::cmp::Reverse;

use crate::distance::{corrected_errors, distance};

/// Shorter words are not in a vocabulary: they are neither corrected nor completed.
pub(crate) const MIN_WORD_CHARS: usize = 2;

/// Longest word of a stored vocabulary in bytes.
const MAX_WORD_BYTES: usize = 255;

/// The first bytes of a stored vocabulary: its format.
const FORMAT: [u8; 4] = *b"skv1";

/// The words of names, tags, descriptions and headings, each with the number of documents in which it is in those
/// fields. The words are folded (case, width, accents) and not stemmed.
///
/// Immutable. Takes 12 bytes a word and its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// All words in order, without separator.
    text: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Where the word ends in the text. It starts at the end of the previous word.
    end: u32,
    documents: u32,
    /// The letters that the word contains, see [`letters`].
    letters: u32,
}

/// A word of the vocabulary that is similar to a given word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimilarWord<'v> {
    pub word: &'v str,
    /// Number of documents that have it in name, tags, description or headings.
    pub documents: u32,
    /// Letters that are missing, added, wrong, or swapped with the next one.
    pub errors: usize,
}

/// Bytes that are not a stored vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidVocabulary;

impl std::fmt::Display for InvalidVocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("these bytes are not a vocabulary of this version: build the index again")
    }
}

impl std::error::Error for InvalidVocabulary {}

impl Vocabulary {
    /// A vocabulary of `words` with their numbers of documents, in any order. Numbers of the same word are added;
    /// words without documents and words of more than 255 bytes are left out.
    pub fn new<'a>(words: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let mut words: Vec<(&str, u32)> = words
            .into_iter()
            .filter(|(word, documents)| *documents > 0 && word.len() <= MAX_WORD_BYTES)
            .collect();
        words.sort_unstable_by_key(|(word, _)| *word);
        let mut vocabulary = Self::default();
        let mut previous = None;
        for (word, documents) in words {
            if previous == Some(word) {
                if let Some(entry) = vocabulary.entries.last_mut() {
                    entry.documents = entry.documents.saturating_add(documents);
                }
            } else {
                vocabulary.push(word, documents);
                previous = Some(word);
            }
        }
        vocabulary
    }

    /// The words of all of `vocabularies`, with the sums of their numbers of documents.
    pub fn merged<'a>(vocabularies: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::new(vocabularies.into_iter().flat_map(Self::iter))
    }

    /// Number of words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The words in order, with their numbers of documents.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        (0..self.entries.len()).filter_map(|index| self.word_at(index))
    }

    /// Number of documents that have a word in name, tags, description or headings. `word` must be folded.
    #[must_use]
    pub fn documents(&self, word: &str) -> u32 {
        let index = self.start_of(word);
        match self.word_at(index) {
            Some((found, documents)) if found == word => documents,
            Some(_) | None => 0,
        }
    }

    /// The words that differ from `word` by few typing errors, at most `limit` of them: those with the fewest errors
    /// first, then those with the same first letter, then those of most documents. `word` must be folded.
    ///
    /// No error is allowed in words of up to three letters, one in up to seven, two in longer ones. Compares with all
    /// words: about 2 ms for 200,000.
    #[must_use]
    pub fn similar(&self, word: &str, limit: usize) -> Vec<SimilarWord<'_>> {
        let given: Vec<char> = word.chars().collect();
        let most_errors = corrected_errors(given.len());
        if most_errors == 0 {
            return Vec::new();
        }
        // A character has at most four bytes.
        let most_bytes = if word.is_ascii() {
            most_errors
        } else {
            4 * most_errors
        };
        let given_letters = letters(word);
        let mut similar = Vec::new();
        let mut start = 0;
        let mut compared = Vec::new();
        for entry in &self.entries {
            let (from, to) = (start, entry.end as usize);
            start = to;
            let is_unlikely = (to - from).abs_diff(word.len()) > most_bytes
                || (given_letters & !entry.letters).count_ones() as usize > most_errors
                || (entry.letters & !given_letters).count_ones() as usize > most_errors;
            if is_unlikely {
                continue;
            }
            let Some(found) = self.text.get(from..to) else {
                continue;
            };
            compared.clear();
            compared.extend(found.chars());
            if let Some(errors) = distance(&given, &compared, most_errors).filter(|errors| *errors > 0) {
                let is_other_start = given.first() != compared.first();
                similar.push((errors, is_other_start, Reverse(entry.documents), found));
            }
        }
        similar.sort_unstable();
        similar.truncate(limit);
        similar
            .into_iter()
            .map(|(errors, _, Reverse(documents), word)| SimilarWord {
                word,
                documents,
                errors,
            })
            .collect()
    }

    /// The longer words that begin with `prefix`, at most `limit` of them, with their numbers of documents: those of
    /// most documents first. `prefix` must be folded.
    #[must_use]
    pub fn completions(&self, prefix: &str, limit: usize) -> Vec<(&str, u32)> {
        let mut found: Vec<(&str, u32)> = (self.start_of(prefix)..self.entries.len())
            .map_while(|index| self.word_at(index).filter(|(word, _)| word.starts_with(prefix)))
            .filter(|(word, _)| word.len() > prefix.len())
            .collect();
        found.sort_by_key(|(_, documents)| Reverse(*documents));
        found.truncate(limit);
        found
    }

    /// Memory use in bytes.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The vocabulary as bytes: the format, then for each word the number of bytes that it shares with the previous
    /// word, the number of its other bytes, those bytes, and its number of documents (LEB128).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = FORMAT.to_vec();
        let mut previous = "";
        for (word, documents) in self.iter() {
            let shared = shared_prefix(previous, word);
            let rest = word.as_bytes().get(shared..).unwrap_or_default();
            bytes.extend(u8::try_from(shared));
            bytes.extend(u8::try_from(rest.len()));
            bytes.extend_from_slice(rest);
            let mut left = documents;
            while left >= 0x80 {
                bytes.push((left & 0x7f) as u8 | 0x80);
                left >>= 7;
            }
            bytes.push(left as u8);
            previous = word;
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// Returns [`InvalidVocabulary`] if the bytes are cut off, changed, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidVocabulary> {
        let mut rest = bytes.strip_prefix(&FORMAT).ok_or(InvalidVocabulary)?;
        let mut vocabulary = Self::default();
        let mut word: Vec<u8> = Vec::new();
        while let [shared, added, after @ ..] = rest {
            let (letters, after) = after
                .split_at_checked(usize::from(*added))
                .ok_or(InvalidVocabulary)?;
            if usize::from(*shared) > word.len() {
                return Err(InvalidVocabulary);
            }
            word.truncate(usize::from(*shared));
            word.extend_from_slice(letters);
            let (documents, after) = read_number(after).ok_or(InvalidVocabulary)?;
            let text = str::from_utf8(&word).map_err(|_| InvalidVocabulary)?;
            let previous = vocabulary.word_at(vocabulary.len().wrapping_sub(1));
            let is_in_order = previous.is_none_or(|(previous, _)| previous < text);
            if !is_in_order || text.len() > MAX_WORD_BYTES || documents == 0 {
                return Err(InvalidVocabulary);
            }
            vocabulary.push(text, documents);
            rest = after;
        }
        if rest.is_empty() {
            Ok(vocabulary)
        } else {
            Err(InvalidVocabulary)
        }
    }

    /// Adds a word after all others. Does nothing above 4 GiB of text.
    fn push(&mut self, word: &str, documents: u32) {
        let Ok(end) = u32::try_from(self.text.len() + word.len()) else {
            return;
        };
        self.text.push_str(word);
        self.entries.push(Entry {
            end,
            documents,
            letters: letters(word),
        });
    }

    fn word_at(&self, index: usize) -> Option<(&str, u32)> {
        let entry = self.entries.get(index)?;
        let start = match index.checked_sub(1) {
            Some(previous) => self.entries.get(previous)?.end,
            None => 0,
        };
        let word = self.text.get(start as usize..entry.end as usize)?;
        Some((word, entry.documents))
    }

    /// Index of the first word that is not before `word`.
    fn start_of(&self, word: &str) -> usize {
        let (mut from, mut to) = (0, self.entries.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            if self.word_at(middle).is_some_and(|(found, _)| found < word) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        from
    }
}

/// The set of letters of a word, as bits. Letters other than a to z share six bits.
fn letters(word: &str) -> u32 {
    word.chars().fold(0, |set, c| match c {
        'a'..='z' => set | 1 << (u32::from(c) - u32::from('a')),
        _ => set | 1 << (26 + u32::from(c) % 6),
    })
}

/// Number of bytes at the start that two words share.
fn shared_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

/// Reads a LEB128 number of at most 32 bits.
fn read_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(number).ok()?, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(vocabulary: &Vocabulary) -> Vec<(&str, u32)> {
        vocabulary.iter().collect()
    }

    #[test]
    fn words_are_sorted_and_counted() {
        let vocabulary = Vocabulary::new([("pdf", 2), ("git", 1), ("pdf", 3), ("gone", 0)]);
        assert_eq!(words(&vocabulary), [("git", 1), ("pdf", 5)]);
        assert_eq!(vocabulary.documents("pdf"), 5);
        for absent in ["", "pd", "pdfs", "gone", "zzz"] {
            assert_eq!(vocabulary.documents(absent), 0, "{absent}");
        }
    }

    #[test]
    fn similar_words_have_few_errors() {
        let vocabulary = Vocabulary::new([
            ("review", 9),
            ("reviews", 3),
            ("preview", 20),
            ("kubernetes", 5),
            ("git", 7),
            ("\u{444}\u{430}\u{439}\u{43b}\u{44b}", 2),
        ]);
        let similar = |word| {
            let found = vocabulary.similar(word, 9);
            found
                .iter()
                .map(|similar| (similar.word, similar.errors))
                .collect::<Vec<_>>()
        };
        assert_eq!(similar("reveiw"), [("review", 1)]);
        assert_eq!(similar("reviw"), [("review", 1)]);
        assert_eq!(similar("kubernets"), [("kubernetes", 1)]);
        assert_eq!(similar("kubrentes"), [("kubernetes", 2)]);
        assert_eq!(similar("review"), [("reviews", 1), ("preview", 1)]);
        assert_eq!(similar("\u{444}\u{430}\u{438}\u{43b}\u{44b}").len(), 1);
        assert_eq!(similar("gti"), []);
        assert_eq!(similar(""), []);
        assert_eq!(vocabulary.similar("review", 1).len(), 1);
    }

    #[test]
    fn completions_are_ordered_by_documents() {
        let vocabulary = Vocabulary::new([("deploy", 4), ("deployment", 9), ("deployments", 1), ("dev", 30)]);
        assert_eq!(
            vocabulary.completions("deploy", 9),
            [("deployment", 9), ("deployments", 1)]
        );
        assert_eq!(vocabulary.completions("de", 2), [("dev", 30), ("deployment", 9)]);
        assert_eq!(vocabulary.completions("x", 2), []);
    }

    #[test]
    fn numbers_beyond_32_bits_are_rejected() {
        assert_eq!(
            read_number(&[0xff, 0xff, 0xff, 0xff, 0x0f]).map(|(n, _)| n),
            Some(u32::MAX)
        );
        assert_eq!(read_number(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(read_number(&[0xff; 6]), None);
        assert_eq!(read_number(&[]), None);
    }

    proptest! {
        #[test]
        fn bytes_give_the_same_vocabulary(pairs in prop::collection::vec(("\\PC{0,8}", 0..500_u32), 0..40)) {
            let vocabulary = Vocabulary::new(pairs.iter().map(|(word, documents)| (&**word, *documents)));
            let bytes = vocabulary.to_bytes();
            prop_assert_eq!(Vocabulary::from_bytes(&bytes), Ok(vocabulary.clone()));
            // Cut off within a word.
            if !vocabulary.is_empty() {
                prop_assert_eq!(Vocabulary::from_bytes(&bytes[..bytes.len() - 1]), Err(InvalidVocabulary));
            }
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let bytes = [&FORMAT[..], &bytes].concat();
            if let Ok(vocabulary) = Vocabulary::from_bytes(&bytes) {
                prop_assert!(vocabulary.iter().is_sorted_by(|(one, _), (next, _)| one < next));
            }
        }

        #[test]
        fn merged_vocabularies_add_their_numbers(
            pairs in prop::collection::vec(("[ab]{0,2}", 0..9_u32), 0..20), at in 0..20_usize
        ) {
            let pairs: Vec<(&str, u32)> = pairs.iter().map(|(word, documents)| (&**word, *documents)).collect();
            let (first, second) = pairs.split_at(at.min(pairs.len()));
            let parts = [Vocabulary::new(first.iter().copied()), Vocabulary::new(second.iter().copied())];
            prop_assert_eq!(Vocabulary::merged(&parts), Vocabulary::new(pairs));
        }
    }
}
