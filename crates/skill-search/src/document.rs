//! The documents that an index contains, and their fields.

/// The text of a skill. The index stores counts of terms, not the text.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a, Id> {
    pub id: Id,
    pub name: &'a str,
    pub description: &'a str,
    pub tags: &'a [String],
    /// The headings of the body, without markup.
    pub headings: &'a [String],
    /// The text after the front matter.
    pub body: &'a str,
}

/// A field of a [`Document`]. The order is by weight, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    Name,
    Tags,
    Description,
    Headings,
    Body,
}

impl Field {
    /// All fields, highest weight first.
    pub const ALL: [Self; 5] = [
        Self::Name,
        Self::Tags,
        Self::Description,
        Self::Headings,
        Self::Body,
    ];
    /// Number of fields.
    pub const COUNT: usize = Self::ALL.len();

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Tags => "tags",
            Self::Description => "description",
            Self::Headings => "headings",
            Self::Body => "body",
        }
    }
}
