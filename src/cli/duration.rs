//! Durations as people write them at the command line.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// 10 years of 366 days.
const MAX_DURATION: SignedDuration = SignedDuration::from_hours(3660 * 24);

/// Parses a duration in jiff's friendly format, such as `90d`, `12h` or `1h 30m`. A day has 24 hours; months and years are
/// rejected because their length varies.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    text.parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .filter(|duration| *duration <= MAX_DURATION)
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "expected a duration such as 90d, 12h, 30m or 45s, at most ten years".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_parsed_and_limited_to_ten_years() {
        let seconds = |text: &str| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90d"), Ok(90 * 86_400));
        assert_eq!(seconds("12h"), Ok(12 * 3600));
        assert_eq!(seconds("1h 30m"), Ok(5400));
        assert_eq!(seconds("45s"), Ok(45));
        assert_eq!(seconds("0s"), Ok(0));
        assert_eq!(seconds("3660d"), Ok(3660 * 86_400));
        for wrong in ["", "d", "90", "-1d", "1y", "1mo", "3661d", "99999999d", "1é"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
