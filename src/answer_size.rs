//! The size of an answer. A model reads all of it, so none has more than 100,000 characters, for every skill.
//!
//! Each tool limits the parts of its answer that others decide about; `tests/it/answer_sizes/` calls every tool on hostile skills.

use std::io;

use serde::Serialize;

/// Characters of a value as JSON.
pub(crate) fn json_chars(value: &impl Serialize) -> usize {
    let mut count = CharCount(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        // No value of an answer can fail; one that does fits nowhere.
        Err(_) => usize::MAX,
    }
}

/// Counts characters of UTF-8: every byte that does not continue one.
struct CharCount(usize);

impl io::Write for CharCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps the first items of a list that have at most `max_chars` characters together, as JSON. Returns how many it removed.
pub(crate) fn keep_first<T: Serialize>(list: &mut Vec<T>, max_chars: usize) -> usize {
    let before = list.len();
    let mut left = max_chars;
    let fitting = list.iter().take_while(|item| {
        // With the comma between two.
        let needed = json_chars(item).saturating_add(1);
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    });
    let count = fitting.count();
    list.truncate(count);
    before - count
}

/// The text, or its beginning and `…`: at most `max_chars` characters as JSON, without the quotes.
pub(crate) fn cut(text: &str, max_chars: usize) -> String {
    let end = fitting_bytes(text, max_chars);
    if end == text.len() {
        return text.to_owned();
    }
    let end = fitting_bytes(text, max_chars.saturating_sub(1));
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// The bytes of the longest beginning of a text that has at most `max_chars` characters as JSON, without the quotes.
pub(crate) fn fitting_bytes(text: &str, max_chars: usize) -> usize {
    let mut left = max_chars;
    for (at, c) in text.char_indices() {
        let needed = escaped_chars(c);
        if needed > left {
            return at;
        }
        left -= needed;
    }
    text.len()
}

/// Characters with which `serde_json` writes a character in a string.
const fn escaped_chars(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn list_keeps_the_items_that_fit() {
        let mut list = vec!["ab", "\"", "é", "long text"];
        // 5 + 5 + 4
        assert_eq!(keep_first(&mut list, 14), 1);
        assert_eq!(list, ["ab", "\"", "é"]);
        assert_eq!(keep_first(&mut list, 4), 3);
    }

    proptest! {
        #[test]
        fn cut_text_fits_as_json(text in "(\\PC|\n|\"|\u{1}){0,200}", max in 1_usize..300) {
            let shown = cut(&text, max);
            prop_assert!(json_chars(&shown) <= max + 2);
            prop_assert_eq!(shown == text, json_chars(&text) <= max + 2);
            if shown != text {
                prop_assert!(text.starts_with(shown.strip_suffix('…').unwrap()));
            }
        }

        #[test]
        fn characters_are_counted_as_serde_writes_them(text in any::<String>()) {
            prop_assert_eq!(json_chars(&text), serde_json::to_string(&text).unwrap().chars().count());
            prop_assert_eq!(fitting_bytes(&text, json_chars(&text) - 2), text.len());
        }
    }
}
