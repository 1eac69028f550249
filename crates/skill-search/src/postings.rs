//! Postings: which documents contain a term and how often, in eight bytes per document.

use crate::document::Field;

/// The postings of a term. Three in four terms occur in one document only and need no allocation.
pub(crate) enum Postings {
    One(Posting),
    Many(Vec<Posting>),
}

/// A document that contains a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The document's place in the index.
    pub slot: u32,
    pub counts: FieldCounts,
}

/// Occurrences per field, in the order of [`Field::ALL`], in 4, 4, 8, 8 and 8 bits. The counts saturate: 300
/// occurrences are no stronger a signal than 255.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldCounts(u32);

impl FieldCounts {
    const fn shift_and_mask(field: Field) -> (u32, u32) {
        match field {
            Field::Name => (0, 0xf),
            Field::Tags => (4, 0xf),
            Field::Description => (8, 0xff),
            Field::Headings => (16, 0xff),
            Field::Body => (24, 0xff),
        }
    }

    /// Occurrences in the order of [`Field::ALL`].
    #[must_use]
    pub(crate) fn new(counts: [u8; Field::COUNT]) -> Self {
        let mut bits = 0;
        for (field, count) in Field::ALL.into_iter().zip(counts) {
            let (shift, mask) = Self::shift_and_mask(field);
            bits |= u32::from(count).min(mask) << shift;
        }
        Self(bits)
    }

    /// Occurrences in the body alone.
    pub(crate) const fn in_body(count: u8) -> Self {
        let (shift, _) = Self::shift_and_mask(Field::Body);
        Self((count as u32) << shift)
    }

    /// The counts as one number, to store them.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The counts of a stored number. Every number is valid.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Occurrences in a field.
    #[must_use]
    pub const fn get(self, field: Field) -> u8 {
        let (shift, mask) = Self::shift_and_mask(field);
        let [count, ..] = ((self.0 >> shift) & mask).to_le_bytes();
        count
    }

    /// Whether there are no occurrences in other fields than the body.
    pub(crate) const fn is_in_body_only(self) -> bool {
        self.0 & 0xff_ffff == 0
    }

    /// Whether there are occurrences in name, tags or description.
    pub(crate) const fn is_in_front(self) -> bool {
        self.0 & 0xffff != 0
    }

    pub(crate) fn increment(&mut self, field: Field) {
        let (shift, mask) = Self::shift_and_mask(field);
        if (self.0 >> shift) & mask < mask {
            self.0 += 1 << shift;
        }
    }
}

impl Postings {
    pub(crate) fn as_slice(&self) -> &[Posting] {
        match self {
            Self::One(posting) => std::slice::from_ref(posting),
            Self::Many(postings) => postings,
        }
    }

    pub(crate) fn push(&mut self, posting: Posting) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, posting]),
            Self::Many(postings) => postings.push(posting),
        }
    }

    /// Removes the posting of a document. Returns whether no posting is left.
    #[must_use]
    pub(crate) fn remove(&mut self, slot: u32) -> bool {
        match self {
            Self::One(posting) => posting.slot == slot,
            Self::Many(postings) => {
                // From the end: recently added documents are replaced most often.
                if let Some(at) = postings.iter().rposition(|posting| posting.slot == slot) {
                    postings.swap_remove(at);
                }
                postings.is_empty()
            }
        }
    }

    pub(crate) const fn heap_bytes(&self) -> usize {
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
    fn counts_saturate() {
        let mut counts = FieldCounts::default();
        for _ in 0..300 {
            counts.increment(Field::Tags);
            counts.increment(Field::Body);
        }
        assert_eq!(Field::ALL.map(|field| counts.get(field)), [0, 15, 0, 0, 255]);
    }

    #[test]
    fn removal_keeps_the_other_postings() {
        let posting = |slot| Posting {
            slot,
            counts: FieldCounts::default(),
        };
        let slots = |postings: &Postings| postings.as_slice().iter().map(|one| one.slot).collect::<Vec<_>>();
        let mut postings = Postings::One(posting(1));
        assert!(!postings.remove(9));
        postings.push(posting(2));
        postings.push(posting(3));
        assert!(!postings.remove(2));
        assert_eq!(slots(&postings), [1, 3]);
        assert!(!postings.remove(1));
        assert!(postings.remove(3));
    }
}
