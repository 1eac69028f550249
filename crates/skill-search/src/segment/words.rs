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

/// Reads the words of documents one after the other, as places in the vocabulary of their segment.
pub(super) struct PlacesReader<'a> {
    reader: Reader<'a>,
    places: Vec<u32>,
}

impl<'a> PlacesReader<'a> {
    pub(super) const fn new(document_words: &'a [u8]) -> Self {
        Self {
            reader: Reader(document_words),
            places: Vec::new(),
        }
    }

    /// The words of the next document, in the order of the vocabulary.
    pub(super) fn next_document(&mut self) -> Result<&[u32], InvalidSegment> {
        self.places.clear();
        let mut place = 0_u32;
        for _ in 0..self.reader.count()? {
            place = place
                .checked_add(self.reader.number_u32()?)
                .ok_or(InvalidSegment)?;
            self.places.push(place);
        }
        Ok(&self.places)
    }

    pub(super) fn finish(&self) -> Result<(), InvalidSegment> {
        if self.reader.is_at_end() {
            Ok(())
        } else {
            Err(InvalidSegment)
        }
    }
}

/// The words of a segment that is merged.
pub(super) struct WordsSource<'a> {
    pub(super) vocabulary: Vocabulary,
    pub(super) document_words: &'a [u8],
    /// For each document, whether the merged segment has it.
    pub(super) kept: Vec<bool>,
}

/// The vocabulary of the kept documents of all sources, and their words as places in it.
pub(super) fn merge(sources: &[WordsSource<'_>]) -> Result<(Vec<u8>, Vec<u8>), InvalidSegment> {
    let counts = sources.iter().map(count_words).collect::<Result<Vec<_>, _>>()?;
    let counted = sources.iter().zip(&counts).flat_map(|(source, counts)| {
        let words = source.vocabulary.iter().map(|(word, _)| word);
        words.zip(counts.iter().copied())
    });
    let merged = Vocabulary::new(counted);
    let mut bytes = Vec::new();
    for source in sources {
        let new_places = new_places(&source.vocabulary, &merged);
        let mut documents = PlacesReader::new(source.document_words);
        for is_kept in &source.kept {
            let places = documents.next_document()?;
            if !is_kept {
                continue;
            }
            write_number(&mut bytes, places.len() as u64);
            let mut previous = 0;
            for place in places {
                let place = new_places.get(*place as usize).copied().flatten();
                let place = place.ok_or(InvalidSegment)?;
                write_number(
                    &mut bytes,
                    u64::from(place.checked_sub(previous).ok_or(InvalidSegment)?),
                );
                previous = place;
            }
        }
        documents.finish()?;
    }
    Ok((merged.to_bytes(), bytes))
}

/// The number of kept documents that have each word of the vocabulary.
fn count_words(source: &WordsSource<'_>) -> Result<Vec<u32>, InvalidSegment> {
    let mut counts = vec![0_u32; source.vocabulary.len()];
    let mut documents = PlacesReader::new(source.document_words);
    for is_kept in &source.kept {
        for place in documents.next_document()? {
            let count = counts.get_mut(*place as usize).ok_or(InvalidSegment)?;
            *count += u32::from(*is_kept);
        }
    }
    Ok(counts)
}

/// The place of each word of a vocabulary in another one; `None` if that has not the word.
fn new_places(vocabulary: &Vocabulary, merged: &Vocabulary) -> Vec<Option<u32>> {
    // Both are in order.
    let mut following = (0_u32..).zip(merged.iter().map(|(word, _)| word)).peekable();
    vocabulary
        .iter()
        .map(|(word, _)| {
            while following.next_if(|(_, other)| *other < word).is_some() {}
            let found = following.peek().filter(|(_, other)| *other == word);
            found.map(|(place, _)| *place)
        })
        .collect()
}
