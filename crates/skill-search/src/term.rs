//! The keys of terms.

/// A term of the index: a 64-bit FNV-1a hash of the stem.
///
/// FNV-1a hashes byte by byte, so the hash of two adjacent stems equals the hash of the joined word: `code review`,
/// `code-review` and `codereview` are one term, without building a string. A deliberate collision has no benefit: an
/// author who can publish the colliding word can publish the word itself. `HashMap` hashes these keys again with a
/// random seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermKey(u64);

impl TermKey {
    pub(crate) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(crate) fn extended(self, text: &str) -> Self {
        let hash = text.bytes().fold(self.0, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash)
    }

    /// The hash, to store it.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The key with a stored hash.
    #[must_use]
    pub const fn from_u64(hash: u64) -> Self {
        Self(hash)
    }
}
