//! Compares segments with the index in memory.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::analysis::Analyzer;
use crate::document::Document;
use crate::hit::Hit;
use crate::index::SearchIndex;
use crate::query::Query;
use crate::ranking::search;
use crate::view::IndexView as _;
use crate::vocabulary::Vocabulary;

type Texts = [String; 5];

/// Stored segments, as a database would have them.
#[derive(Default)]
struct Store {
    segments: BTreeMap<SegmentId, EncodedSegment>,
    next_id: SegmentId,
}

impl Store {
    fn insert(&mut self, segment: EncodedSegment) {
        self.segments.insert(self.next_id, segment);
        self.next_id += 1;
    }

    fn index(&self) -> SegmentedIndex {
        let mut index = SegmentedIndex::new();
        for (id, segment) in &self.segments {
            index.add_encoded(*id, segment).unwrap();
        }
        index
    }

    fn vocabulary(&self) -> Vocabulary {
        let parts: Vec<Vocabulary> = self
            .segments
            .values()
            .map(|segment| Vocabulary::from_bytes(&segment.vocabulary).unwrap())
            .collect();
        Vocabulary::merged(&parts)
    }

    fn search(&self, query: &Query, vocabulary: &Vocabulary) -> Vec<Hit<u128>> {
        let index = self.index();
        let blocks: HashMap<BlockId, &[u8]> = self
            .segments
            .iter()
            .flat_map(|(segment, encoded)| {
                (0..).zip(&encoded.blocks).map(|(number, block)| {
                    let id = BlockId {
                        segment: *segment,
                        number,
                    };
                    (id, block.as_slice())
                })
            })
            .collect();
        let none = Vocabulary::default();
        let mut loaded = LoadedIndex::new(&index, &none);
        let block = |id| blocks.get(&id).copied();
        loaded.load(&query.keys().collect::<Vec<_>>(), block).unwrap();
        // As a process that reads the vocabulary only if it must.
        let vocabulary = if query.needs_vocabulary(&loaded) {
            vocabulary
        } else {
            &none
        };
        let mut loaded = loaded.with_vocabulary(vocabulary);
        let query = query.expanded(&loaded);
        loaded.load(&query.keys().collect::<Vec<_>>(), block).unwrap();
        search(&loaded, &query, 10, |_| true)
    }

    /// Merges the segments whose numbers `is_chosen`.
    fn merge(&mut self, is_chosen: impl Fn(u128) -> bool) {
        let index = self.index();
        let chosen: Vec<SegmentId> = self
            .segments
            .keys()
            .copied()
            .filter(|id| is_chosen(*id))
            .collect();
        let sources: Vec<EncodedSegment> = chosen.iter().filter_map(|id| self.segments.remove(id)).collect();
        let sources: Vec<&EncodedSegment> = sources.iter().collect();
        let is_current = |id, revision| index.revision_of(id) == Some(revision);
        let merged = merge(&sources, is_current).unwrap();
        self.insert(merged);
    }
}

#[derive(Debug, Clone)]
enum Change {
    /// One segment with new states of some documents.
    Write(BTreeMap<u128, Option<Texts>>),
    /// Merges the segments whose bit is set.
    Merge(u16),
}

fn change() -> impl Strategy<Value = Change> {
    let words = || "([abc]{1,2}[ .-]){0,6}";
    let texts = [words(), words(), words(), words(), words()].prop_map(|texts| texts);
    let states = prop::collection::btree_map(0..8_u128, prop::option::weighted(0.8, texts), 1..4);
    prop_oneof![
        3 => states.prop_map(Change::Write),
        1 => any::<u16>().prop_map(Change::Merge),
    ]
}

