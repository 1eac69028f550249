//! Paths of files inside a skill, and when two of them would meet on another machine's disk.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;

/// The longest path, in bytes of UTF-8.
pub const MAX_PATH_BYTES: usize = 1024;
/// The longest segment of a path, in bytes of UTF-8: what common file systems allow a file name.
pub const MAX_SEGMENT_BYTES: usize = 255;
/// The most segments that a path has. It bounds the work of comparing the paths of a skill.
pub const MAX_SEGMENTS: usize = 32;

/// A file's path inside its skill: relative, `/` between its segments, and the same harmless thing on Linux,
/// macOS and Windows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SkillPath(String);

/// The rule that a path breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is no text at all.
    #[error("a path is not empty")]
    Empty,
    /// More than [`MAX_PATH_BYTES`].
    #[error("a path has at most {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// A segment has more than [`MAX_SEGMENT_BYTES`].
    #[error("a file or folder name has at most {MAX_SEGMENT_BYTES} bytes")]
    SegmentTooLong,
    /// More than [`MAX_SEGMENTS`].
    #[error("a path goes at most {MAX_SEGMENTS} levels deep")]
    TooDeep,
    /// It begins at the root.
    #[error("a path is relative to the skill's folder, so it does not begin with \"/\"")]
    Absolute,
    /// Two slashes in a row, or one at the end.
    #[error("a path has no empty segment (\"//\", or \"/\" at its end)")]
    EmptySegment,
    /// A segment is `.` or `..`.
    #[error("a path has no \".\" or \"..\" in it")]
    DotSegment,
    /// A backslash separates folders on Windows.
    #[error("a path separates folders with \"/\", never with a backslash")]
    Backslash,
    /// A colon begins a drive's root or an alternate data stream on Windows.
    #[error("a path has no \":\" in it (on Windows it names a drive or a hidden stream)")]
    Colon,
    /// A NUL or another control character.
    #[error("a path has no control characters in it")]
    Control,
    /// A character that is not seen, or that changes the order in which others are shown.
    #[error("a path has no invisible or text-direction characters in it")]
    Hidden,
    /// A name that means a device on Windows.
    #[error("a path has no name in it that Windows reserves (CON, PRN, AUX, NUL, COM1, LPT1, …)")]
    Reserved,
    /// A dot or space at a segment's end, which Windows drops.
    #[error("a file or folder name does not end with a dot or a space")]
    TrailingDotOrSpace,
    /// A `.git` segment: what lies there is run by git.
    #[error("a path does not lead into a \".git\" folder")]
    GitFolder,
    /// A name on disk that is not text.
    #[error("a path is UTF-8")]
    NotUtf8,
}

impl SkillPath {
    /// The path of the file that makes a folder a skill.
    #[must_use]
    pub fn skill_md() -> Self {
        Self(super::SKILL_MD.to_owned())
    }

    /// Takes a path as it is written; nothing is normalised, because two spellings of one path would be two keys.
    ///
    /// # Errors
    /// [`PathError`] names the first rule that the path breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute);
        }
        if text.split('/').count() > MAX_SEGMENTS {
            return Err(PathError::TooDeep);
        }
        text.chars().try_for_each(check_char)?;
        text.split('/').try_for_each(check_segment)?;
        Ok(Self(text.to_owned()))
    }

    /// The path's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path and each folder above it, shortest first.
    fn prefixes(&self) -> impl Iterator<Item = &str> {
        let ends = self.0.match_indices('/').map(|(at, _)| at).chain([self.0.len()]);
        ends.filter_map(|end| self.0.get(..end))
    }
}

fn check_char(c: char) -> Result<(), PathError> {
    match c {
        '\\' => Err(PathError::Backslash),
        ':' => Err(PathError::Colon),
        c if c.is_control() => Err(PathError::Control),
        c if is_hidden(c) => Err(PathError::Hidden),
        _ => Ok(()),
    }
}

/// Whether a reader does not see `c`, or sees the text around it in another order: the Unicode bidirectional
/// controls (UAX #9), zero-width characters, line separators and tag characters.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{061C}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

fn check_segment(segment: &str) -> Result<(), PathError> {
    if segment.is_empty() {
        return Err(PathError::EmptySegment);
    }
    if segment == "." || segment == ".." {
        return Err(PathError::DotSegment);
    }
    if segment.len() > MAX_SEGMENT_BYTES {
        return Err(PathError::SegmentTooLong);
    }
    if segment.ends_with(['.', ' ']) {
        return Err(PathError::TrailingDotOrSpace);
    }
    if folded(segment) == ".git" {
        return Err(PathError::GitFolder);
    }
    if is_reserved(segment) {
        return Err(PathError::Reserved);
    }
    Ok(())
}

/// Whether Windows takes `segment` for a device, whatever its case and extension, and with spaces before the
/// extension as well. The superscript digits count (Microsoft, "Naming Files, Paths, and Namespaces").
fn is_reserved(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or(segment).trim_end();
    let stem = stem.to_ascii_uppercase();
    if matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut digits = port.unwrap_or("").chars();
    matches!(
        (digits.next(), digits.next()),
        (Some('0'..='9' | '\u{B9}' | '\u{B2}' | '\u{B3}'), None)
    )
}

