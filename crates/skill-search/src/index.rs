//! The inverted index of one tenant's skills.
//!
//! It is kept small, because every stdio process has its own: a posting is eight bytes, terms are hashes, and no text
//! is stored. It holds only whole numbers, and what is computed from them does not depend on the order in which
//! skills came and went, so an index that was changed answers exactly as a fresh one.

use std::collections::HashMap;
use std::mem::size_of;

use super::postings::{Counts, Left, Posting, Postings};
use super::tokenizer::{TermKey, Tokenizer};
use super::{Field, SkillText};
use uuid::Uuid;

/// How many bytes of a body are indexed. Measured over real skills, what stands later changes no ranking; without a
/// bound one skill of megabytes could hold up its tenant's searches.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// How many bytes of each other field are indexed, all headings or all tags together.
pub const MAX_FIELD_BYTES: usize = 16 * 1024;

/// One tenant's skills, as far as finding them by words needs it.
#[derive(Default)]
pub struct SearchIndex {
    /// The place of a term in `terms`.
    places: HashMap<TermKey, u32>,
    terms: Vec<Term>,
    free_terms: Vec<u32>,
    /// The place of a skill in `skills`.
    slots: HashMap<Uuid, u32>,
    skills: Vec<Option<Indexed>>,
    free_slots: Vec<u32>,
    /// The terms of all skills together, by field: what an average length is.
    lengths: [u64; Field::ALL.len()],
    tokenizer: Tokenizer,
}

struct Term {
    key: TermKey,
    postings: Postings,
}

/// A skill in the index.
pub(super) struct Indexed {
    pub(super) skill: Uuid,
    /// How many terms each field has, in the order of [`Field::ALL`].
    pub(super) lengths: [u32; Field::ALL.len()],
    /// Its terms' places: those of its name first, `name_terms` in number, in the order of their first occurrence.
    terms: Box<[u32]>,
    name_terms: usize,
}

impl Indexed {
    pub(super) fn name_terms(&self) -> impl Iterator<Item = u32> {
        self.terms.iter().take(self.name_terms).copied()
    }
}

impl SearchIndex {
    /// An index without skills.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many skills can be found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no skill can be found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What the index takes of memory, in bytes, without the allocator's own share.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        // A map has a byte of its own for each place.
        let maps = self.places.capacity() * (size_of::<(TermKey, u32)>() + 1)
            + self.slots.capacity() * (size_of::<(Uuid, u32)>() + 1);
        let postings: usize = self.terms.iter().map(|term| term.postings.heap_bytes()).sum();
        let skills: usize = self
            .skills
            .iter()
            .flatten()
            .map(|skill| size_of_val(&*skill.terms))
            .sum();
        let lists = self.terms.capacity() * size_of::<Term>()
            + self.skills.capacity() * size_of::<Option<Indexed>>()
            + (self.free_terms.capacity() + self.free_slots.capacity()) * size_of::<u32>();
        maps + postings + skills + lists + self.tokenizer.memory_bytes()
    }

    /// Makes a skill findable by this text, and by this text only.
    pub fn upsert(&mut self, text: &SkillText<'_>) {
        self.remove(text.skill);
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.skills.push(None);
            place_of_last(self.skills.len())
        });
        let (counted, lengths) = count(&mut self.tokenizer, text);
        let name_terms = counted
            .iter()
            .take_while(|(_, counts)| counts.get(Field::Name) > 0)
            .count();
        let terms = counted
            .into_iter()
            .map(|(key, counts)| self.post(key, Posting { slot, counts }))
            .collect();
        for (total, length) in self.lengths.iter_mut().zip(lengths) {
            *total += u64::from(length);
        }
        if let Some(place) = self.skills.get_mut(slot as usize) {
            *place = Some(Indexed {
                skill: text.skill,
                lengths,
                terms,
                name_terms,
            });
        }
        self.slots.insert(text.skill, slot);
    }

    /// Makes a skill unfindable. One that is not in the index stays so.
    pub fn remove(&mut self, skill: Uuid) {
        let Some(slot) = self.slots.remove(&skill) else {
            return;
        };
        let Some(indexed) = self.skills.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.free_slots.push(slot);
        for place in indexed.terms {
            self.unpost(place, slot);
        }
        for (total, length) in self.lengths.iter_mut().zip(indexed.lengths) {
            *total -= u64::from(length);
        }
    }

    /// Adds a posting to a term, which may be new. The term's place.
    fn post(&mut self, key: TermKey, posting: Posting) -> u32 {
        if let Some(&place) = self.places.get(&key) {
            if let Some(term) = self.terms.get_mut(place as usize) {
                term.postings.push(posting);
            }
            return place;
        }
        let term = Term {
            key,
            postings: Postings::One(posting),
        };
        let place = match self.free_terms.pop() {
            Some(free) => {
                if let Some(place) = self.terms.get_mut(free as usize) {
                    *place = term;
                }
                free
            }
            None => {
                self.terms.push(term);
                place_of_last(self.terms.len())
            }
        };
        self.places.insert(key, place);
        place
    }

    fn unpost(&mut self, place: u32, slot: u32) {
        let Some(term) = self.terms.get_mut(place as usize) else {
            return;
        };
        if term.postings.remove(slot) == Left::Nothing {
            self.places.remove(&term.key);
            term.postings = Postings::Many(Vec::new());
            self.free_terms.push(place);
        }
    }

    /// The skills that have a term; none for one that no skill has.
    pub(super) fn postings(&self, key: TermKey) -> &[Posting] {
        self.places
            .get(&key)
            .map_or(&[], |place| self.postings_at(*place))
    }

    pub(super) fn postings_at(&self, place: u32) -> &[Posting] {
        self.terms
            .get(place as usize)
            .map_or(&[], |term| term.postings.as_slice())
    }

    /// The skills by slot, with holes where skills were removed.
    pub(super) fn slots(&self) -> &[Option<Indexed>] {
        &self.skills
    }

    /// The terms of all skills together, in the order of [`Field::ALL`].
    pub(super) const fn total_lengths(&self) -> [u64; Field::ALL.len()] {
        self.lengths
    }
}

