//! One vector with a byte per dimension.

use crate::embedder::Embedding;

/// The largest magnitude of a quantised number. Not 128, so that the range is symmetric.
const MAX: f32 = 127.0;

/// Length of the runs that are summed in 32 bits at once. A multiple of the widths of vector registers.
const RUN: usize = 16;

/// An embedding with one byte per dimension: the number is the byte times the scale.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedVector {
    scale: f32,
    values: Box<[i8]>,
}

impl QuantizedVector {
    /// Rounds each number to one of 255 steps. The largest number of the vector has the last step.
    #[must_use]
    pub fn new(embedding: &Embedding) -> Self {
        let numbers = embedding.as_slice();
        let largest = numbers
            .iter()
            .fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let scale = largest / MAX;
        // A unit vector has a number other than zero, so `scale` is positive. The cast saturates.
        let values = numbers
            .iter()
            .map(|number| (number / scale).round() as i8)
            .collect();
        Self { scale, values }
    }

    /// `None` if the scale is not a positive finite number.
    pub(super) fn from_parts(scale: f32, values: Box<[i8]>) -> Option<Self> {
        (scale.is_finite() && scale > 0.0).then_some(Self { scale, values })
    }

    pub(super) const fn scale(&self) -> f32 {
        self.scale
    }

    pub(super) const fn values(&self) -> &[i8] {
        &self.values
    }

    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.values.len()
    }

    /// The cosine to another vector of the same model, -1 to 1. Dimensions that only one of them has count as zero.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        self.scale * other.scale * dot(&self.values, &other.values) as f32
    }
}

/// The sum of the products. At most 2^31 / 127^2 = 133,152 dimensions, more than
/// [`MAX_DIMENSIONS`](crate::MAX_DIMENSIONS).
///
/// Written for the compiler: it turns runs of fixed length into vector instructions of every target.
pub(super) fn dot(one: &[i8], other: &[i8]) -> i32 {
    let (one_runs, one_rest) = one.as_chunks::<RUN>();
    let (other_runs, other_rest) = other.as_chunks::<RUN>();
    let runs: i32 = one_runs
        .iter()
        .zip(other_runs)
        .map(|(one, other)| dot_run(one, other))
        .sum();
    runs + one_rest
        .iter()
        .zip(other_rest)
        .map(|(one, other)| i32::from(*one) * i32::from(*other))
        .sum::<i32>()
}

fn dot_run(one: &[i8; RUN], other: &[i8; RUN]) -> i32 {
    one.iter()
        .zip(other)
        .map(|(one, other)| i32::from(*one) * i32::from(*other))
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cosine_is_near_to_the_exact_one(
            one in proptest::collection::vec(-1.0_f32..1.0, 384), other in proptest::collection::vec(-1.0_f32..1.0, 384)
        ) {
            let [one, other] = [one, other].map(|numbers| Embedding::new(numbers).unwrap());
            let quantized = QuantizedVector::new(&one).cosine(&QuantizedVector::new(&other));
            prop_assert!((quantized - one.cosine(&other)).abs() < 0.01);
        }

        #[test]
        fn dot_is_the_sum_of_products(pairs in proptest::collection::vec((any::<i8>(), any::<i8>()), 0..100)) {
            let (one, other): (Vec<i8>, Vec<i8>) = pairs.iter().copied().unzip();
            let expected: i32 = pairs.iter().map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            prop_assert_eq!(dot(&one, &other), expected);
        }
    }

    #[test]
    fn largest_number_has_the_last_step() {
        let vector = QuantizedVector::new(&Embedding::new(vec![0.0, -2.0, 1.0]).unwrap());
        assert_eq!(vector.values(), [0, -127, 64]);
        assert!((vector.cosine(&vector) - 1.0).abs() < 0.01);
    }
}
