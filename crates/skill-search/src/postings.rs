//! Which skills have a term and how often, in eight bytes a skill.

use super::Field;

/// The skills that have a term. Three in four terms are of one skill only and need no allocation.
pub(super) enum Postings {
    One(Posting),
    Many(Vec<Posting>),
}

/// A skill that has a term, and how often.
#[derive(Clone, Copy)]
pub(super) struct Posting {
    pub(super) slot: u32,
    pub(super) counts: Counts,
}

/// Occurrences by field in the order of [`Field::ALL`], in 4, 4, 8, 8 and 8 bits. What exceeds them does not count:
/// a word said 255 times is no more telling than one said 300 times.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts(u32);

impl Counts {
    const fn place(field: Field) -> (u32, u32) {
        match field {
            Field::Name => (0, 0xf),
            Field::Tags => (4, 0xf),
            Field::Description => (8, 0xff),
            Field::Headings => (16, 0xff),
            Field::Body => (24, 0xff),
        }
    }

    pub(super) const fn get(self, field: Field) -> u8 {
        let (shift, mask) = Self::place(field);
        let [count, ..] = ((self.0 >> shift) & mask).to_le_bytes();
        count
    }

    pub(super) fn increment(&mut self, field: Field) {
        let (shift, mask) = Self::place(field);
        if (self.0 >> shift) & mask < mask {
            self.0 += 1 << shift;
        }
    }
}

/// What is left of a term after a removal.
#[derive(PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    Something,
}

impl Postings {
    pub(super) fn as_slice(&self) -> &[Posting] {
        match self {
            Self::One(posting) => std::slice::from_ref(posting),
            Self::Many(postings) => postings,
        }
    }

    pub(super) fn push(&mut self, posting: Posting) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, posting]),
            Self::Many(postings) => postings.push(posting),
        }
    }

    /// Takes a skill out.
    pub(super) fn remove(&mut self, slot: u32) -> Left {
        match self {
            Self::One(posting) if posting.slot == slot => Left::Nothing,
            Self::One(_) => Left::Something,
            Self::Many(postings) => {
                // The latest are the likeliest to be replaced.
                if let Some(at) = postings.iter().rposition(|posting| posting.slot == slot) {
                    postings.swap_remove(at);
                }
                if postings.is_empty() {
                    Left::Nothing
                } else {
                    Left::Something
                }
            }
        }
    }

    pub(super) const fn heap_bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many(postings) => postings.capacity() * size_of::<Posting>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stop_at_the_room_they_have() {
        let mut counts = Counts::default();
        for _ in 0..300 {
            counts.increment(Field::Tags);
            counts.increment(Field::Body);
        }
        assert_eq!(Field::ALL.map(|field| counts.get(field)), [0, 15, 0, 0, 255]);
    }

    #[test]
    fn postings_lose_only_what_is_removed() {
        let posting = |slot| Posting {
            slot,
            counts: Counts::default(),
        };
        let slots = |postings: &Postings| postings.as_slice().iter().map(|one| one.slot).collect::<Vec<_>>();
        let mut postings = Postings::One(posting(1));
        assert!(postings.remove(9) == Left::Something);
        postings.push(posting(2));
        postings.push(posting(3));
        assert!(postings.remove(2) == Left::Something);
        assert_eq!(slots(&postings), [1, 3]);
        assert!(postings.remove(1) == Left::Something);
        assert!(postings.remove(3) == Left::Nothing);
    }
}
