//! Versions of skills: semantic, or counted.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease};
use serde::{Serialize, Serializer};

/// A version label and its place in the order of Semantic Versioning 2.0.0, section 11.
///
/// Labels in real skills are shorter or longer than the specification permits, so the parser also accepts a leading `v`,
/// one to four numbers with leading zeros (`1.9`, `2026.03.5`, `1.2.3.4`; a missing number counts as 0), and a date
/// (`2026-03-05`). The label itself is kept as the author wrote it.
///
/// ```
/// use agent_skills::SkillVersion;
///
/// let version = |label: &str| label.parse::<SkillVersion>().unwrap();
/// assert!(version("1.9") < version("1.10"));
/// assert!(version("2.0.0-rc.1") < version("2.0.0"));
/// assert!(version("2.0.0-rc.1").is_prerelease());
/// assert!("latest build!".parse::<SkillVersion>().is_err());
/// ```
#[derive(Debug, Clone)]
pub struct SkillVersion {
    label: String,
    numbers: [u64; 4],
    prerelease: Prerelease,
}

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a version: write one to four numbers with dots, and optionally a pre-release, such as 1.4, 2.0.1 or 2.1.0-beta.1"
)]
pub struct VersionError {
    /// The text, cut to 64 characters.
    text: String,
}

impl SkillVersion {
    /// Maximum length of a label in characters, all of which are ASCII.
    pub const MAX_LEN: usize = 64;

    /// The label for the version with this ordinal, for authors who name no version.
    #[must_use]
    pub fn counted(ordinal: u32) -> Self {
        Self {
            label: ordinal.to_string(),
            numbers: [u64::from(ordinal), 0, 0, 0],
            prerelease: Prerelease::EMPTY,
        }
    }

    /// The label, as the author wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.label
    }

    #[must_use]
    pub fn is_prerelease(&self) -> bool {
        !self.prerelease.is_empty()
    }

    pub(crate) const fn numbers(&self) -> [u64; 4] {
        self.numbers
    }

    pub(crate) const fn prerelease(&self) -> &Prerelease {
        &self.prerelease
    }

    /// The build metadata, if there is any.
    pub(crate) fn build(&self) -> Option<&str> {
        split(&self.label, '+').1
    }

    /// How many numbers the label has, 1 to 4.
    pub(crate) fn number_count(&self) -> usize {
        let (version, _) = split(&self.label, '+');
        if date(version).is_some() {
            return 3;
        }
        let (core, _) = split(version, '-');
        core.split('.').count()
    }

    /// Compares by precedence: build metadata, a leading `v` and missing zeros do not count, so different labels can be
    /// equal.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| self.prerelease.cmp(&other.prerelease))
    }
}

impl PartialEq for SkillVersion {
    fn eq(&self, other: &Self) -> bool {
        self.precedence(other).is_eq()
    }
}

impl Eq for SkillVersion {}

impl PartialOrd for SkillVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SkillVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.precedence(other)
    }
}

impl FromStr for SkillVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        parse(text.trim()).ok_or_else(|| VersionError {
            text: text.chars().take(Self::MAX_LEN).collect(),
        })
    }
}

fn parse(label: &str) -> Option<SkillVersion> {
    if label.len() > SkillVersion::MAX_LEN {
        return None;
    }
    let version = label.strip_prefix(['v', 'V']).unwrap_or(label);
    let (version, build) = split(version, '+');
    if build.is_some_and(|build| build.is_empty() || BuildMetadata::new(build).is_err()) {
        return None;
    }
    if let Some(numbers) = date(version) {
        return Some(SkillVersion {
            label: label.to_owned(),
            numbers,
            prerelease: Prerelease::EMPTY,
        });
    }
    let (core, prerelease) = split(version, '-');
    let prerelease = prerelease.map_or(Ok(Prerelease::EMPTY), |text| {
        if text.is_empty() {
            Err(())
        } else {
            Prerelease::new(text).map_err(|_| ())
        }
    });
    Some(SkillVersion {
        label: label.to_owned(),
        numbers: numbers(core, '.')?,
        prerelease: prerelease.ok()?,
    })
}

fn split(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// `2026-03-05` is three numbers, not a version 2026 with the pre-release `03-05`.
fn date(text: &str) -> Option<[u64; 4]> {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    if lengths != [4, 2, 2] {
        return None;
    }
    numbers(text, '-')
}

fn numbers(text: &str, separator: char) -> Option<[u64; 4]> {
    let mut numbers = [0; 4];
    let mut slots = numbers.iter_mut();
    for part in text.split(separator) {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *slots.next()? = is_number.then(|| part.parse().ok())??;
    }
    Some(numbers)
}

impl fmt::Display for SkillVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl Serialize for SkillVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.label)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(label: &str) -> SkillVersion {
        label.parse().unwrap()
    }

    /// The example of Semantic Versioning 2.0.0, section 11.4, with shorter labels around it.
    #[test]
    fn versions_are_ordered_by_precedence() {
        let labels = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "v1.9",
            "1.9.1",
            "1.10",
            "1.10.0.1",
            "2",
            "2026-03-05",
            "2026.3.6",
        ];
        for pair in labels.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn build_metadata_prefix_and_missing_zeros_do_not_count() {
        for label in ["1", "1.0", "v1.0.0", "1.0.0+build.5", "01.0"] {
            assert_eq!(version(label), version("1.0.0"), "{label}");
            assert_eq!(version(label).as_str(), label);
        }
        assert_eq!(version(" 1.2 ").as_str(), "1.2");
        assert_eq!(SkillVersion::counted(3), version("3"));
    }

    #[test]
    fn text_that_is_no_version_is_rejected() {
        for text in [
            "",
            "latest",
            "latest build!",
            "1.",
            ".1",
            "1..2",
            "1.2.3.4.5",
            "-1",
            "1.0-",
            "1.0+",
            "1.0 beta",
            "1,0",
            "1.0-a_b",
            "99999999999999999999",
            "\u{661}.0",
            "1.0-beta..1",
        ] {
            assert!(text.parse::<SkillVersion>().is_err(), "{text}");
        }
        assert!("1".repeat(65).parse::<SkillVersion>().is_err());
    }

    proptest! {
        #[test]
        fn parser_never_panics(text in ".*") {
            let _ = text.parse::<SkillVersion>();
        }

        #[test]
        fn order_agrees_with_the_semver_crate(a in "[0-3]\\.[0-3]\\.[0-3](-[a-c1-3](\\.[a-c1-3])?)?", b in "[0-3]\\.[0-3]\\.[0-3](-[a-c1-3](\\.[a-c1-3])?)?") {
            let expected = semver::Version::parse(&a).unwrap().cmp_precedence(&semver::Version::parse(&b).unwrap());
            prop_assert_eq!(version(&a).precedence(&version(&b)), expected);
        }
    }
}
