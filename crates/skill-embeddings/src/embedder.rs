//! What computes embeddings.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::error::{EmbedError, MAX_MODEL_ID_BYTES, SettingsError, VectorFault};

/// Maximum number of dimensions of an embedding.
pub const MAX_DIMENSIONS: usize = 4_096;

/// The answer of an [`Embedder`], a future that can be sent to another thread.
pub type EmbedFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EmbedError>> + Send + 'a>>;

/// Computes embeddings with one model.
///
/// Embeddings of different models cannot be compared: store [`Embedder::model_id`] with each.
pub trait Embedder: Send + Sync + fmt::Debug {
    /// Names the model and all that changes the numbers of documents.
    fn model_id(&self) -> &ModelId;

    /// Names all that changes the numbers of queries. Another name than [`Embedder::model_id`] if queries are computed
    /// with an adapter; they can be compared with documents all the same.
    fn query_model_id(&self) -> &ModelId {
        self.model_id()
    }

    /// Number of dimensions of every embedding, at most [`MAX_DIMENSIONS`].
    fn dimensions(&self) -> usize;

    /// Embeds texts that are searched. Returns one embedding per text, in the same order.
    ///
    /// # Errors
    /// If the model cannot be reached or returns no usable numbers. All or nothing: a caller who wants to keep a part
    /// embeds smaller parts.
    fn embed_documents<'a>(&'a self, texts: &'a [&'a str]) -> EmbedFuture<'a, Vec<Embedding>>;

    /// Embeds the text of a search.
    ///
    /// # Errors
    /// As for [`Embedder::embed_documents`].
    fn embed_query<'a>(&'a self, text: &'a str) -> EmbedFuture<'a, Embedding>;
}

/// The name of a model: 1 to [`MAX_MODEL_ID_BYTES`] bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(String);

impl ModelId {
    /// # Errors
    /// If the text is empty, too long, or has control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, SettingsError> {
        let text = text.into();
        if text.is_empty() || text.len() > MAX_MODEL_ID_BYTES || text.chars().any(char::is_control) {
            return Err(SettingsError::BadModelId(text.len()));
        }
        Ok(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The meaning of a text as a vector of unit length. All numbers are finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Box<[f32]>);

impl Embedding {
    /// Scales the numbers to unit length.
    ///
    /// # Errors
    /// If a number is not finite, or all are zero.
    pub fn new(mut numbers: Vec<f32>) -> Result<Self, VectorFault> {
        if numbers.is_empty() {
            return Err(VectorFault::Empty);
        }
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(VectorFault::NotFinite);
        }
        // In f64, because the square of a finite f32 can be infinite or zero.
        let squares: f64 = numbers.iter().map(|number| f64::from(*number).powi(2)).sum();
        if squares <= 0.0 {
            return Err(VectorFault::Zero);
        }
        let length = squares.sqrt();
        for number in &mut numbers {
            *number = (f64::from(*number) / length) as f32;
        }
        Ok(Self(numbers.into()))
    }

    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The cosine of the angle to another embedding of the same model, -1 to 1. Dimensions that only one of them has
    /// count as zero.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(one, other)| one * other).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_scaled_to_unit_length() {
        let embedding = Embedding::new(vec![3.0, 0.0, -4.0]).unwrap();
        assert_eq!(embedding.as_slice(), [0.6, 0.0, -0.8]);
        let opposite = Embedding::new(vec![-3.0, 0.0, 4.0]).unwrap();
        assert!((embedding.cosine(&opposite) + 1.0).abs() < 1e-6);
    }

    #[test]
    fn numbers_without_direction_are_rejected() {
        assert_eq!(Embedding::new(vec![]), Err(VectorFault::Empty));
        assert_eq!(Embedding::new(vec![0.0, -0.0]), Err(VectorFault::Zero));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Embedding::new(vec![1.0, bad]), Err(VectorFault::NotFinite));
        }
    }

    #[test]
    fn model_id_is_one_line_of_bounded_length() {
        assert_eq!(ModelId::new("all-minilm:l6").unwrap().as_str(), "all-minilm:l6");
        for bad in ["", "a\nb", &"x".repeat(MAX_MODEL_ID_BYTES + 1)] {
            assert!(ModelId::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_finite_numbers_get_unit_length(numbers in proptest::collection::vec(any::<f32>(), 1..20)) {
            if let Ok(embedding) = Embedding::new(numbers) {
                let squares: f32 = embedding.as_slice().iter().map(|number| number * number).sum();
                prop_assert!((squares - 1.0).abs() < 1e-4, "{squares}");
            }
        }
    }
}
