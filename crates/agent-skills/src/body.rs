//! Headings and summary of the Markdown body.

use crate::limits::{MAX_HEADING_CHARS, MAX_HEADINGS};
use crate::text::one_line;

/// Maximum length of a summary in characters.
const MAX_SUMMARY_CHARS: usize = 4096;

/// The lines outside of fenced code blocks (CommonMark 0.31, section 4.5).
fn lines_outside_code(markdown: &str) -> impl Iterator<Item = &str> {
    let mut open_fence: Option<(char, usize)> = None;
    markdown.lines().filter(move |line| {
        let line = line.trim();
        let marker = line.chars().next().filter(|c| matches!(c, '`' | '~'));
        let length = marker.map_or(0, |marker| line.chars().take_while(|c| *c == marker).count());
        match open_fence {
            None if length >= 3 => {
                open_fence = marker.map(|marker| (marker, length));
                false
            }
            None => true,
            Some((open_marker, open_length)) => {
                let closes =
                    marker == Some(open_marker) && length >= open_length && length == line.chars().count();
                if closes {
                    open_fence = None;
                }
                false
            }
        }
    })
}

/// The text of an ATX heading (`## Like this ##`).
fn heading(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    if !(1..=6).contains(&level) || !(text.is_empty() || text.starts_with([' ', '\t'])) {
        return None;
    }
    let text = text.trim();
    let without_closing = text.trim_end_matches('#');
    Some(
        if without_closing.is_empty() || without_closing.ends_with([' ', '\t']) {
            without_closing.trim()
        } else {
            text
        },
    )
}

/// The non-empty headings, in order.
pub(crate) fn headings(markdown: &str) -> Vec<String> {
    lines_outside_code(markdown)
        .filter_map(heading)
        .map(|text| one_line(text, MAX_HEADING_CHARS))
        .filter(|text| !text.is_empty())
        .take(MAX_HEADINGS)
        .collect()
}

/// The first paragraph, or the first heading if there is no paragraph.
pub(crate) fn summary(markdown: &str) -> Option<String> {
    let mut paragraph = String::new();
    for line in lines_outside_code(markdown) {
        let is_text = heading(line).is_none() && line.chars().any(char::is_alphanumeric) && !is_markup(line);
        if is_text {
            paragraph.push_str(line.trim_start().trim_start_matches(['>', '-', '*', ' ']));
            paragraph.push(' ');
        }
        if (!is_text && !paragraph.is_empty()) || paragraph.len() > MAX_SUMMARY_CHARS {
            break;
        }
    }
    let paragraph = one_line(&paragraph, MAX_SUMMARY_CHARS);
    if paragraph.is_empty() {
        headings(markdown).into_iter().next()
    } else {
        Some(paragraph)
    }
}

/// Whether a line does not describe the skill: comments, HTML, images, badges, tables and rules.
fn is_markup(line: &str) -> bool {
    let line = line.trim_start();
    ["<", "![", "[![", "|", "---"]
        .iter()
        .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headings_in_code_blocks_are_ignored() {
        let text = "# One\n```sh\n# not this\n```\n## Two ##\n~~~~\n# nor this\n~~~\n# nor that\n~~~~\n#hashtag\n### C#\n#\n";
        assert_eq!(headings(text), ["One", "Two", "C#"]);
    }

    #[test]
    fn summary_is_first_paragraph_or_first_heading() {
        assert_eq!(
            summary("# Title\n\n<!-- x -->\n![logo](a.png)\n\nDoes this\nand that.\n\nMore.").unwrap(),
            "Does this and that."
        );
        assert_eq!(summary("```\ncode\n```\n# Title\n").unwrap(), "Title");
        assert_eq!(summary(" \n---\n***\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_accepted(text in any::<String>()) {
            prop_assert!(headings(&text).len() <= MAX_HEADINGS);
            let _ = summary(&text);
        }
    }
}
