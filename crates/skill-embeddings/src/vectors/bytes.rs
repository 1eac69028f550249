//! Vectors as bytes, for a column of a database or a file.
//!
//! One vector: the scale (32-bit float, little-endian), then one byte per dimension. A set: [`MAGIC`], the number of
//! dimensions (32 bits, little-endian), then for each document its ID and its vector.

use std::hash::Hash;

use super::{Int8Vectors, QuantizedVector};
use crate::embedder::MAX_DIMENSIONS;

/// The format and its version.
const MAGIC: [u8; 4] = *b"SKV1";
const ID_BYTES: usize = 16;
const SCALE_BYTES: usize = 4;

/// Why bytes are no vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVectorBytes {
    #[error("stored vectors have an unknown format: embed the skills again")]
    Format,
    #[error("stored vectors are cut off or too long ({0} bytes): embed the skills again")]
    Length(usize),
    #[error("a stored vector has a scale that is not a positive number: embed the skills again")]
    Scale,
    #[error("stored vectors name a document twice: embed the skills again")]
    RepeatedId,
}

impl QuantizedVector {
    /// 4 bytes more than it has dimensions.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SCALE_BYTES + self.values().len());
        self.write(&mut bytes);
        bytes
    }

    /// Reads a vector of [`QuantizedVector::to_bytes`], with 1 to [`MAX_DIMENSIONS`] dimensions.
    ///
    /// # Errors
    /// If the length or the scale is impossible.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadVectorBytes> {
        let (scale, values) = bytes
            .split_first_chunk::<SCALE_BYTES>()
            .ok_or(BadVectorBytes::Length(bytes.len()))?;
        if values.is_empty() || values.len() > MAX_DIMENSIONS {
            return Err(BadVectorBytes::Length(bytes.len()));
        }
        let values = values.iter().map(|byte| byte.cast_signed()).collect();
        Self::from_parts(f32::from_le_bytes(*scale), values).ok_or(BadVectorBytes::Scale)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.scale().to_le_bytes());
        bytes.extend(self.values().iter().map(|value| value.cast_unsigned()));
    }
}

impl<Id: Copy + Ord + Hash> Int8Vectors<Id> {
    /// All vectors, ordered by ID, so that equal sets have equal bytes. `id_bytes` writes an ID, for example a UUID.
    #[must_use]
    pub fn to_bytes(&self, id_bytes: impl Fn(Id) -> [u8; ID_BYTES]) -> Vec<u8> {
        let mut positions: Vec<(&Id, &usize)> = self.positions.iter().collect();
        positions.sort_unstable();
        let mut bytes = Vec::with_capacity(8 + self.len() * (ID_BYTES + SCALE_BYTES + self.dimensions));
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(self.dimensions as u32).to_le_bytes());
        for (id, position) in positions {
            let start = position * self.dimensions;
            let values = self
                .values
                .get(start..start + self.dimensions)
                .unwrap_or_default();
            let scale = self.scales.get(*position).copied().unwrap_or_default();
            bytes.extend_from_slice(&id_bytes(*id));
            bytes.extend_from_slice(&scale.to_le_bytes());
            bytes.extend(values.iter().map(|value| value.cast_unsigned()));
        }
        bytes
    }

    /// Reads a set of [`Int8Vectors::to_bytes`]. Allocates no more than the bytes justify.
    ///
    /// # Errors
    /// If the bytes are not such a set.
    pub fn from_bytes(bytes: &[u8], id_of: impl Fn([u8; ID_BYTES]) -> Id) -> Result<Self, BadVectorBytes> {
        let length = BadVectorBytes::Length(bytes.len());
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(BadVectorBytes::Format)?;
        let (dimensions, rest) = rest.split_first_chunk::<4>().ok_or(BadVectorBytes::Format)?;
        let dimensions = u32::from_le_bytes(*dimensions) as usize;
        if *magic != MAGIC || dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(BadVectorBytes::Format);
        }
        let entries = rest.chunks_exact(ID_BYTES + SCALE_BYTES + dimensions);
        if !entries.remainder().is_empty() {
            return Err(length);
        }
        let mut vectors = Self::new(dimensions);
        for entry in entries {
            let (id, vector) = entry.split_first_chunk::<ID_BYTES>().ok_or(length)?;
            let id = id_of(*id);
            if vectors.contains(id) {
                return Err(BadVectorBytes::RepeatedId);
            }
            vectors
                .upsert(id, &QuantizedVector::from_bytes(vector)?)
                .map_err(|_| length)?;
        }
        Ok(vectors)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedder::Embedding;

    fn set(numbers: &[(u128, [f32; 3])]) -> Int8Vectors<u128> {
        let mut vectors = Int8Vectors::new(3);
        for (id, numbers) in numbers {
            if let Ok(embedding) = Embedding::new(numbers.to_vec()) {
                vectors.upsert(*id, &QuantizedVector::new(&embedding)).unwrap();
            }
        }
        vectors
    }

    #[test]
    fn impossible_bytes_are_rejected() {
        let bytes = set(&[(1, [1.0, 0.0, 0.0]), (2, [0.0, 1.0, 0.0])]).to_bytes(u128::to_be_bytes);
        let read =
            |bytes: &[u8]| Int8Vectors::from_bytes(bytes, u128::from_be_bytes).map(|vectors| vectors.len());
        assert_eq!(read(&bytes), Ok(2));
        assert_eq!(
            read(&bytes[..bytes.len() - 1]),
            Err(BadVectorBytes::Length(bytes.len() - 1))
        );
        assert_eq!(read(b""), Err(BadVectorBytes::Format));
        assert_eq!(read(b"SKV2\x03\0\0\0"), Err(BadVectorBytes::Format));
        assert_eq!(read(b"SKV1\0\0\0\0"), Err(BadVectorBytes::Format));
        assert_eq!(read(b"SKV1\xff\xff\xff\xff"), Err(BadVectorBytes::Format));
        let repeated = [&bytes[..], &bytes[8..31]].concat();
        assert_eq!(read(&repeated), Err(BadVectorBytes::RepeatedId));
        let mut not_a_number = bytes.clone();
        not_a_number[24..28].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(read(&not_a_number), Err(BadVectorBytes::Scale));
    }

    #[test]
    fn vector_is_four_bytes_and_its_dimensions() {
        let vector = QuantizedVector::new(&Embedding::new(vec![0.1, -0.7, 0.2]).unwrap());
        let bytes = vector.to_bytes();
        assert_eq!(bytes.len(), 7);
        assert_eq!(QuantizedVector::from_bytes(&bytes), Ok(vector));
        for bad in [&bytes[..4], &bytes[..2], &[0; 7], &[255; 7]] {
            assert!(QuantizedVector::from_bytes(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_do_not_depend_on_the_order_of_changes(
            numbers in proptest::collection::btree_map(any::<u128>(), proptest::array::uniform3(-1.0_f32..1.0), 0..20)
        ) {
            let mut numbers: Vec<_> = numbers.into_iter().collect();
            let bytes = set(&numbers).to_bytes(u128::to_be_bytes);
            numbers.reverse();
            prop_assert_eq!(&set(&numbers).to_bytes(u128::to_be_bytes), &bytes);
            let read = Int8Vectors::from_bytes(&bytes, u128::from_be_bytes).unwrap();
            prop_assert_eq!(read.to_bytes(u128::to_be_bytes), bytes);
        }

        #[test]
        fn any_bytes_are_read_or_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Int8Vectors::from_bytes(&bytes, u128::from_be_bytes);
            let _ = QuantizedVector::from_bytes(&bytes);
        }
    }
}
