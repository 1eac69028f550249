//! Paths of files in a skill, and collisions between them on other file systems.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;

use crate::limits::{MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS};

/// The file that makes a folder a skill.
pub const SKILL_MD: &str = "SKILL.md";

/// Path of a file relative to the skill's folder, with `/` as separator. It names the same file inside the folder on
/// Linux, macOS and Windows.
///
/// # Examples
/// ```
/// use agent_skills::{PathError, SkillPath};
///
/// let path = SkillPath::parse("scripts/run.sh")?;
/// assert_eq!(path.as_str(), "scripts/run.sh");
/// assert_eq!(SkillPath::parse("../secrets"), Err(PathError::DotSegment));
/// assert_eq!(SkillPath::parse("docs/aux.md"), Err(PathError::Reserved));
/// # Ok::<(), PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SkillPath(String);

/// The rule that a path breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path is empty")]
    Empty,
    #[error("the path has more than {MAX_PATH_BYTES} bytes")]
    TooLong,
    #[error("a file or folder name has more than {MAX_SEGMENT_BYTES} bytes")]
    SegmentTooLong,
    #[error("the path has more than {MAX_SEGMENTS} levels")]
    TooDeep,
    #[error("the path starts with \"/\", but must be relative to the skill's folder")]
    Absolute,
    #[error("the path contains an empty segment (\"//\", or \"/\" at the end)")]
    EmptySegment,
    #[error("the path contains the segment \".\" or \"..\"")]
    DotSegment,
    #[error("the path contains a backslash, which separates folders on Windows")]
    Backslash,
    #[error("the path contains \":\", which marks a drive or an alternate data stream on Windows")]
    Colon,
    #[error("the path contains a control character")]
    Control,
    /// A soft hyphen, bidirectional control (UAX #9), zero-width character, line separator or tag character.
    #[error("the path contains an invisible or text-direction character")]
    Hidden,
    #[error(
        "the path contains a name that Windows reserves for a device (CON, PRN, AUX, NUL, COM1, LPT1, …)"
    )]
    Reserved,
    /// Windows removes dots and spaces at the end of a name.
    #[error("a file or folder name ends with a dot or a space")]
    TrailingDotOrSpace,
    /// Git runs programs from this folder.
    #[error("the path leads into a \".git\" folder")]
    GitFolder,
    #[error("the path is not UTF-8")]
    NotUtf8,
}

impl SkillPath {
    /// The path of [`SKILL_MD`].
    #[must_use]
    pub fn skill_md() -> Self {
        Self(SKILL_MD.to_owned())
    }

    /// Checks a path. Does not normalise it: paths are keys, so each has one spelling.
    ///
    /// # Errors
    /// Returns the first rule that the path breaks.
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

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path's folders, outermost first, and the path itself.
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

/// Whether `c` is invisible or changes the display order of the text around it: soft hyphen, bidirectional controls
/// (UAX #9), zero-width characters, line separators and tag characters.
#[must_use]
pub const fn is_hidden(c: char) -> bool {
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
    if case_folded(segment) == ".git" {
        return Err(PathError::GitFolder);
    }
    if is_reserved(segment) {
        return Err(PathError::Reserved);
    }
    Ok(())
}

/// Whether Windows reads `segment` as a device, in any case, with any extension, and with spaces before the
/// extension. The superscript digits count too (Microsoft, "Naming Files, Paths, and Namespaces").
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

/// Equal for texts that are the same name on a case-insensitive, normalising file system.
///
/// Uppercases before it lowercases, so that characters with a longer uppercase form match it too (`ß` and `SS`).
pub(crate) fn case_folded(text: &str) -> String {
    let cased: String = text
        .nfd()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    cased.nfc().collect()
}

/// Two paths of a skill that cannot both exist on every file system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Collision {
    /// The paths are equal, or differ only in case or Unicode normalisation.
    #[error(
        "{first:?} and {second:?} are the same name on file systems that ignore case or normalise Unicode: rename one"
    )]
    SameName { first: String, second: String },
    /// The path is a file, and a folder of another path.
    #[error("{path:?} is both a file and a folder: rename one")]
    FileAndFolder { path: String },
}

/// Checks that the paths of a skill can exist together on every file system.
///
/// Compares folders too: `Docs/a` and `docs/b` are in one folder on macOS and in two on Linux.
///
/// # Errors
/// Returns the first [`Collision`].
pub fn check_collisions<'a>(paths: impl IntoIterator<Item = &'a SkillPath>) -> Result<(), Collision> {
    let mut seen: BTreeMap<String, (&str, bool)> = BTreeMap::new();
    for path in paths {
        for prefix in path.prefixes() {
            let is_file = prefix.len() == path.0.len();
            let Some((first, first_is_file)) = seen.insert(case_folded(prefix), (prefix, is_file)) else {
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
    fn valid_paths_are_kept_as_written() {
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
    fn invalid_paths_are_rejected_with_their_rule() {
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
    fn paths_that_collide_on_some_system_are_rejected() {
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
        fn valid_path_stays_below_its_folder(text in "[a-c./\\\\: \u{0}\u{202E}é]{0,24}") {
            if let Ok(path) = SkillPath::parse(&text) {
                let joined = std::path::Path::new("/skill").join(path.as_str());
                let only_names = joined.components().skip(1)
                    .all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(only_names && joined.starts_with("/skill"));
                prop_assert_eq!(path.as_str(), text);
            }
        }

        #[test]
        fn any_text_is_accepted_or_rejected(text in any::<String>()) {
            let _ = SkillPath::parse(&text).map(|path| check_collisions([&path]));
        }
    }
}
