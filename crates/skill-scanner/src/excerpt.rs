//! The text around a match, safe to print: one line, short, without control characters and secrets.

use std::sync::LazyLock;

use regex::bytes::Regex;
use sha2::{Digest as _, Sha256};

use crate::characters::is_invisible;
use crate::context;

/// Maximum length of an excerpt in characters.
pub(crate) const MAX_CHARS: usize = 160;
/// How many bytes around a match are looked at. More than the excerpt shows, so that a secret that is cut is still recognised.
const WINDOW_BYTES: usize = 400;
/// How many characters of a secret are shown, so that its owner recognises it.
const SHOWN_CHARS: usize = 4;

/// Text that may be a secret: well-known tokens, values of keys that are called so, and long runs of letters and digits.
const SECRETS: &str = r#"(?i)(?P<label>(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|auth|authorization|bearer|credential)\w*["']?\s*[:= ]\s*(?:bearer\s+|basic\s+)?["']?)(?P<value>[^\s"'<>${}]{6,})|(?P<run>[A-Za-z0-9+/_-]{24,}={0,2})|(?P<url>://[^\s/:@]+:)(?P<pass>[^\s/@]+)@"#;

static SECRETS_REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| context::compile(SECRETS));

/// Returns the text around `start..end` (bytes of `text`). `secret` is the part of the match that must not be shown.
pub(crate) fn excerpt(text: &str, start: usize, end: usize, secret: Option<(usize, usize)>) -> String {
    let from = floor_boundary(text, start.saturating_sub(WINDOW_BYTES));
    let to = floor_boundary(
        text,
        end.min(start.saturating_add(WINDOW_BYTES))
            .saturating_add(WINDOW_BYTES),
    );
    let mut hidden = Vec::new();
    hidden.extend(
        secret
            .map(|(a, b)| (a.max(from), b.min(to)))
            .filter(|(a, b)| a < b),
    );
    let window = text.get(from..to).unwrap_or_default();
    hidden.extend(secret_ranges(window).map(|(a, b)| (a + from, b + from)));
    hidden.sort_unstable();
    let mut shown: Vec<(usize, String)> = Vec::new();
    let mut masked_to = from;
    for (offset, c) in window.char_indices().map(|(offset, c)| (offset + from, c)) {
        let range = hidden.iter().find(|(a, b)| (*a..*b).contains(&offset));
        let Some((a, b)) = range else {
            shown.push((offset, escaped(c)));
            continue;
        };
        if offset.saturating_sub(*a) < SHOWN_CHARS && b - a > 2 * SHOWN_CHARS && offset >= masked_to {
            shown.push((offset, escaped(c)));
        } else if masked_to < *b {
            shown.push((offset, "****".to_owned()));
            masked_to = *b;
        }
    }
    cut(&shown, start)
}

/// Keeps at most [`MAX_CHARS`] characters, beginning shortly before the match.
fn cut(shown: &[(usize, String)], start: usize) -> String {
    let total: usize = shown.iter().map(|(_, text)| text.chars().count()).sum();
    let before = if total <= MAX_CHARS {
        usize::MAX
    } else {
        MAX_CHARS / 4
    };
    let first = shown
        .partition_point(|(offset, _)| *offset < start)
        .saturating_sub(before);
    let mut out = String::new();
    let mut chars = 0;
    for (_, text) in shown.iter().skip(first) {
        let length = text.chars().count();
        if chars + length > MAX_CHARS {
            break;
        }
        chars += length;
        out.push_str(text);
    }
    out.trim().to_owned()
}

/// One character as it is shown: on one line, visible, and without effect on a terminal.
pub(crate) fn escaped(c: char) -> String {
    if matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}') {
        " ".to_owned()
    } else if c.is_control() || is_invisible(c) {
        format!("\\u{{{:x}}}", u32::from(c))
    } else {
        c.to_string()
    }
}

fn secret_ranges(text: &str) -> impl Iterator<Item = (usize, usize)> {
    SECRETS_REGEX
        .as_ref()
        .into_iter()
        .flat_map(|regex| regex.captures_iter(text.as_bytes()))
        .filter_map(|captures| {
            let group = captures
                .name("value")
                .or_else(|| captures.name("pass"))
                .or_else(|| captures.name("run").filter(|run| looks_random(run.as_bytes())))?;
            Some((group.start(), group.end()))
        })
}

/// Returns whether a run of characters is no path or word: it has digits, and letters of both cases or hexadecimal digits only.
fn looks_random(run: &[u8]) -> bool {
    let has = |test: fn(&u8) -> bool| run.iter().any(test);
    has(u8::is_ascii_digit)
        && ((has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase))
            || run.iter().all(u8::is_ascii_hexdigit))
}

/// The position of a character at or before `at`.
pub(crate) fn floor_boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// A hash of rule, path and matched text without white space: 32 hexadecimal digits.
pub(crate) fn fingerprint(rule: &str, path: &str, matched: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [rule, path] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    for word in matched.split_whitespace() {
        hasher.update(word.as_bytes());
    }
    hasher
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_are() {
        let token = "Zq8Zq8Zq8Zq8Zq8Zq8Zq8Zq8Zq8Zq8Zq8";
        for text in [
            format!("run x --key {token} now"),
            "password: hunter2hunter2 # x".to_owned(),
            "postgres://user:hunter2hunter2@db.example/x".to_owned(),
            "API_KEY=\"hunter2hunter2\"".to_owned(),
        ] {
            let shown = excerpt(&text, 0, 3, None);
            assert!(shown.contains("****"), "{shown}");
            assert!(
                !shown.contains("hunter2hunter2") && !shown.contains(token),
                "{shown}"
            );
        }
        assert_eq!(
            excerpt("key is abcdefghijkl now", 7, 19, Some((7, 19))),
            "key is abcd**** now"
        );
    }

    #[test]
    fn excerpt_is_short_visible_and_around_the_match() {
        let text = format!(
            "{}\u{202E}\u{1B}[31mmatch{}",
            "word ".repeat(100),
            " more".repeat(100)
        );
        let start = text.find("match").unwrap();
        let shown = excerpt(&text, start, start + 5, None);
        assert!(shown.chars().count() <= MAX_CHARS, "{shown}");
        assert!(shown.contains("\\u{202e}\\u{1b}[31mmatch"), "{shown}");
    }

    #[test]
    fn fingerprint_ignores_white_space_only() {
        let one = fingerprint("r", "p", " a  b\n");
        assert_eq!(one, fingerprint("r", "p", "a b"));
        assert_ne!(one, fingerprint("r", "p", "a c"));
        assert_ne!(one, fingerprint("r", "q", "a b"));
        assert_eq!(one.len(), 32);
    }
}
