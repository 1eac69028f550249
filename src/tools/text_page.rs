//! A long text in pages of whole lines.

use crate::answer_size::fitting_bytes;

/// The most characters of a page as JSON, which writes some with up to six.
const MAX_JSON_CHARS: usize = 80_000;

/// The part of a text that begins at a character.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TextPage {
    pub(super) text: String,
    /// Characters of the whole text.
    pub(super) total_chars: usize,
    /// Where the next page begins; `None` on the last page.
    pub(super) next_offset: Option<usize>,
}

impl TextPage {
    /// At most `max_chars` characters from the character `offset` on, and at most [`MAX_JSON_CHARS`] as JSON, up to the end of a line
    /// where a line ends in the second half of them. `None` if the text ends before `offset`.
    pub(super) fn new(text: &str, offset: usize, max_chars: usize) -> Option<Self> {
        let total_chars = text.chars().count();
        if offset > 0 && offset >= total_chars {
            return None;
        }
        let rest = text.get(byte_of(text, offset)..).unwrap_or_default();
        let end = byte_of(rest, max_chars).min(fitting_bytes(rest, MAX_JSON_CHARS));
        let window = rest.get(..end).unwrap_or(rest);
        let line_end = window.rfind('\n').map(|at| at + 1);
        let page = match line_end {
            _ if window.len() == rest.len() => window,
            Some(end) if end * 2 >= window.len() => window.get(..end).unwrap_or(window),
            Some(_) | None => window,
        };
        let end = offset + page.chars().count();
        Some(Self {
            text: page.to_owned(),
            total_chars,
            next_offset: (end < total_chars).then_some(end),
        })
    }
}

/// The byte at which the character `index` begins, or the end.
fn byte_of(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn page_ends_with_a_line() {
        let page = TextPage::new("one\ntwo\nthree\n", 0, 10).unwrap();
        assert_eq!((page.text.as_str(), page.next_offset), ("one\ntwo\n", Some(8)));
        let page = TextPage::new("one\ntwo\nthree\n", 8, 10).unwrap();
        assert_eq!(
            (page.text.as_str(), page.next_offset, page.total_chars),
            ("three\n", None, 14)
        );
        assert_eq!(TextPage::new("one", 3, 10), None);
        assert_eq!(TextPage::new("", 0, 10).unwrap().text, "");
    }

    #[test]
    fn page_of_characters_that_json_escapes_is_shorter() {
        let text = "\u{1}".repeat(50_000);
        let page = TextPage::new(&text, 0, 50_000).unwrap();
        assert_eq!((page.text.len(), page.next_offset), (13_333, Some(13_333)));
    }

    proptest! {
        #[test]
        fn pages_are_the_text(text in "(\\PC{0,30}\n?){0,20}", max in 1_usize..40) {
            let (mut joined, mut offset) = (String::new(), Some(0));
            while let Some(start) = offset {
                let page = TextPage::new(&text, start, max).unwrap();
                prop_assert!(page.text.chars().count() <= max);
                joined.push_str(&page.text);
                offset = page.next_offset;
            }
            prop_assert_eq!(joined, text);
        }
    }
}
