//! Adds terms to a query for words that the index does not have as they are written.

use crate::distance::corrected_errors;
use crate::language::Language;
use crate::query::{Group, Query, TermKind};
use crate::term::TermKey;
use crate::tokenizer::{Tokenizer, stem_keys};
use crate::view::IndexView;
use crate::vocabulary::Vocabulary;

/// Maximum number of words of a query that get other forms. Bounds the number of terms.
const MAX_EXPANDED_WORDS: usize = 8;
/// Maximum number of words of a query that are compared with the whole vocabulary. Bounds the time of an expansion.
const MAX_COMPARED_WORDS: usize = 6;

/// Words with which one word is replaced.
const MAX_CORRECTIONS: usize = 3;
const MAX_COMPLETIONS: usize = 8;
const MAX_WHOLE_COMPLETIONS: usize = 5;

/// In queries of at most this number of words, words that few documents have are corrected too, and the last word is
/// completed. In longer ones the other words say enough.
const SHORT_QUERY_WORDS: usize = 4;
const TYPED_QUERY_WORDS: usize = 3;

/// Maximum number of documents that have a word that may be a typing error.
const RARE_DOCUMENTS: usize = 3;
/// A correction of a word that the index has must be in this many times as many documents.
const MORE_FREQUENT: usize = 3;

/// Shortest word that is completed although it is not the last one, in letters.
const MIN_PREFIX_CHARS: usize = 4;
/// Maximum number of words into which a word is split, and their least number of letters.
const MAX_PARTS: usize = 4;
const MIN_PART_BYTES: usize = 3;

struct Expansion<'a, V> {
    view: &'a V,
    vocabulary: &'a Vocabulary,
    tokenizer: Tokenizer,
    query: Query,
    /// Number of words that got other forms.
    expanded: usize,
    /// Number of words that were compared with the vocabulary.
    compared: usize,
}

impl Query {
    /// Whether [`expanded`](Self::expanded) may read the vocabulary: not for a sentence of whose words the index has each. Reads the
    /// postings of [`keys`](Self::keys).
    #[must_use]
    pub fn needs_vocabulary(&self, view: &impl IndexView) -> bool {
        let words = self.words_to_expand().count();
        let is_name = self.name.words >= 2 && self.name.words <= 2 * TYPED_QUERY_WORDS;
        let is_unknown = |group: usize| {
            let mut terms = self.terms.iter().filter(|term| term.group == group);
            terms.all(|term| view.postings(term.key).is_empty())
        };
        is_name || words <= SHORT_QUERY_WORDS || self.words_to_expand().any(|(group, _)| is_unknown(group))
    }

    /// The groups with a word as it is written, with their numbers.
    fn words_to_expand(&self) -> impl Iterator<Item = (usize, &Group)> {
        let groups = self.groups.iter().enumerate();
        groups.filter(|(_, group)| !group.folded.is_empty() && !group.written.is_empty())
    }

    /// The query with further terms, for words of which the index has few: corrected, completed, split and joined
    /// words, and stems of other languages. Reads the postings of [`keys`](Self::keys) and the vocabulary.
    ///
    /// Adds at most 300 terms.
    #[must_use]
    pub fn expanded(&self, view: &impl IndexView) -> Self {
        expanded(self, view)
    }
}

fn expanded<V: IndexView>(query: &Query, view: &V) -> Query {
    let mut expansion = Expansion {
        view,
        vocabulary: view.vocabulary(),
        tokenizer: Tokenizer::default(),
        query: query.clone(),
        expanded: 0,
        compared: 0,
    };
    let words: Vec<(usize, Group)> = query
        .words_to_expand()
        .map(|(number, group)| (number, group.clone()))
        .collect();
    let mut is_any_rare = false;
    for (position, (group, word)) in words.iter().enumerate() {
        let is_last = position + 1 == words.len() && query.is_open && words.len() <= TYPED_QUERY_WORDS;
        is_any_rare |= expansion.word(*group, &word.folded, words.len(), is_last);
    }
    expansion.whole(is_any_rare);
    expansion.query.sort();
    expansion.query
}

