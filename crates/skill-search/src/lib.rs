//! Finding skills by what a reader asks for, in process: a BM25F index of one tenant's skills.
//!
//! BM25F (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.6) adds
//! up a word's occurrences over the fields, each with its weight and its length norm, before the sum is saturated.
//! Three things are added to the textbook, each because it was measured to find more: neighbouring words count as
//! one term as well ("code review" finds `code-review` and `codereview`), a skill that answers more of the request
//! is preferred, and so is a skill whose whole name the request speaks.
//!
//! A query is plain text. It has no syntax, so nothing in it can be wrong, and its cost is bounded.

mod bm25;
mod index;
mod matches;
mod postings;
mod query;
mod ranking;
mod segmentation;
mod tokenizer;

use std::fmt::Write as _;

pub use index::{MAX_BODY_BYTES, MAX_FIELD_BYTES, SearchIndex};
pub use query::{MAX_QUERY_CHARS, MAX_QUERY_WORDS, Query};

use uuid::Uuid;

/// What the index reads of a skill. Nothing of it is kept but counts of words.
#[derive(Debug, Clone, Copy)]
pub struct SkillText<'a> {
    /// Whose text it is.
    pub skill: Uuid,
    /// The skill's name.
    pub name: &'a str,
    /// What the skill does and when to use it.
    pub description: &'a str,
    /// Labels that its author gave it.
    pub tags: &'a [String],
    /// The headings of the body, without their markup.
    pub headings: &'a [String],
    /// The Markdown after the front matter.
    pub body: &'a str,
}

/// A part of a skill that a word can stand in, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The name.
    Name,
    /// The tags.
    Tags,
    /// The description.
    Description,
    /// The headings of the body.
    Headings,
    /// The body.
    Body,
}

impl Field {
    /// Every field, the most telling first.
    pub const ALL: [Self; 5] = [
        Self::Name,
        Self::Tags,
        Self::Description,
        Self::Headings,
        Self::Body,
    ];

    /// The field's name for a reader.
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

/// A word of the query that a skill has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The word as the reader wrote it, not as the skill has it.
    pub term: String,
    /// The most telling field that has it.
    pub field: Field,
}

/// A skill that a query found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The skill.
    pub skill: Uuid,
    /// How well it answers the query. Comparable within one search only.
    pub score: f32,
    /// The query's words that it has: by field, the most telling first, then in the query's order.
    pub matched: Vec<Match>,
}

impl Hit {
    /// Why this was found, in the form `name: pdf; description: extract, tables`, of at most `max_terms` words.
    #[must_use]
    pub fn why(&self, max_terms: usize) -> String {
        let mut why = String::new();
        let mut last = None;
        for Match { term, field } in self.matched.iter().take(max_terms) {
            let written = if last == Some(*field) {
                write!(why, ", {term}")
            } else {
                let separator = if why.is_empty() { "" } else { "; " };
                write!(why, "{separator}{}: {term}", field.as_str())
            };
            debug_assert!(written.is_ok(), "a String takes everything that is written to it");
            last = Some(*field);
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(term: &str, field: Field) -> Match {
        Match {
            term: term.to_owned(),
            field,
        }
    }

    #[test]
    fn a_hit_says_why_by_field() {
        let hit = Hit {
            skill: Uuid::from_u128(7),
            score: 1.0,
            matched: vec![
                matched("pdf", Field::Name),
                matched("extract", Field::Description),
                matched("tables", Field::Description),
                matched("page", Field::Body),
            ],
        };
        assert_eq!(hit.why(9), "name: pdf; description: extract, tables; body: page");
        assert_eq!(hit.why(2), "name: pdf; description: extract");
        assert_eq!(hit.why(0), "");
    }
}