fn with_document<R>(
    id: u128,
    [name, tag, description, heading, body]: &Texts,
    run: impl FnOnce(&Document<'_, u128>) -> R,
) -> R {
    let (tags, headings) = ([tag.clone()], [heading.clone()]);
    run(&Document {
        id,
        name,
        description,
        tags: &tags,
        headings: &headings,
        body,
    })
}

proptest! {
    #[test]
    fn segments_give_the_same_results_as_a_new_index(
        changes in prop::collection::vec(change(), 0..20),
        query in "([abc]{1,2}[ .-]){1,10}",
    ) {
        let (mut store, mut left, mut analyzer) = (Store::default(), BTreeMap::new(), Analyzer::new());
        for (revision, change) in (1..).zip(changes) {
            match change {
                Change::Write(states) => {
                    let mut builder = SegmentBuilder::new();
                    for (id, texts) in states {
                        match texts {
                            Some(texts) => {
                                let analyzed = with_document(id, &texts, |document| analyzer.analyze(document));
                                builder.add(analyzed, revision, Box::from(id.to_be_bytes()));
                                left.insert(id, texts);
                            }
                            None => {
                                builder.add_removed(id, revision);
                                left.remove(&id);
                            }
                        }
                    }
                    store.insert(builder.finish());
                }
                Change::Merge(bits) => store.merge(|id| bits >> (id % 16) & 1 == 1),
            }
        }
        let mut fresh = SearchIndex::new();
        for (id, texts) in &left {
            with_document(*id, texts, |document| fresh.upsert(document));
        }
        prop_assert_eq!(store.index().len(), fresh.len());
        let query = Query::new(&query);
        // Before a merge the stored vocabulary also has the words of replaced documents.
        prop_assert_eq!(store.search(&query, fresh.vocabulary()), fresh.search(&query, 10, |_| true));
        // One segment of the present documents has their words and no others.
        store.merge(|_| true);
        prop_assert_eq!(store.search(&query, &store.vocabulary()), fresh.search(&query, 10, |_| true));
        let words_of_fresh: Vec<(String, u32)> =
            fresh.vocabulary().iter().map(|(word, count)| (word.to_owned(), count)).collect();
        let words: Vec<(String, u32)> =
            store.vocabulary().iter().map(|(word, count)| (word.to_owned(), count)).collect();
        prop_assert_eq!(words, words_of_fresh);
    }

    #[test]
    fn damaged_segments_are_errors(
        texts in prop::array::uniform5("([abc]{1,9}[ .-]){0,20}"), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut builder = SegmentBuilder::new();
        builder.add(with_document(7, &texts, |document| Analyzer::new().analyze(document)), 1, Box::default());
        let segment = builder.finish();
        for part in 0..5 {
            let mut damaged = segment.clone();
            let bytes = match part {
                0 => &mut damaged.documents,
                1 => &mut damaged.directory,
                2 => &mut damaged.vocabulary,
                3 => &mut damaged.document_words,
                _ => match damaged.blocks.first_mut() {
                    Some(block) => block,
                    None => continue,
                },
            };
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = SegmentedIndex::new().add_encoded(1, &damaged);
            let _ = merge(&[&damaged, &segment], |_, _| true);
        }
    }
}

#[test]
fn adding_says_what_changed() {
    let mut index = SegmentedIndex::new();
    let segment = |texts: &[(u128, u64, Option<&str>)]| {
        let mut builder = SegmentBuilder::new();
        for (id, revision, name) in texts {
            match name {
                Some(name) => {
                    let texts = [
                        (*name).to_owned(),
                        String::new(),
                        String::new(),
                        String::new(),
                        String::new(),
                    ];
                    let analyzed = with_document(*id, &texts, |document| Analyzer::new().analyze(document));
                    builder.add(analyzed, *revision, name.as_bytes().into());
                }
                None => builder.add_removed(*id, *revision),
            }
        }
        builder.finish()
    };
    let first = index
        .add_encoded(1, &segment(&[(1, 1, Some("pdf")), (2, 2, Some("git"))]))
        .unwrap();
    assert_eq!((first.removed.len(), first.added), (0, vec![0, 1]));
    // An older revision changes nothing, whenever it is added.
    let old = index.add_encoded(2, &segment(&[(2, 1, Some("old"))])).unwrap();
    assert_eq!((old.removed.len(), old.added.len()), (0, 0));
    let second = index
        .add_encoded(3, &segment(&[(1, 3, None), (2, 4, Some("svn"))]))
        .unwrap();
    assert_eq!(second.removed, [(0, Box::from(*b"pdf")), (1, Box::from(*b"git"))]);
    assert_eq!(second.added, [4]);
    assert_eq!(
        (index.len(), index.slot_of(1), index.revision_of(1)),
        (1, None, Some(3))
    );
    assert_eq!(index.document(4).unwrap().1, b"svn");
}
