//! Names of skills.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::IdError;

/// A name of 1 to 64 lowercase letters, digits and single hyphens, safe in URIs, paths and shells (Agent Skills
/// specification, `name`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// Maximum length in characters, all of which are ASCII.
    pub const MAX_LEN: usize = 64;

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts `text` to a slug: lowercases letters, replaces each run of other characters with one hyphen, and cuts
    /// at 64 characters. Returns `None` if `text` contains no ASCII letter or digit.
    #[must_use]
    pub fn derive(text: &str) -> Option<Self> {
        let mut slug = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                slug.push(c);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() >= Self::MAX_LEN {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        (!slug.is_empty()).then(|| Self(slug.to_owned()))
    }
}

impl FromStr for Slug {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_slug = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(is_allowed)
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.contains("--");
        if is_slug {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Slug)
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slug({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn derived_slug_is_valid(text in ".*") {
            if let Some(slug) = Slug::derive(&text) {
                prop_assert_eq!(slug.as_str().parse::<Slug>().unwrap(), slug);
            }
        }

        #[test]
        fn deriving_from_a_slug_changes_nothing(text in "[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,2}") {
            prop_assert_eq!(Slug::derive(&text).unwrap(), text.parse::<Slug>().unwrap());
        }
    }
}
