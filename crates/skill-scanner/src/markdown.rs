//! Where in a Markdown file a line is: front matter, code, comment, or a section about attacks.

use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use crate::context;

/// A part of a Markdown file to which a rule may be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    FrontMatter,
    HtmlComment,
    Code,
    Prose,
}

/// Where a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) part: Part,
    /// Whether the heading above says that the section is about attacks or about what not to do.
    pub(crate) is_about_attacks: bool,
}

impl Default for Region {
    fn default() -> Self {
        Self {
            part: Part::Prose,
            is_about_attacks: false,
        }
    }
}

/// Reads a Markdown file line by line. It knows as much of Markdown as the rules need.
#[derive(Debug, Default)]
pub(crate) struct Markdown {
    is_after_first_line: bool,
    is_in_front_matter: bool,
    is_in_comment: bool,
    /// The character and length of the fence that began the code block.
    fence: Option<(u8, usize)>,
    is_about_attacks: bool,
    /// Level of the heading that set `is_about_attacks`. Headings below it belong to its section.
    level: usize,
}

static HEADING: LazyLock<Option<Regex>> = LazyLock::new(|| context::compile(r"^\s{0,3}(#{1,6})\s+(.*)$"));

impl Markdown {
    /// The region of the next line.
    pub(crate) fn next(&mut self, line: &str) -> Region {
        let part = self.part(line);
        if part == Part::Prose {
            self.read_heading(line);
        }
        Region {
            part,
            is_about_attacks: self.is_about_attacks && part != Part::FrontMatter && part != Part::HtmlComment,
        }
    }

    fn part(&mut self, line: &str) -> Part {
        let is_first = !std::mem::replace(&mut self.is_after_first_line, true);
        let text = line.trim();
        if is_first && text == "---" {
            self.is_in_front_matter = true;
            return Part::FrontMatter;
        }
        if self.is_in_front_matter {
            self.is_in_front_matter = text != "---";
            return Part::FrontMatter;
        }
        if self.is_in_comment {
            self.is_in_comment = !text.contains("-->");
            return Part::HtmlComment;
        }
        let fence = fence_of(text);
        if let Some((character, length)) = self.fence {
            if fence.is_some_and(|(c, n)| c == character && n >= length && text.len() == n) {
                self.fence = None;
            }
            return Part::Code;
        }
        if fence.is_some() {
            self.fence = fence;
            return Part::Code;
        }
        if let Some((_, after)) = line.split_once("<!--") {
            self.is_in_comment = !after.contains("-->");
            return Part::HtmlComment;
        }
        // A link definition that no link uses is not shown either: `[//]: # (text)`.
        if text.starts_with("[//]:") || text.starts_with("[comment]:") {
            return Part::HtmlComment;
        }
        Part::Prose
    }

    fn read_heading(&mut self, line: &str) {
        let Some(captures) = HEADING.as_ref().and_then(|regex| regex.captures(line.as_bytes())) else {
            return;
        };
        let level = captures.get(1).map_or(1, |hashes| hashes.len());
        if self.is_about_attacks && level > self.level {
            return;
        }
        let text = captures.get(2).map_or(&b""[..], |text| text.as_bytes());
        self.is_about_attacks = context::heading_is_about_attacks(text);
        self.level = level;
    }
}

/// The character and length of a code fence: three or more backticks or tildes at the beginning.
fn fence_of(text: &str) -> Option<(u8, usize)> {
    let first = text.bytes().next().filter(|byte| matches!(byte, b'`' | b'~'))?;
    let length = text.bytes().take_while(|byte| *byte == first).count();
    (length >= 3).then_some((first, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(text: &str) -> Vec<Region> {
        let mut markdown = Markdown::default();
        text.lines().map(|line| markdown.next(line)).collect()
    }

    #[test]
    fn parts_are_told_apart() {
        let parts: Vec<Part> =
            regions("---\nname: a\n---\ntext\n```sh\nls\n```\n<!-- a\nb -->\nend <!-- c -->\nlast")
                .iter()
                .map(|region| region.part)
                .collect();
        use Part::{Code, FrontMatter, HtmlComment, Prose};
        assert_eq!(
            parts,
            [
                FrontMatter,
                FrontMatter,
                FrontMatter,
                Prose,
                Code,
                Code,
                Code,
                HtmlComment,
                HtmlComment,
                HtmlComment,
                Prose
            ]
        );
    }

    #[test]
    fn section_about_attacks_ends_at_heading_of_its_level() {
        let about: Vec<bool> = regions("# Use\n## Red flags\nx\n### Details\ny\n## Steps\nz")
            .iter()
            .map(|region| region.is_about_attacks)
            .collect();
        assert_eq!(about, [false, true, true, true, true, false, false]);
    }
}
