//! Requirements on versions of skills, such as `^1.2`.

use std::fmt;
use std::str::FromStr;

use semver::Prerelease;
use serde::{Serialize, Serializer};

use crate::version::SkillVersion;

/// Which versions of a skill somebody wants.
///
/// | requirement | matches |
/// |---|---|
/// | `1.2.0`, `=1.2.0`, `3` | that version only; missing numbers are zeros, so `1.2` is `1.2.0` |
/// | `latest`, `*`, `x` | every release |
/// | `^1.2` | 1.2 and later, below 2; `^0.2`: below 0.3 |
/// | `~1.2` | 1.2 and later, below 1.3 |
/// | `1.x`, `1.2.*` | every release that begins with these numbers |
/// | `>=1, <3` | all conditions; `>1` begins at 2, and `<=1` ends before 2, as in Cargo |
///
/// A pre-release matches only if a condition names a pre-release of the same numbers, as in `>=2.0.0-rc.1`. Build metadata
/// counts only in an exact requirement that has some: `1.2.0+4`.
///
/// ```
/// use agent_skills::{SkillVersion, VersionReq};
///
/// let wanted: VersionReq = "^1.2".parse().unwrap();
/// let version = |label: &str| label.parse::<SkillVersion>().unwrap();
/// assert!(wanted.matches(&version("1.10")));
/// assert!(!wanted.matches(&version("2.0")));
/// assert!(!wanted.matches(&version("1.3.0-beta.1")));
/// ```
#[derive(Debug, Clone)]
pub struct VersionReq {
    text: String,
    conditions: Vec<Condition>,
}

/// Why a text is not a requirement on a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a version requirement: write a version such as 1.2.0, or one of latest, ^1.2, ~1.2, 1.x, or conditions with commas such as >=1, <3"
)]
pub struct VersionReqError {
    /// The text, cut to 64 characters.
    text: String,
}

#[derive(Debug, Clone)]
enum Condition {
    Exact {
        version: SkillVersion,
        build: Option<String>,
    },
    AtLeast(Bound),
    Above(Bound),
    AtMost(Bound),
    Below(Bound),
}

#[derive(Debug, Clone)]
struct Bound {
    numbers: [u64; 4],
    prerelease: Prerelease,
}

/// A version in a requirement, of which numbers at the end may be missing.
struct Partial {
    bound: Bound,
    /// How many numbers were written, 0 to 4.
    count: usize,
}

impl VersionReq {
    /// Maximum length of a requirement in bytes.
    pub const MAX_LEN: usize = 256;
    /// Maximum number of conditions with commas between them.
    pub const MAX_CONDITIONS: usize = 8;

    /// The requirement that every release fulfils.
    #[must_use]
    pub fn latest() -> Self {
        Self {
            text: "latest".to_owned(),
            conditions: Vec::new(),
        }
    }

    /// The requirement that only this version fulfils.
    #[must_use]
    pub fn exact(version: &SkillVersion) -> Self {
        Self {
            text: version.as_str().to_owned(),
            conditions: vec![exact(version.clone())],
        }
    }

    /// Whether a version fulfils the requirement.
    #[must_use]
    pub fn matches(&self, version: &SkillVersion) -> bool {
        self.conditions.iter().all(|condition| condition.holds(version))
            && (!version.is_prerelease()
                || self
                    .conditions
                    .iter()
                    .any(|condition| condition.names_prerelease_of(version)))
    }

    /// The version, if only one fulfils the requirement.
    #[must_use]
    pub fn exact_version(&self) -> Option<&SkillVersion> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition::Exact { version, .. } => Some(version),
            Condition::AtLeast(_) | Condition::Above(_) | Condition::AtMost(_) | Condition::Below(_) => None,
        })
    }

    /// The requirement as it was written, without white space around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Condition {
    fn holds(&self, version: &SkillVersion) -> bool {
        let order = |bound: &Bound| {
            version
                .numbers()
                .cmp(&bound.numbers)
                .then_with(|| version.prerelease().cmp(&bound.prerelease))
        };
        match self {
            Self::Exact {
                version: wanted,
                build,
            } => wanted == version && (build.is_none() || build.as_deref() == version.build()),
            Self::AtLeast(bound) => order(bound).is_ge(),
            Self::Above(bound) => order(bound).is_gt(),
            Self::AtMost(bound) => order(bound).is_le(),
            Self::Below(bound) => order(bound).is_lt(),
        }
    }

    fn names_prerelease_of(&self, version: &SkillVersion) -> bool {
        match self {
            Self::Exact { version: wanted, .. } => wanted.is_prerelease(),
            Self::AtLeast(bound) | Self::Above(bound) | Self::AtMost(bound) | Self::Below(bound) => {
                !bound.prerelease.is_empty() && bound.numbers == version.numbers()
            }
        }
    }
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let version: SkillVersion = text.trim().parse().ok()?;
        let count = version.number_count();
        let bound = Bound {
            numbers: version.numbers(),
            prerelease: version.prerelease().clone(),
        };
        Some(Self { bound, count })
    }

    /// The first version after all those that begin with the first `count` numbers. `None` if there is none.
    fn after(&self, count: usize) -> Option<Bound> {
        let mut numbers = self.bound.numbers;
        let (kept, rest) = numbers.split_at_mut_checked(count)?;
        let last = kept.last_mut()?;
        *last = last.checked_add(1)?;
        rest.fill(0);
        Some(Bound {
            numbers,
            prerelease: Prerelease::EMPTY,
        })
    }

    /// Whether all numbers of a semantic version were written, so that nothing is left open.
    fn is_complete(&self) -> bool {
        self.count >= 3
    }

    /// From this version on, up to the end of those that begin with the same `count` numbers.
    fn range(self, count: usize) -> Vec<Condition> {
        let end = self.after(count).map(Condition::Below);
        std::iter::once(Condition::AtLeast(self.bound))
            .chain(end)
            .collect()
    }
}