/// One spelling for all the texts that a case-insensitive, normalising file system takes for the same name.
///
/// Upper case comes before lower case so that characters whose capital is longer (ß and SS) meet as well.
fn folded(text: &str) -> String {
    let cased: String = text
        .nfd()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    cased.nfc().collect()
}

/// Two paths of one skill that cannot both exist on every machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Collision {
    /// They differ by case or Unicode normalisation alone, or not at all.
    #[error(
        "{first:?} and {second:?} are one name where case or the spelling of accents does not count: rename one"
    )]
    SameName {
        /// The one met first.
        first: String,
        /// The other.
        second: String,
    },
    /// One is a file and the other needs it to be a folder.
    #[error("{path:?} is a file and a folder at once: rename one")]
    FileAndFolder {
        /// The path that is both.
        path: String,
    },
}

/// Checks that the paths of a skill can live beside one another on every file system.
///
/// Folders count as much as files: `Docs/a` and `docs/b` would end up in one folder on macOS and in two on Linux.
///
/// # Errors
/// [`Collision`] names the first two paths that meet.
pub fn check_collisions<'a>(paths: impl IntoIterator<Item = &'a SkillPath>) -> Result<(), Collision> {
    let mut seen: BTreeMap<String, (&str, bool)> = BTreeMap::new();
    for path in paths {
        for prefix in path.prefixes() {
            let is_file = prefix.len() == path.0.len();
            let Some((first, first_is_file)) = seen.insert(folded(prefix), (prefix, is_file)) else {
                continue;
            };
            if first != prefix || (first_is_file && is_file) {
                return Err(Collision::SameName {
                    first: first.to_owned(),
                    second: prefix.to_owned(),
                });
            }
            if first_is_file != is_file {
                return Err(Collision::FileAndFolder {
                    path: prefix.to_owned(),
                });
            }
        }
    }
    Ok(())
}

impl FromStr for SkillPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl fmt::Display for SkillPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SkillPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SkillPath({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(texts: &[&str]) -> Vec<SkillPath> {
        texts.iter().map(|text| SkillPath::parse(text).unwrap()).collect()
    }

    #[test]
    fn ordinary_paths_are_taken_as_written() {
        for text in [
            "SKILL.md",
            "references/a b.md",
            "scripts/.env.example",
            "插座/开关.md",
            "a/.gitignore",
            "com10",
            "console",
        ] {
            assert_eq!(SkillPath::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn each_rule_refuses_what_it_is_for() {
        let long_segment = "x".repeat(MAX_SEGMENT_BYTES + 1);
        let long_path = vec!["x".repeat(200); 6].join("/");
        let deep_path = vec!["x"; MAX_SEGMENTS + 1].join("/");
        for (text, rule) in [
            ("", PathError::Empty),
            ("/etc/passwd", PathError::Absolute),
            ("a//b", PathError::EmptySegment),
            ("a/", PathError::EmptySegment),
            ("../a", PathError::DotSegment),
            ("a/./b", PathError::DotSegment),
            ("a\\b", PathError::Backslash),
            ("C:/a", PathError::Colon),
            ("a.txt:stream", PathError::Colon),
            ("a\0b", PathError::Control),
            ("a\nb", PathError::Control),
            ("a\u{85}b", PathError::Control),
            ("a\u{202E}txt.exe", PathError::Hidden),
            ("a\u{200B}b", PathError::Hidden),
            ("con", PathError::Reserved),
            ("a/NUL.txt", PathError::Reserved),
            ("Com1 .tar.gz", PathError::Reserved),
            ("lpt\u{B2}", PathError::Reserved),
            ("a./b", PathError::TrailingDotOrSpace),
            ("a ", PathError::TrailingDotOrSpace),
            (".git/hooks/post-commit", PathError::GitFolder),
            ("a/.GIT", PathError::GitFolder),
            (long_segment.as_str(), PathError::SegmentTooLong),
            (long_path.as_str(), PathError::TooLong),
            (deep_path.as_str(), PathError::TooDeep),
        ] {
            assert_eq!(SkillPath::parse(text), Err(rule), "{text:?}");
        }
    }

    #[test]
    fn paths_that_meet_on_some_disk_are_refused() {
        for texts in [
            ["Read.md", "read.md"],
            ["Docs/a", "docs/b"],
            ["docs", "DOCS/a"],
            ["caf\u{E9}.md", "cafe\u{301}.md"],
            ["stra\u{DF}e", "STRASSE"],
            ["a", "a"],
        ] {
            let found = check_collisions(&paths(&texts));
            assert!(
                matches!(found, Err(Collision::SameName { .. })),
                "{texts:?}: {found:?}"
            );
        }
        assert_eq!(
            check_collisions(&paths(&["a/b", "a"])),
            Err(Collision::FileAndFolder { path: "a".to_owned() })
        );
        assert_eq!(check_collisions(&paths(&["a/b", "a/c", "ab", "b/a"])), Ok(()));
    }

    proptest! {
        #[test]
        fn a_path_that_is_taken_stays_below_its_folder(text in "[a-c./\\\\: \u{0}\u{202E}é]{0,24}") {
            if let Ok(path) = SkillPath::parse(&text) {
                let joined = std::path::Path::new("/skill").join(path.as_str());
                let only_names = joined.components().skip(1)
                    .all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(only_names && joined.starts_with("/skill"));
                prop_assert_eq!(path.as_str(), text);
            }
        }

        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            let _ = SkillPath::parse(&text).map(|path| check_collisions([&path]));
        }
    }
}