impl<V: IndexView> Expansion<'_, V> {
    /// Adds other forms of one word. Returns whether the index has few documents with it.
    fn word(&mut self, group: usize, word: &str, words: usize, is_last: bool) -> bool {
        let found = self.documents(group);
        let letters = word.chars().count();
        let in_vocabulary = self.vocabulary.documents(word) as usize;
        let is_rare = found == 0
            || (words <= SHORT_QUERY_WORDS && found <= RARE_DOCUMENTS && in_vocabulary < RARE_DOCUMENTS);
        if !is_rare && !is_last || self.expanded >= MAX_EXPANDED_WORDS {
            return is_rare;
        }
        self.expanded += 1;
        if found == 0 {
            self.add_languages(group, word);
        }
        if is_rare && corrected_errors(letters) > 0 && self.compared < MAX_COMPARED_WORDS {
            self.compared += 1;
            self.correct(group, word, found);
        }
        if is_rare && in_vocabulary == 0 {
            self.split(group, word);
        }
        if is_last || (found == 0 && letters >= MIN_PREFIX_CHARS) {
            let kind = if found == 0 {
                TermKind::Completion
            } else {
                TermKind::Continuation
            };
            self.complete(group, word, kind, MAX_COMPLETIONS);
        }
        is_rare
    }

    /// The number of documents that have a term of a group.
    fn documents(&self, group: usize) -> usize {
        let terms = self.query.terms.iter().filter(|term| term.group == group);
        terms
            .map(|term| self.view.postings(term.key).len())
            .max()
            .unwrap_or_default()
    }

    /// Adds the stems of a word in all languages, and its spelling with umlauts if it may have one without.
    fn add_languages(&mut self, group: usize, word: &str) {
        if word.is_ascii() {
            let mut keys = stem_keys(word, &Language::LATIN);
            let folded = word.replace("ae", "a").replace("oe", "o").replace("ue", "u");
            if folded != word {
                keys.extend(self.tokenizer.word_key(&folded));
                keys.extend(stem_keys(&folded, &[Language::German]));
            }
            for key in keys {
                self.query.add(key, TermKind::Word, group, None);
            }
        }
    }

    /// Adds the words of the vocabulary that differ from `word` by a typing error.
    fn correct(&mut self, group: usize, word: &str, found: usize) {
        let similar = self.vocabulary.similar(word, MAX_CORRECTIONS);
        let fewest = similar.first().map_or(0, |similar| similar.errors);
        for similar in similar {
            let is_likely = found == 0 || similar.documents as usize >= MORE_FREQUENT * found;
            if is_likely && similar.errors == fewest {
                self.add(group, similar.word, TermKind::Typo(similar.errors));
            }
        }
    }

    fn complete(&mut self, group: usize, word: &str, kind: TermKind, limit: usize) {
        if word.len() >= 2 {
            for (longer, _) in self.vocabulary.completions(word, limit) {
                self.add(group, longer, kind);
            }
        }
    }

    /// Adds a word of the vocabulary to a group.
    fn add(&mut self, group: usize, word: &str, kind: TermKind) {
        if let Some(key) = self.tokenizer.word_key(word) {
            self.query.add(key, kind, group, Some(word));
        }
    }

    /// Splits a word into words of the vocabulary: adds each, and each two of them as a phrase.
    fn split(&mut self, group: usize, word: &str) {
        let Some(parts) = parts(self.vocabulary, word) else {
            return;
        };
        let mut previous: Option<TermKey> = None;
        for part in parts {
            let (Some(key), Some(stem_group)) = (
                self.tokenizer.word_key(part),
                self.query.groups.get(group).cloned(),
            ) else {
                previous = None;
                continue;
            };
            if let Some(phrase) = previous.and_then(|previous| self.tokenizer.phrase_key(previous, part)) {
                self.query.add(phrase, TermKind::Joined, group, None);
            }
            if !self.query.has(key) {
                let part_group = self.query.add_group(stem_group);
                self.query.add(key, TermKind::Joined, part_group, Some(part));
            }
            previous = Some(key);
        }
    }

    /// Adds words that are made of all words of the query, or of two adjacent ones.
    fn whole(&mut self, is_any_rare: bool) {
        let name = self.query.name.clone();
        if name.words < 2 || name.words > 2 * TYPED_QUERY_WORDS {
            return;
        }
        for joined in &name.joined {
            if self.vocabulary.documents(joined) > 0
                && let Some(key) = self.tokenizer.word_key(joined)
            {
                match self.query.terms.iter_mut().find(|term| term.key == key) {
                    Some(term) if term.kind == TermKind::Phrase => term.kind = TermKind::Joined,
                    Some(_) => {}
                    None => {
                        let group = self.query.add_group(Group::default());
                        self.query.add(key, TermKind::Joined, group, None);
                    }
                }
            }
        }
        let Some(whole) = &name.whole else {
            return;
        };
        let group = self.query.add_group(Group::default());
        let is_known = self.vocabulary.documents(whole) > 0;
        let is_short = name.words <= TYPED_QUERY_WORDS;
        if !is_known && (is_any_rare || is_short) && self.compared < MAX_COMPARED_WORDS {
            self.compared += 1;
            self.correct(group, whole, 0);
        }
        if self.query.is_open {
            self.complete(group, whole, TermKind::Joined, MAX_WHOLE_COMPLETIONS);
        }
    }
}