/// The place of what was pushed last. There are fewer than 2³² terms and skills: their postings alone would not fit
/// into memory.
fn place_of_last(len: usize) -> u32 {
    u32::try_from(len.saturating_sub(1)).unwrap_or(u32::MAX)
}

type Counted = Vec<(TermKey, Counts)>;

/// How often each term stands in each field, in the order of first occurrence, and the fields' lengths.
fn count(tokenizer: &mut Tokenizer, text: &SkillText<'_>) -> (Counted, [u32; Field::ALL.len()]) {
    let mut counted: Counted = Vec::new();
    let mut places: HashMap<TermKey, usize> =
        HashMap::with_capacity(text.body.len().min(MAX_BODY_BYTES) / 16);
    let lengths = Field::ALL.map(|field| {
        let mut length = 0_u32;
        for_each_text(text, field, &mut |part| {
            tokenizer.tokens(part, &mut |token| {
                length = length.saturating_add(1);
                let place = *places.entry(token.key).or_insert_with(|| {
                    counted.push((token.key, Counts::default()));
                    counted.len() - 1
                });
                if let Some((_, counts)) = counted.get_mut(place) {
                    counts.increment(field);
                }
            });
        });
        length
    });
    (counted, lengths)
}

/// Calls `each` for the texts of a field, up to the field's limit in bytes.
fn for_each_text(text: &SkillText<'_>, field: Field, each: &mut impl FnMut(&str)) {
    let mut left = MAX_FIELD_BYTES;
    let mut list = |items: &[String]| {
        for item in items {
            let item = within(item, left);
            left -= item.len();
            each(item);
        }
    };
    match field {
        Field::Name => each(within(text.name, MAX_FIELD_BYTES)),
        Field::Tags => list(text.tags),
        Field::Description => each(within(text.description, MAX_FIELD_BYTES)),
        Field::Headings => list(text.headings),
        Field::Body => each(within(text.body, MAX_BODY_BYTES)),
    }
}

/// The first `limit` bytes, less what would be half a character.
fn within(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(index: &mut SearchIndex, body: &str) -> Uuid {
        let skill = Uuid::from_u128(u128::try_from(index.len()).unwrap() + 1);
        index.upsert(&SkillText {
            skill,
            name: "pdf",
            description: "",
            tags: &[],
            headings: &[],
            body,
        });
        skill
    }

    #[test]
    fn nothing_is_left_of_removed_skills() {
        let mut index = SearchIndex::new();
        let skills = ["one body", "another body", "a third body"].map(|body| with(&mut index, body));
        assert_eq!(index.len(), 3);
        for skill in skills {
            index.remove(skill);
            index.remove(skill);
        }
        assert!(index.is_empty());
        assert!(index.places.is_empty());
        assert_eq!(index.lengths, [0; 5]);
        assert_eq!(index.free_terms.len(), index.terms.len());
        assert_eq!(index.free_slots.len(), index.skills.len());
    }

    #[test]
    fn what_was_freed_is_used_again() {
        let mut index = SearchIndex::new();
        let skill = with(&mut index, "one two three");
        let (terms, skills) = (index.terms.len(), index.skills.len());
        for round in 0..100 {
            let body = format!("word{round} other{round} third{round}");
            let text = SkillText {
                skill,
                name: "pdf",
                description: "",
                tags: &[],
                headings: &[],
                body: &body,
            };
            index.upsert(&text);
        }
        assert_eq!(index.len(), 1);
        assert_eq!(index.skills.len(), skills);
        assert!(index.terms.len() <= 2 * terms, "{} terms", index.terms.len());
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        assert_eq!(within("\u{e9}\u{e9}", 3), "\u{e9}");
        assert_eq!(within("\u{e9}", 0), "");
        assert_eq!(within("pdf", 9), "pdf");
        let mut index = SearchIndex::new();
        with(
            &mut index,
            &format!("early {} late", "\u{2014}".repeat(MAX_BODY_BYTES)),
        );
        // The name, the one word, and nothing of what follows the limit.
        assert_eq!(index.terms.len(), 2);
    }

    #[test]
    fn memory_is_counted() {
        let mut index = SearchIndex::new();
        let empty = index.memory_bytes();
        with(
            &mut index,
            &(0..1_000).map(|n| format!("word{n}, ")).collect::<String>(),
        );
        assert!(index.memory_bytes() > empty + 1_000 * (size_of::<Term>() + size_of::<u32>()));
    }
}
