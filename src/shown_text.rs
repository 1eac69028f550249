//! Texts of others, made safe to show: in a terminal, a log, or a message to a caller.
//!
//! A control character can move the cursor and overwrite what was shown; a bidirectional or zero-width character can make a text look like
//! another. All are shown as their code points.

use std::borrow::Cow;

use agent_skills::is_hidden;

/// Maximum number of characters that an error message repeats of a caller's text: enough to recognise it.
const MAX_ECHOED_CHARS: usize = 200;

/// Whether a character is not visible as itself: a control, bidirectional or zero-width character, or a line separator.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || is_hidden(c)
}

/// The text on one line, with every unsafe character as `\\u{202e}`.
///
/// # Examples
///
/// ```
/// use skillkeep::shown_text::visible;
///
/// assert_eq!(visible("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\u{a}c");
/// ```
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe, |c| c.escape_unicode().to_string())
}

/// As [`visible`], but line feeds and tabs stay.
#[must_use]
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    let is_escaped = |c| is_unsafe(c) && c != '\n' && c != '\t';
    escaped(text, is_escaped, |c| c.escape_unicode().to_string())
}

/// JSON whose strings hold every unsafe character as an escape of JSON, so that its meaning stays the same. Line feeds stay.
#[must_use]
pub fn visible_json(json: &str) -> Cow<'_, str> {
    let is_escaped = |c| is_unsafe(c) && c != '\n';
    escaped(json, is_escaped, |c| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units.map(|unit| format!("\\u{unit:04x}")).collect()
    })
}

/// What an error message repeats of a caller's text: visible, and at most 200 characters of it.
#[must_use]
pub fn echoed(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_ECHOED_CHARS) {
        None => visible(text),
        Some((end, _)) => {
            let kept = text.get(..end).unwrap_or_default();
            Cow::Owned(format!("{}…", visible(kept)))
        }
    }
}

/// The text without unsafe characters, for names and descriptions that are stored. White space of any kind becomes a space.
#[must_use]
pub fn cleaned(text: &str) -> String {
    let spaced = |c: char| {
        if c.is_whitespace() || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            Some(' ')
        } else {
            Some(c).filter(|c| !is_hidden(*c))
        }
    };
    text.chars().filter_map(spaced).collect()
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            shown.push_str(&escape(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_unsafe_character_is_escaped() {
        for c in [
            '\0',
            '\u{7}',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2066}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert_eq!(visible(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        assert_eq!(visible("Zwölf Boxkämpfer 🦀"), "Zwölf Boxkämpfer 🦀");
        assert_eq!(visible_lines("a\tb\nc\rd"), "a\tb\nc\\u{d}d");
    }

    #[test]
    fn echoed_text_is_cut() {
        assert_eq!(echoed("fill-pdf"), "fill-pdf");
        let long = "é".repeat(5000);
        assert_eq!(echoed(&long), format!("{}…", "é".repeat(200)));
    }

    #[test]
    fn stored_name_is_one_visible_line() {
        assert_eq!(cleaned("a\u{202e}b\u{1b}[2J\nc\u{200b}d"), "ab [2J cd");
    }

    proptest! {
        #[test]
        fn json_keeps_its_meaning(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let shown = visible_json(&json);
            prop_assert!(!shown.contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }

        #[test]
        fn nothing_unsafe_is_shown(text in any::<String>()) {
            prop_assert!(!visible(&text).contains(is_unsafe));
            prop_assert!(!echoed(&text).contains(is_unsafe));
            prop_assert!(!cleaned(&text).contains(is_unsafe));
        }
    }
}
