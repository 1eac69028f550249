//! A document with its place in the first stage of the ranking.

/// A document with its rank.
pub(crate) struct Ranked<Id> {
    pub(crate) id: Id,
    pub(crate) slot: u32,
    /// How exactly its name is the query: 2 for the same words, 1 for the same letters, 0 for another name.
    pub(crate) exactness: u8,
    /// The score without the part for exactness.
    pub(crate) own_score: f32,
    pub(crate) score: f32,
}
