//! Names of skills.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

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

    /// Converts `text` to a slug: transliterates letters of other scripts, lowercases, replaces each run of other
    /// characters with one hyphen, and cuts at 64 characters. Returns `None` if no letter or digit can be transliterated.
    #[must_use]
    pub fn derive(text: &str) -> Option<Self> {
        let mut slug = String::new();
        for c in text.nfc().flat_map(char::to_lowercase) {
            match transliteration(c) {
                Some(ascii) => ascii.chars().for_each(|c| push(&mut slug, c)),
                None if is_combining_mark(c) => {}
                None => push(&mut slug, c),
            }
            if slug.len() >= Self::MAX_LEN {
                break;
            }
        }
        slug.truncate(Self::MAX_LEN);
        let slug = slug.trim_end_matches('-');
        (!slug.is_empty()).then(|| Self(slug.to_owned()))
    }
}

/// ASCII text for a letter or digit outside of ASCII. Ends with a space for a character that is a word or syllable.
fn transliteration(c: char) -> Option<&'static str> {
    if c.is_ascii() || !c.is_alphanumeric() {
        return None;
    }
    deunicode::deunicode_char(c).filter(|text| text.contains(|c: char| c.is_ascii_alphanumeric()))
}

/// Appends a letter or digit in lower case, or a hyphen for another character.
fn push(slug: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        slug.push(c.to_ascii_lowercase());
    } else if !slug.is_empty() && !slug.ends_with('-') {
        slug.push('-');
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
