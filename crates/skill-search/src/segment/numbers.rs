//! Numbers and byte strings as bytes.

use super::InvalidSegment;

/// Appends a number in seven bits a byte, lowest first (LEB128).
pub(super) fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends a byte string with its length.
pub(super) fn write_bytes(bytes: &mut Vec<u8>, text: &[u8]) {
    write_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

/// Reads from the front of bytes that may be damaged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn is_at_end(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, InvalidSegment> {
        let (first, rest) = self.0.split_first().ok_or(InvalidSegment)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, InvalidSegment> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(InvalidSegment);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(InvalidSegment)
    }

    pub(super) fn number_u32(&mut self) -> Result<u32, InvalidSegment> {
        u32::try_from(self.number()?).map_err(|_| InvalidSegment)
    }

    /// A number of items that follow. Each takes at least one byte, so damaged bytes cannot demand memory.
    pub(super) fn count(&mut self) -> Result<usize, InvalidSegment> {
        let count = usize::try_from(self.number()?).map_err(|_| InvalidSegment)?;
        if count <= self.0.len() {
            Ok(count)
        } else {
            Err(InvalidSegment)
        }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidSegment> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(InvalidSegment)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidSegment> {
        self.take(N)?.try_into().map_err(|_| InvalidSegment)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], InvalidSegment> {
        let length = self.count()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn damaged_numbers_are_rejected() {
        for damaged in [
            &[][..],
            &[0x80],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        ] {
            assert_eq!(Reader(damaged).number(), Err(InvalidSegment), "{damaged:?}");
        }
        assert_eq!(Reader(&[9, 1]).count(), Err(InvalidSegment));
    }

    proptest! {
        #[test]
        fn numbers_and_bytes_are_read_back(number in any::<u64>(), text in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            write_bytes(&mut bytes, &text);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.bytes(), Ok(&text[..]));
            prop_assert!(reader.is_at_end());
        }
    }
}