fn exact(version: SkillVersion) -> Condition {
    let build = version.build().map(str::to_owned);
    Condition::Exact { version, build }
}

fn parse(text: &str) -> Option<VersionReq> {
    if text.len() > VersionReq::MAX_LEN {
        return None;
    }
    let mut conditions = Vec::new();
    if text != "latest" {
        let parts: Vec<&str> = text.split(',').collect();
        if parts.len() > VersionReq::MAX_CONDITIONS {
            return None;
        }
        for part in parts {
            conditions.extend(parse_condition(part.trim())?);
        }
    }
    Some(VersionReq {
        text: text.to_owned(),
        conditions,
    })
}

fn parse_condition(text: &str) -> Option<Vec<Condition>> {
    // The longer operator first.
    for (operator, parse) in [
        (">=", at_least as fn(Partial) -> Vec<Condition>),
        ("<=", at_most),
        (">", above),
        ("<", below),
        ("^", caret),
        ("~", tilde),
    ] {
        if let Some(version) = text.strip_prefix(operator) {
            return Some(parse(Partial::parse(version)?));
        }
    }
    if let Some(conditions) = wildcard(text) {
        return conditions;
    }
    let version = text.strip_prefix('=').unwrap_or(text);
    Some(vec![exact(version.parse().ok()?)])
}

fn at_least(version: Partial) -> Vec<Condition> {
    vec![Condition::AtLeast(version.bound)]
}

fn below(version: Partial) -> Vec<Condition> {
    vec![Condition::Below(version.bound)]
}

fn at_most(version: Partial) -> Vec<Condition> {
    if version.is_complete() {
        return vec![Condition::AtMost(version.bound)];
    }
    version
        .after(version.count)
        .map(Condition::Below)
        .into_iter()
        .collect()
}

fn above(version: Partial) -> Vec<Condition> {
    if version.is_complete() {
        return vec![Condition::Above(version.bound)];
    }
    match version.after(version.count) {
        Some(next) => vec![Condition::AtLeast(next)],
        None => vec![Condition::Above(version.bound)],
    }
}

/// Up to a change of the first number that is not zero.
fn caret(version: Partial) -> Vec<Condition> {
    let written = version.bound.numbers.iter().take(version.count);
    let first = written.take_while(|number| **number == 0).count() + 1;
    let count = first.min(version.count);
    version.range(count)
}

/// Up to a change of the second number, or of the first if only that was written.
fn tilde(version: Partial) -> Vec<Condition> {
    let count = version.count.min(2);
    version.range(count)
}

/// The conditions of `1.x`, `1.2.*` or `*`; the inner `None` if what is before the wildcard is no version, the outer one if
/// there is no wildcard.
fn wildcard(text: &str) -> Option<Option<Vec<Condition>>> {
    let is_wildcard = |part: &str| matches!(part, "x" | "X" | "*");
    let numbers = match text.rsplit_once('.') {
        Some((numbers, last)) if is_wildcard(last) => numbers,
        None if is_wildcard(text) => return Some(Some(Vec::new())),
        Some(_) | None => return None,
    };
    // As in `1.x.x`.
    if let Some(outer) = wildcard(numbers) {
        return Some(outer);
    }
    let version = Partial::parse(numbers).filter(|found| {
        let has_numbers_only = numbers
            .trim_start_matches(['v', 'V'])
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        has_numbers_only && found.count < 4
    });
    Some(version.map(|version| {
        let count = version.count;
        version.range(count)
    }))
}

impl FromStr for VersionReq {
    type Err = VersionReqError;

    fn from_str(text: &str) -> Result<Self, VersionReqError> {
        parse(text.trim()).ok_or_else(|| VersionReqError {
            text: text.chars().take(SkillVersion::MAX_LEN).collect(),
        })
    }
}

impl PartialEq for VersionReq {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for VersionReq {}

impl fmt::Display for VersionReq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for VersionReq {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(requirement: &str, version: &str) -> bool {
        let requirement: VersionReq = requirement.parse().unwrap();
        requirement.matches(&version.parse().unwrap())
    }

