//! The words of a segment's documents.

use std::collections::BTreeMap;

use super::InvalidSegment;
use super::numbers::{Reader, write_number};
use crate::vocabulary::Vocabulary;

/// The vocabulary of documents, and the words of each as places in it. `words_of` has the words of each document.
pub(super) fn encode<'a>(words_of: &[Vec<&'a str>]) -> (Vec<u8>, Vec<u8>) {
    let mut counts: BTreeMap<&'a str, u32> = BTreeMap::new();
    for word in words_of.iter().flatten() {
        *counts.entry(word).or_default() += 1;
    }
    let vocabulary = Vocabulary::new(counts.iter().map(|(word, count)| (*word, *count)));
    let places: BTreeMap<&str, u64> = vocabulary.iter().map(|(word, _)| word).zip(0..).collect();
    let mut bytes = Vec::new();
    for words in words_of {
        let mut places: Vec<u64> = words
            .iter()
            .filter_map(|word| places.get(word).copied())
            .collect();
        places.sort_unstable();
        write_number(&mut bytes, places.len() as u64);
        let mut previous = 0;
        for place in places {
            write_number(&mut bytes, place - previous);
            previous = place;
        }
    }
    (vocabulary.to_bytes(), bytes)
}

/// The words of each of `document_count` documents.
pub(super) fn decode<'v>(
    vocabulary: &'v Vocabulary,
    document_words: &[u8],
    document_count: usize,
) -> Result<Vec<Vec<&'v str>>, InvalidSegment> {
    let all: Vec<&str> = vocabulary.iter().map(|(word, _)| word).collect();
    let mut reader = Reader(document_words);
    let mut words_of = Vec::new();
    for _ in 0..document_count {
        let mut place = 0;
        let mut words = Vec::new();
        for _ in 0..reader.count()? {
            place += usize::try_from(reader.number_u32()?).map_err(|_| InvalidSegment)?;
            words.push(*all.get(place).ok_or(InvalidSegment)?);
        }
        words_of.push(words);
    }
    if reader.is_at_end() {
        Ok(words_of)
    } else {
        Err(InvalidSegment)
    }
}
