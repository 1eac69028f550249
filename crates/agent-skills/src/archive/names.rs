//! Names of entries: which path of a skill they mean.

use unicode_normalization::UnicodeNormalization as _;

use super::error::EntryProblem;
use crate::listing::is_ignored;
use crate::path::{PathError, SkillPath};

/// How often a name is percent-decoded. Programs decode once or twice.
const MAX_DECODINGS: usize = 3;

/// Characters that look like separators and that Windows code pages or NFKC turn into them.
const SEPARATOR_LOOKALIKES: [char; 8] = [
    '\u{2044}', '\u{2215}', '\u{2216}', '\u{29F5}', '\u{29F8}', '\u{FE68}', '\u{FF0F}', '\u{FF3C}',
];

/// What a name means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntryName {
    /// The archive's root (`./`).
    Root,
    Path(SkillPath),
    /// Belongs to another program (`__MACOSX`, `.git`, …). The path ends with the ignored name.
    LeftOut(String),
}

impl EntryName {
    /// Reads a name. Accepts `./` at the front, as `tar` writes it, and, for a folder, `/` at the end.
    pub(super) fn parse(raw: &[u8], is_folder: bool) -> Result<Self, EntryProblem> {
        let mut text = std::str::from_utf8(raw).map_err(|_| PathError::NotUtf8)?;
        while let Some(rest) = text.strip_prefix("./") {
            text = rest;
        }
        if is_folder {
            text = text.strip_suffix('/').unwrap_or(text);
            // `/` alone is absolute, not the archive's root.
            if (text.is_empty() && !raw.starts_with(b"/")) || text == "." {
                return Ok(Self::Root);
            }
        }
        check_encoding(text)?;
        check_lookalikes(text)?;
        let Some(prefix) = ignored_prefix(text) else {
            return Ok(Self::Path(SkillPath::parse(text)?));
        };
        // Also a name that is left out must not lead out of the target.
        let segments: Vec<&str> = text
            .split('/')
            .map(|segment| {
                if is_ignored(segment.as_ref()) {
                    "x"
                } else {
                    segment
                }
            })
            .collect();
        SkillPath::parse(&segments.join("/"))?;
        Ok(Self::LeftOut(prefix.to_owned()))
    }
}

/// The part of a path up to the first name that belongs to another program.
pub(crate) fn ignored_prefix(path: &str) -> Option<&str> {
    let mut start = 0;
    for segment in path.split('/') {
        let end = start + segment.len();
        if is_ignored(segment.as_ref()) {
            return path.get(..end);
        }
        start = end + 1;
    }
    None
}

fn check_encoding(text: &str) -> Result<(), EntryProblem> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..MAX_DECODINGS {
        let Some(decoded) = percent_decoded(&bytes) else {
            return Ok(());
        };
        let separators = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'/' | b'\\')).count();
        let is_dots = |segment: &[u8]| segment == b"." || segment == b"..";
        if separators(&decoded) > separators(&bytes)
            || decoded.contains(&0)
            || decoded.split(|byte| *byte == b'/').any(is_dots)
        {
            return Err(EntryProblem::EncodedPath);
        }
        bytes = decoded;
    }
    Ok(())
}

/// Returns `None` if nothing is encoded.
fn percent_decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        if let (b'%', [high, low, tail @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            decoded.push(16 * high + low);
            rest = tail;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    (decoded.len() < bytes.len()).then_some(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn check_lookalikes(text: &str) -> Result<(), EntryProblem> {
    if text.is_ascii() {
        return Ok(());
    }
    let is_dots = |segment: &str| {
        !segment.is_ascii() && {
            let normal: String = segment.nfkc().take(3).collect();
            normal == "." || normal == ".."
        }
    };
    if text.contains(SEPARATOR_LOOKALIKES) || text.split('/').any(is_dots) {
        return Err(EntryProblem::LookalikePath);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_common_programs_write_them_are_accepted() {
        let path = |text: &str| Ok(EntryName::Path(SkillPath::parse(text).unwrap()));
        assert_eq!(EntryName::parse(b"./SKILL.md", false), path("SKILL.md"));
        assert_eq!(EntryName::parse(b"./a/", true), path("a"));
        assert_eq!(EntryName::parse(b"././a", true), path("a"));
        assert_eq!(EntryName::parse(b"./", true), Ok(EntryName::Root));
        assert_eq!(EntryName::parse(b".", true), Ok(EntryName::Root));
        assert_eq!(
            EntryName::parse("100% café.md".as_bytes(), false),
            path("100% café.md")
        );
        assert_eq!(EntryName::parse(b"a%20b", false), path("a%20b"));
    }

    #[test]
    fn files_of_other_programs_are_left_out_up_to_their_folder() {
        for (name, left_out) in [
            ("__MACOSX/a/._SKILL.md", "__MACOSX"),
            ("a/.DS_Store", "a/.DS_Store"),
            ("a/.git/hooks/x", "a/.git"),
        ] {
            assert_eq!(
                EntryName::parse(name.as_bytes(), false),
                Ok(EntryName::LeftOut(left_out.to_owned()))
            );
        }
    }

    #[test]
    fn every_spelling_of_a_path_to_the_outside_is_refused() {
        for name in [
            "../a",
            "a/../../b",
            "/a",
            "//a",
            "./../a",
            ".//a",
            "C:/a",
            "C:a",
            "\\\\host\\a",
            "..\\a",
            "a\\b",
            "%2e%2e/a",
            "%2E%2E%2Fa",
            "..%2fa",
            "%252e%252e%252fa",
            "%5c..%5ca",
            "a%00b",
            "a\0b",
            "..\0/a",
            "a/.. /b",
            "a/..../b",
            "a/...",
            "．．/a",
            "‥/a",
            "a／b",
            "a＼b",
            "a∕b",
            "__MACOSX/../../a",
            ".git/../a",
            "",
            "a//b",
            "a/.",
            "~\u{202E}/a",
            "a\u{200B}/b",
        ] {
            let found = EntryName::parse(name.as_bytes(), false);
            assert!(found.is_err(), "{name:?}: {found:?}");
        }
        for name in [&b"\xC0\xAE\xC0\xAE/a"[..], b"a\xFF"] {
            assert_eq!(
                EntryName::parse(name, false),
                Err(EntryProblem::Path(PathError::NotUtf8))
            );
        }
        for name in ["/", "../", "..", "//", "a//"] {
            assert!(EntryName::parse(name.as_bytes(), true).is_err(), "{name:?}");
        }
    }
}
