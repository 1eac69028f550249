//! The answer of an endpoint: untrusted bytes to checked embeddings.

use serde::Deserialize;

use crate::embedder::Embedding;
use crate::error::EmbedError;

/// Bytes of an answer around its numbers.
const FRAME_BYTES: usize = 64 * 1024;

/// Bytes of a number. JSON writers use up to 24 characters for one, plus comma and indentation.
const NUMBER_BYTES: usize = 48;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// The position of the text. Some servers leave it out, and keep the order of the texts.
    index: Option<usize>,
    embedding: Vec<f32>,
}

/// The size in bytes that no correct answer exceeds.
pub(super) const fn max_bytes(texts: usize, dimensions: usize) -> usize {
    FRAME_BYTES + texts * dimensions * NUMBER_BYTES
}

/// Reads an answer for `expected` texts.
pub(super) fn read(
    host: &str,
    bytes: &[u8],
    expected: usize,
    dimensions: usize,
) -> Result<Vec<Embedding>, EmbedError> {
    let bad_answer = |reason: String| EmbedError::BadAnswer {
        host: host.to_owned(),
        reason,
    };
    // Errors of the parser name a line and a column and quote nothing of the text but the type that it found.
    let answer: Answer =
        serde_json::from_slice(bytes).map_err(|error| bad_answer(error_without_text(&error)))?;
    if answer.data.len() != expected {
        return Err(EmbedError::WrongCount {
            host: host.to_owned(),
            expected,
            returned: answer.data.len(),
        });
    }
    let mut embeddings: Vec<Option<Embedding>> = vec![None; expected];
    for (position, item) in answer.data.into_iter().enumerate() {
        if item.embedding.len() != dimensions {
            return Err(EmbedError::WrongDimensions {
                expected: dimensions,
                returned: item.embedding.len(),
            });
        }
        let index = item.index.unwrap_or(position);
        let free = embeddings.get_mut(index).filter(|place| place.is_none());
        let place = free.ok_or_else(|| bad_answer(format!("index {index} is repeated or too large")))?;
        *place = Some(Embedding::new(item.embedding).map_err(EmbedError::BadVector)?);
    }
    // As many items as places, and none twice, so that no place is empty.
    Ok(embeddings.into_iter().flatten().collect())
}

fn error_without_text(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Io => "unreadable",
        serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Data => "a field is missing or has another type",
        serde_json::error::Category::Eof => "cut off",
    };
    format!("{kind} at line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::VectorFault;

    fn read(text: &str) -> Result<Vec<Embedding>, EmbedError> {
        super::read("host", text.as_bytes(), 2, 2)
    }

    #[test]
    fn embeddings_are_in_the_order_of_the_texts() {
        let swapped =
            read(r#"{"data": [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3, 0]}]}"#);
        let unnumbered =
            read(r#"{"model": "m", "data": [{"embedding": [1.0, 0]}, {"embedding": [0, 1e-3]}]}"#);
        for embeddings in [swapped.unwrap(), unnumbered.unwrap()] {
            let slices: Vec<&[f32]> = embeddings.iter().map(Embedding::as_slice).collect();
            assert_eq!(slices, [[1.0, 0.0], [0.0, 1.0]]);
        }
    }

    #[test]
    fn wrong_answers_are_rejected() {
        let item = |index: usize, numbers: &str| format!(r#"{{"index": {index}, "embedding": [{numbers}]}}"#);
        let answer = |items: &[String]| read(&format!(r#"{{"data": [{}]}}"#, items.join(","))).unwrap_err();
        assert!(matches!(
            answer(&[item(0, "1, 0")]),
            EmbedError::WrongCount { returned: 1, .. }
        ));
        assert!(matches!(
            answer(&[item(0, "1, 0"), item(1, "1, 0, 0")]),
            EmbedError::WrongDimensions {
                expected: 2,
                returned: 3
            }
        ));
        for (numbers, fault) in [("0, 0", VectorFault::Zero), ("1e39, 0", VectorFault::NotFinite)] {
            assert_eq!(
                answer(&[item(0, "1, 0"), item(1, numbers)]),
                EmbedError::BadVector(fault)
            );
        }
        for items in [
            [item(0, "1, 0"), item(0, "1, 0")],
            [item(0, "1, 0"), item(2, "1, 0")],
            [item(0, "1, 0"), item(1, "NaN, 0")],
            [item(0, "1, 0"), item(1, "null, 0")],
            [item(0, "1, 0"), item(1, "\"private\", 0")],
        ] {
            let error = answer(&items);
            assert!(matches!(error, EmbedError::BadAnswer { .. }), "{error}");
            assert!(!error.to_string().contains("private"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(super::read("host", &bytes, 2, 2).is_err());
        }
    }
}
