//! What the catalog takes out of a skill's Markdown.

use super::text::one_line;

/// The most headings that are kept.
pub const MAX_HEADINGS: usize = 256;
/// The most characters of a heading that are kept.
pub const MAX_HEADING_CHARS: usize = 200;
/// How many characters of a paragraph are looked at for a description.
const MAX_PARAGRAPH_CHARS: usize = 4096;

/// The lines of a Markdown text that are not inside a fenced code block (CommonMark 0.31, section 4.5).
fn lines_outside_code(markdown: &str) -> impl Iterator<Item = &str> {
    let mut fence: Option<(char, usize)> = None;
    markdown.lines().filter(move |line| {
        let line = line.trim();
        let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'));
        let length = sign.map_or(0, |sign| line.chars().take_while(|c| *c == sign).count());
        match fence {
            None if length >= 3 => {
                fence = sign.map(|sign| (sign, length));
                false
            }
            None => true,
            Some((opened_with, opened_length)) => {
                let closes =
                    sign == Some(opened_with) && length >= opened_length && length == line.chars().count();
                if closes {
                    fence = None;
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
    let open = text.trim_end_matches('#');
    Some(if open.is_empty() || open.ends_with([' ', '\t']) {
        open.trim()
    } else {
        text
    })
}

/// The headings of a skill's body, in order, without empty ones.
pub(super) fn headings(markdown: &str) -> Vec<String> {
    lines_outside_code(markdown)
        .filter_map(heading)
        .map(|text| one_line(text, MAX_HEADING_CHARS))
        .filter(|text| !text.is_empty())
        .take(MAX_HEADINGS)
        .collect()
}

/// What the body says first: its first paragraph, or where it has none its first heading.
pub(super) fn first_words(markdown: &str) -> Option<String> {
    let mut paragraph = String::new();
    for line in lines_outside_code(markdown) {
        let is_text = heading(line).is_none() && line.chars().any(char::is_alphanumeric) && !is_markup(line);
        if is_text {
            paragraph.push_str(line.trim_start().trim_start_matches(['>', '-', '*', ' ']));
            paragraph.push(' ');
        }
        if (!is_text && !paragraph.is_empty()) || paragraph.len() > MAX_PARAGRAPH_CHARS {
            break;
        }
    }
    let paragraph = one_line(&paragraph, MAX_PARAGRAPH_CHARS);
    if paragraph.is_empty() {
        headings(markdown).into_iter().next()
    } else {
        Some(paragraph)
    }
}

/// Lines that say nothing about the skill: comments, HTML, pictures, badges and tables.
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
    fn headings_in_code_are_not_headings() {
        let text = "# One\n```sh\n# not this\n```\n## Two ##\n~~~~\n# nor this\n~~~\n# nor that\n~~~~\n#hashtag\n### C#\n#\n";
        assert_eq!(headings(text), ["One", "Two", "C#"]);
    }

    #[test]
    fn the_first_words_are_a_paragraph_or_else_a_heading() {
        assert_eq!(
            first_words("# Title\n\n<!-- x -->\n![logo](a.png)\n\nDoes this\nand that.\n\nMore.").unwrap(),
            "Does this and that."
        );
        assert_eq!(first_words("```\ncode\n```\n# Title\n").unwrap(), "Title");
        assert_eq!(first_words(" \n---\n***\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            prop_assert!(headings(&text).len() <= MAX_HEADINGS);
            let _ = first_words(&text);
        }
    }
}
