//! Texts that a model expects before queries and documents.

use crate::embedder::ModelId;
use crate::error::SettingsError;
use crate::text::{InputHash, MAX_TEXT_CHARS};

/// Longer prefixes would take the room of the text.
const MAX_PREFIX_BYTES: usize = 500;
/// Characters of the prefixes' hash in the model's name.
const HASH_CHARS: usize = 8;

/// The texts before a query and before a document, for example `query: ` and `passage: ` of E5. A model that was trained
/// with them ranks worse without.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prefixes {
    query: String,
    document: String,
}

impl Prefixes {
    /// # Errors
    /// If one is longer than 500 bytes.
    pub(crate) fn new(query: impl Into<String>, document: impl Into<String>) -> Result<Self, SettingsError> {
        let (query, document) = (query.into(), document.into());
        for (name, prefix) in [
            ("the length of query_prefix", &query),
            ("the length of document_prefix", &document),
        ] {
            if prefix.len() > MAX_PREFIX_BYTES {
                return Err(SettingsError::OutOfRange {
                    name,
                    value: prefix.len(),
                    min: 0,
                    max: MAX_PREFIX_BYTES,
                });
            }
        }
        Ok(Self { query, document })
    }

    /// A query with its prefix, at most [`MAX_TEXT_CHARS`] characters without it.
    pub(crate) fn before_query(&self, text: &str) -> String {
        before(&self.query, text)
    }

    /// A document with its prefix, at most [`MAX_TEXT_CHARS`] characters without it.
    pub(crate) fn before_document(&self, text: &str) -> String {
        before(&self.document, text)
    }

    /// The name of the model with a hash of the prefixes, because they change its numbers.
    ///
    /// # Errors
    /// If the name becomes too long.
    pub(crate) fn named(&self, model: ModelId) -> Result<ModelId, SettingsError> {
        if *self == Self::default() {
            return Ok(model);
        }
        // With quotes and escapes, so that no other pair of prefixes is the same text.
        let both = format!("{:?} {:?}", self.document, self.query);
        let hash = InputHash::of(&model, &both).to_string();
        ModelId::new(format!("{model}+{}", hash.get(..HASH_CHARS).unwrap_or(&hash)))
    }
}

fn before(prefix: &str, text: &str) -> String {
    prefix.chars().chain(text.chars().take(MAX_TEXT_CHARS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_prefixes_make_another_name() {
        let model = ModelId::new("m").unwrap();
        let named = |query: &str, document: &str| {
            let prefixes = Prefixes::new(query, document).unwrap();
            prefixes.named(model.clone()).unwrap()
        };
        assert_eq!(named("", ""), model);
        // Joined by a line break, two of these would be the same text.
        let names = [
            named("a", ""),
            named("", "a"),
            named("", "a\nb"),
            named("b\n", "a"),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(!names.iter().skip(at + 1).any(|other| other == name), "{name}");
        }
    }
}