/// Splits a word into the fewest words of the vocabulary, at most [`MAX_PARTS`]. `None` if that is impossible.
fn parts<'w>(vocabulary: &Vocabulary, word: &'w str) -> Option<Vec<&'w str>> {
    if word.len() < 2 * MIN_PART_BYTES || !word.is_ascii() {
        return None;
    }
    // For each end, the start of the last part of the best split: fewest parts, then the most frequent last word.
    let mut best: Vec<Option<(usize, usize)>> = vec![None; word.len() + 1];
    if let Some(first) = best.first_mut() {
        *first = Some((0, 0));
    }
    for end in MIN_PART_BYTES..=word.len() {
        for start in 0..=end - MIN_PART_BYTES {
            let Some((parts_before, _)) = best.get(start).copied().flatten() else {
                continue;
            };
            let is_better = best
                .get(end)
                .copied()
                .flatten()
                .is_none_or(|(parts, _)| parts_before + 1 < parts);
            let is_word = || {
                word.get(start..end)
                    .is_some_and(|part| vocabulary.documents(part) > 0)
            };
            if parts_before < MAX_PARTS
                && is_better
                && is_word()
                && let Some(entry) = best.get_mut(end)
            {
                *entry = Some((parts_before + 1, start));
            }
        }
    }
    let mut parts = Vec::new();
    let mut end = word.len();
    while end > 0 {
        let (_, start) = best.get(end).copied().flatten()?;
        parts.push(word.get(start..end)?);
        end = start;
    }
    parts.reverse();
    (parts.len() > 1).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_into_the_fewest_parts() {
        let vocabulary = Vocabulary::new([
            ("code", 9),
            ("review", 9),
            ("git", 2),
            ("commit", 4),
            ("message", 1),
            ("com", 1),
        ]);
        assert_eq!(parts(&vocabulary, "codereview"), Some(vec!["code", "review"]));
        assert_eq!(
            parts(&vocabulary, "gitcommitmessage"),
            Some(vec!["git", "commit", "message"])
        );
        for whole in ["code", "codex", "coderevie", "", "xyzabc"] {
            assert_eq!(parts(&vocabulary, whole), None, "{whole}");
        }
    }
}
