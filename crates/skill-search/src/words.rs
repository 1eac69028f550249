//! The changing words of an index in memory.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::vocabulary::Vocabulary;

/// Counts the documents of each word. The [`Vocabulary`] is built when it is first read after a change.
#[derive(Default)]
pub(crate) struct Words {
    indexes: HashMap<Box<str>, u32>,
    entries: Vec<WordEntry>,
    /// Unused indexes of `entries`.
    free: Vec<u32>,
    vocabulary: OnceLock<Vocabulary>,
}

struct WordEntry {
    word: Box<str>,
    documents: u32,
}

impl Words {
    /// Counts a document of a word. Returns the word's index, with which it can be removed.
    pub(crate) fn add(&mut self, word: Box<str>) -> u32 {
        self.vocabulary.take();
        if let Some(index) = self.indexes.get(&word).copied() {
            if let Some(entry) = self.entries.get_mut(index as usize) {
                entry.documents += 1;
            }
            return index;
        }
        let entry = WordEntry {
            word: word.clone(),
            documents: 1,
        };
        let index = if let Some(index) = self.free.pop() {
            if let Some(unused) = self.entries.get_mut(index as usize) {
                *unused = entry;
            }
            index
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        };
        self.indexes.insert(word, index);
        index
    }

    /// Removes a document of the word with this index.
    pub(crate) fn remove(&mut self, index: u32) {
        self.vocabulary.take();
        let Some(entry) = self.entries.get_mut(index as usize) else {
            return;
        };
        entry.documents -= 1;
        if entry.documents == 0 {
            self.indexes.remove(&entry.word);
            entry.word = Box::default();
            self.free.push(index);
        }
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary
            .get_or_init(|| Vocabulary::new(self.entries.iter().map(|entry| (&*entry.word, entry.documents))))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let texts: usize = self.entries.iter().map(|entry| 2 * entry.word.len()).sum();
        self.indexes.capacity() * (size_of::<(Box<str>, u32)>() + 1)
            + self.entries.capacity() * size_of::<WordEntry>()
            + self.free.capacity() * size_of::<u32>()
            + texts
            + self.vocabulary.get().map_or(0, Vocabulary::memory_bytes)
    }
}
