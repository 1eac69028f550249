//! Splits a file into lines, and long lines into pieces, without a copy of the whole file.

use std::borrow::Cow;

/// A longer line is split, so that the cost of a match and of a copy is bounded.
pub(crate) const MAX_PIECE_BYTES: usize = 4 * 1024;
/// How many bytes two pieces of a line share, so that a match across the cut is found.
const OVERLAP_BYTES: usize = 512;

/// A line of a file, or a piece of a long one.
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) text: Cow<'a, str>,
    /// Whether this is the first piece of its line.
    pub(crate) is_start: bool,
}

/// Returns the file as UTF-8 if it is UTF-16 with a byte order mark. Otherwise the bytes without the mark of UTF-8.
pub(crate) fn as_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let decode = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Cow::Owned(text.into_bytes())
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => decode(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => decode(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => Cow::Borrowed(rest),
        _ => Cow::Borrowed(bytes),
    }
}

/// The lines of a file. `\n`, `\r\n` and `\r` end a line. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut rest = Some(bytes);
    let mut number = 0_u32;
    std::iter::from_fn(move || {
        let current = rest?;
        number = number.saturating_add(1);
        let end = current.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, after) = match end.and_then(|end| current.split_at_checked(end)) {
            None => (current, None),
            Some((line, [b'\r', b'\n', after @ ..] | [_, after @ ..])) => (line, Some(after)),
            Some((line, [])) => (line, None),
        };
        rest = after;
        Some(pieces(number, line))
    })
    .flatten()
}

fn pieces(number: u32, line: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut rest = Some(line);
    let mut is_start = true;
    std::iter::from_fn(move || {
        let current = rest?;
        let end = char_boundary(current, MAX_PIECE_BYTES);
        let piece = current.get(..end).unwrap_or(current);
        rest = (end < current.len()).then(|| {
            // At least one byte further each time, because the overlap is shorter than a piece.
            let next = char_boundary(current, end.saturating_sub(OVERLAP_BYTES));
            current.get(next..).unwrap_or_default()
        });
        let text = String::from_utf8_lossy(piece);
        Some(Line {
            number,
            text,
            is_start: std::mem::replace(&mut is_start, false),
        })
    })
}

/// The position at or shortly before `at` where no UTF-8 sequence is cut.
fn char_boundary(bytes: &[u8], at: usize) -> usize {
    if at >= bytes.len() {
        return bytes.len();
    }
    (at.saturating_sub(3)..=at)
        .rev()
        .find(|position| bytes.get(*position).is_none_or(|byte| byte & 0xC0 != 0x80))
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8]) -> Vec<(u32, String)> {
        lines(bytes)
            .map(|line| (line.number, line.text.into_owned()))
            .collect()
    }

    #[test]
    fn every_kind_of_line_end_is_counted() {
        let expected = [(1, "a"), (2, "b"), (3, "c"), (4, "")].map(|(n, text)| (n, text.to_owned()));
        assert_eq!(texts(b"a\nb\r\nc\r"), expected);
        assert_eq!(texts(b""), [(1, String::new())]);
    }

    #[test]
    fn long_line_is_cut_between_characters_with_overlap() {
        let line = "ü".repeat(10_000);
        let pieces = texts(line.as_bytes());
        assert!(pieces.len() >= 5, "{}", pieces.len());
        assert!(
            pieces
                .iter()
                .all(|(number, text)| *number == 1 && !text.contains('\u{FFFD}'))
        );
        let total: usize = pieces.iter().map(|(_, text)| text.len()).sum();
        assert!(total >= line.len() + (pieces.len() - 1) * (OVERLAP_BYTES - 3));
    }

    #[test]
    fn utf_16_is_read() {
        assert_eq!(&*as_utf8(b"\xFF\xFEh\0i\0"), b"hi");
        assert_eq!(&*as_utf8(b"\xFE\xFF\0h\0i"), b"hi");
        assert_eq!(&*as_utf8(b"\xEF\xBB\xBFhi"), b"hi");
    }
}