    #[test]
    fn requirement_matches_what_its_table_says() {
        for (requirement, matching, others) in [
            ("1.2.0", "1.2.0 1.2 v1.2 1.2.0+5", "1.2.1 1.2.0.1 1.2.0-rc.1 1.3"),
            ("=1.2", "1.2.0", "1.2.1"),
            ("3", "3 3.0", "3.1 4 2"),
            ("1.2.0+4", "1.2.0+4", "1.2.0 1.2.0+5"),
            ("2.0.0-rc.1", "2.0.0-rc.1", "2.0.0 2.0.0-rc.2"),
            ("latest", "0 1 99.9", "1.0.0-beta"),
            ("*", "0 1 2026-03-05", "1.0.0-beta"),
            ("^1.2", "1.2 1.2.3 1.99", "1.1.9 2 2.0.0-alpha 1.3.0-alpha"),
            ("^0.2", "0.2 0.2.9", "0.3 0.1 1"),
            ("^0.0.3", "0.0.3 0.0.3.7", "0.0.4 0.1"),
            ("^0.0", "0.0 0.0.7", "0.1"),
            ("^0", "0 0.9", "1"),
            ("^1.2.3-rc.1", "1.2.3-rc.2 1.2.3 1.3", "1.2.4-rc.1 1.2.3-beta 2"),
            ("~1.2", "1.2 1.2.9 1.2.0.4", "1.3 1.1"),
            ("~1", "1 1.9", "2 0.9"),
            ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3"),
            (">=1, <3", "1 2.9.9", "0.9 3 3.0.0-rc.1"),
            (">1", "2 3", "1 1.5"),
            (">1.2.3", "1.2.4 1.2.3.1", "1.2.3"),
            ("<=1", "1 1.9", "2"),
            ("<=1.2.3", "1.2.3", "1.2.4"),
            ("< 2", "1 0", "2"),
            (">=2.0.0-rc.1", "2.0.0-rc.1 2.0.0 3", "2.0.0-beta 3.0.0-rc.1"),
            ("1.x", "1 1.9", "2 0.9"),
            ("1.2.*", "1.2 1.2.9", "1.3"),
            ("1.x.x", "1 1.9", "2"),
            (">=2026-03-05", "2026.3.5 2026-04-01 2027", "2026-03-04"),
        ] {
            for version in matching.split(' ') {
                assert!(matches(requirement, version), "{requirement} {version}");
            }
            for version in others.split(' ') {
                assert!(!matches(requirement, version), "{requirement} {version}");
            }
        }
    }

    #[test]
    fn text_that_is_no_requirement_is_rejected() {
        for text in [
            "",
            ",",
            "1,",
            "^",
            ">=",
            "newest",
            "1.y",
            "x.1",
            "1.2.3.4.x",
            "1-rc.x",
            "^1.x",
            ">1 <2",
            "LATEST",
            "^^1",
            "1 2",
            "^-1",
            "<99999999999999999999",
        ] {
            let found = text.parse::<VersionReq>();
            assert!(found.is_err(), "{text}: {found:?}");
        }
        assert!([">0"; 9].join(",").parse::<VersionReq>().is_err());
        let error = "newest".parse::<VersionReq>().unwrap_err().to_string();
        assert!(error.contains("^1.2"), "{error}");
    }

    #[test]
    fn largest_number_has_no_version_after_it() {
        let largest = u64::MAX.to_string();
        for requirement in [
            format!("^{largest}"),
            format!("~{largest}"),
            format!("{largest}.x"),
        ] {
            assert!(matches(&requirement, &largest), "{requirement}");
        }
        assert!(!matches(&format!(">{largest}"), &largest));
    }

    proptest! {
        #[test]
        fn parser_never_panics(text in "[0-9x.*^~<>=, v+-]{0,20}|.*") {
            let _ = text.parse::<VersionReq>();
        }

        /// The crate `semver` reads ranges in the same way, except for a version without an operator.
        #[test]
        fn ranges_agree_with_the_semver_crate(
            requirement in "(\\^|~|>=|<=|>|<)[0-2](\\.[0-2](\\.[0-2](-[ab])?)?)?(, <[0-3](\\.[0-2])?)?|[0-2]\\.x|[0-2]\\.[0-2]\\.x",
            version in "[0-3]\\.[0-3]\\.[0-3](-[abc])?",
        ) {
            let expected = semver::VersionReq::parse(&requirement).unwrap();
            let expected = expected.matches(&semver::Version::parse(&version).unwrap());
            prop_assert_eq!(matches(&requirement, &version), expected, "{} {}", requirement, version);
        }

        #[test]
        fn exact_requirement_matches_its_version(label in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}(-[a-z]{1,3})?(\\+[0-9]{1,2})?") {
            let version: SkillVersion = label.parse().unwrap();
            let exact = VersionReq::exact(&version);
            prop_assert!(exact.matches(&version));
            let parsed: VersionReq = label.parse().unwrap();
            prop_assert!(parsed.matches(&version));
            prop_assert_eq!(parsed, exact);
        }
    }
}
