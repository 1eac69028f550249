//! Checks of arguments that several tools share. Each answers with a clause that fits behind "are not right:".

use std::fmt::Display;
use std::ops::RangeInclusive;

/// The longest slug that a caller may name; longer ones cannot exist.
pub(super) const SLUG_CHARS: usize = 64;
/// The longest version label.
pub(super) const VERSION_CHARS: usize = 64;

pub(super) fn within<T: PartialOrd + Display>(
    name: &str,
    value: T,
    range: &RangeInclusive<T>,
) -> Result<(), String> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(format!(
            "{name} is {value}, it must be between {} and {}",
            range.start(),
            range.end()
        ))
    }
}

pub(super) fn optional_within<T: PartialOrd + Display + Copy>(
    name: &str,
    value: Option<T>,
    range: &RangeInclusive<T>,
) -> Result<(), String> {
    value.map_or(Ok(()), |value| within(name, value, range))
}

/// Counts characters, not bytes.
pub(super) fn text(name: &str, value: &str, range: &RangeInclusive<usize>) -> Result<(), String> {
    // Bytes first: a megabyte need not be counted to be too long.
    let chars = if value.len() > range.end().saturating_mul(4) {
        value.len()
    } else {
        value.chars().count()
    };
    if range.contains(&chars) {
        Ok(())
    } else {
        Err(format!(
            "{name} has {chars} characters, it must have between {} and {}",
            range.start(),
            range.end()
        ))
    }
}

pub(super) fn optional_text(
    name: &str,
    value: Option<&str>,
    range: &RangeInclusive<usize>,
) -> Result<(), String> {
    value.map_or(Ok(()), |value| text(name, value, range))
}

pub(super) fn skill_and_version(skill: &str, version: Option<&str>) -> Result<(), String> {
    text("skill", skill, &(1..=SLUG_CHARS))?;
    optional_text("version", version, &(1..=VERSION_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_belong_to_the_range() {
        assert!(within("limit", 1, &(1..=50)).is_ok() && within("limit", 50, &(1..=50)).is_ok());
        assert_eq!(
            within("limit", 99, &(1..=50)).unwrap_err(),
            "limit is 99, it must be between 1 and 50"
        );
    }

    #[test]
    fn text_is_measured_in_characters() {
        assert!(text("query", "ääää", &(1..=4)).is_ok());
        assert!(text("query", "", &(1..=4)).is_err());
        assert!(text("query", "aaaaa", &(1..=4)).is_err());
    }
}
